"""Apache Kafka by Maven coordinates really starts, carries a message, keeps it over a restart, and stops."""

import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from doorstep.local import apache_kafka, jdk


@pytest.mark.kafka
async def test_a_message_outlives_a_restart_of_the_node(tmp_path: Path) -> None:
    if reason := apache_kafka.missing():
        pytest.skip(reason)
    async with apache_kafka.running_kafka(tmp_path) as bootstrap:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("letters", num_partitions=2, replication_factor=1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
            await producer.send_and_wait("letters", b"one", key=b"k", headers=[("ce_id", b"1")])

    async with (
        apache_kafka.running_kafka(tmp_path) as bootstrap,
        AIOKafkaConsumer(
            "letters", bootstrap_servers=bootstrap, group_id="readers", auto_offset_reset="earliest"
        ) as consumer,
    ):
        message = await consumer.getone()
        assert (message.value, message.headers) == (b"one", (("ce_id", b"1"),))


@pytest.mark.kafka
async def test_a_port_that_is_taken_is_one_clear_sentence(tmp_path: Path) -> None:
    if reason := apache_kafka.missing():
        pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(jdk.ProgramUnavailable, match=f"Port {port} is taken"):
            async with apache_kafka.running_kafka(tmp_path, port):
                pass


def test_without_a_jdk_the_sentence_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert apache_kafka.missing() == "Apache Kafka needs java and mvn on the path (a JDK 17 or later, and Maven)."
