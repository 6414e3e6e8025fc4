"""Engines in containers, for those who have a container engine."""

import pytest

from doorstep.kit.broker import Broker
from doorstep.kit.testing import Databases, NoContainerEngine, kafka_container, postgres_container

# Where no engine answers, the client of the engine leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


async def test_a_kafka_in_a_container_takes_our_topics() -> None:
    try:
        async with kafka_container() as address:
            await Broker(address).ensure_topics("intake")
    except NoContainerEngine:
        pytest.skip("no container engine here")


async def test_a_postgresql_in_a_container_takes_our_migrations() -> None:
    try:
        async with postgres_container() as url:
            assert await Databases(url).new()
    except NoContainerEngine:
        pytest.skip("no container engine here")
