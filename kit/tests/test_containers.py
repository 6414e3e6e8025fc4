"""Engines in containers, for those who have a container engine."""

import pytest

from doorstep.kit.broker import Broker
from doorstep.kit.testing import Databases, container_engine, kafka_container, postgres_container

pytestmark = pytest.mark.skipif(not container_engine(), reason="no container engine here")


async def test_a_kafka_in_a_container_takes_our_topics() -> None:
    async with kafka_container() as address:
        await Broker(address).ensure_topics("intake")


async def test_a_postgresql_in_a_container_takes_our_migrations() -> None:
    async with postgres_container() as url:
        assert await Databases(url).new()
