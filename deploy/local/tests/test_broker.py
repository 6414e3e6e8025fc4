"""The embedded broker carries messages, and forgets them when it is restarted."""

import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from doorstep.local.broker import EmbeddedBroker
from doorstep.local.external import ExternalKafka
from doorstep.local.failures import EngineFailed, ExternalUnreachable


async def test_a_message_goes_through_and_is_forgotten_at_a_restart(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker.log")
    await broker.start()
    address = broker.address
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait("letters", b"one", key=b"k")
    async with AIOKafkaConsumer("letters", bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        assert (await consumer.getone()).value == b"one"
    await broker.kill()
    await broker.start()
    assert broker.address == address
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        assert (await producer.send_and_wait("letters", b"two", key=b"k")).offset == 0
    await broker.stop()


async def test_two_brokers_side_by_side_do_not_collide(tmp_path: Path) -> None:
    brokers = [EmbeddedBroker(tmp_path / f"{name}.log") for name in ("one", "two")]
    for broker in brokers:
        await broker.start()
    assert brokers[0].address != brokers[1].address
    for broker in brokers:
        await broker.stop()


async def test_a_broker_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tansu"
    program.write_text("#!/bin/sh\necho cannot allocate memory; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(program))
    with pytest.raises(EngineFailed, match="Kafka broker does not run: cannot allocate memory"):
        await EmbeddedBroker(tmp_path / "broker.log").start()


async def test_a_kafka_that_does_not_answer_is_one_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ExternalUnreachable, match=f"Kafka at {address} cannot be used"):
        await ExternalKafka(address).start()


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":9092", "localhost:none", "localhost:99999"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ExternalUnreachable, match="HOST:PORT"):
        ExternalKafka(address)
