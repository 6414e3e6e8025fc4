"""The rights on a real Kafka: a department reads its own feed and nothing else, a service what its topics need."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from pydantic import SecretStr

from doorstep.contracts.access import GROUP, TOPIC, department_user, made_topics, rights
from doorstep.contracts.codes import Department
from doorstep.contracts.topics import SERVICES, TOPICS, feed_topic
from doorstep.kit.broker import Broker
from doorstep.kit.resources import Settings
from doorstep.local import apache_kafka, broker_files
from doorstep.local.broker import protocol_at

OPERATIONS = {"Read", "Write", "Describe"}


def granted() -> set[tuple[str, str, str, str, bool]]:
    """Each right of each user, one operation at a time."""
    return {
        (user, right.resource, right.name, operation, right.prefixed)
        for user, some in rights().items()
        for right in some
        for operation in right.operations
    }


def test_a_feed_is_read_by_its_department_and_written_by_referral_alone() -> None:
    for department in Department:
        topic = feed_topic(department)
        may = {(user, operation) for user, kind, name, operation, _ in granted() if (kind, name) == (TOPIC, topic)}
        own = department_user(department)
        assert may == {(own, "Read"), (own, "Describe"), *(("referral", one) for one in ("Read", "Write", "Describe"))}


def test_nobody_writes_but_the_producer_and_nobody_makes_or_changes_topics() -> None:
    for user, kind, name, operation, prefixed in granted():
        assert operation in OPERATIONS
        assert not prefixed or (kind, name) == (GROUP, user)
        if operation == "Write":
            producer = TOPICS[name].producer if name in TOPICS else name.removesuffix(".dead-letter").rpartition(".")[2]
            assert user == producer
    names = [department_user(one) for one in Department]
    assert not [(one, other) for one in names for other in names if one != other and one.startswith(other)]


def test_the_files_for_a_broker_say_what_the_tables_say() -> None:
    folder = Path(__file__).parents[3] / broker_files.FOLDER
    for name, text in broker_files.broker_files().items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run: doorstep schemas"
    users = [one for one in yaml.safe_load_all((folder / "users.yaml").read_text()) if one["kind"] == "KafkaUser"]
    assert {
        (one["metadata"]["name"], acl["resource"]["type"], acl["resource"]["name"], operation,
         acl["resource"]["patternType"] == "prefix")
        for one in users for acl in one["spec"]["authorization"]["acls"] for operation in acl["operations"]
    } == granted()  # fmt: skip
    topics = [one["metadata"]["name"] for one in yaml.safe_load_all((folder / "topics.yaml").read_text())]
    assert sorted(topics) == sorted(topic.name for topic in made_topics())


def test_the_script_makes_every_topic_and_grants_every_right() -> None:
    said = set()
    for line in re.findall(r"^allow .*$", broker_files.script(), re.MULTILINE):
        user, words = line.split()[1], line.split()[2:]
        pairs = list(zip(words[::2], words[1::2], strict=True))
        prefixed = ("--resource-pattern-type", "prefixed") in pairs
        for name, value in pairs:
            if name in ("--topic", "--group"):
                said |= {(user, name[2:], value, one, prefixed) for word, one in pairs if word == "--operation"}
    assert said == granted()
    made = re.findall(r"^topic (\S+) (\d+) (\d+)$", broker_files.script(), re.MULTILINE)
    assert len(made) == len(made_topics())
    assert re.findall(r"^user (\S+)$", broker_files.script(), re.MULTILINE) == list(rights())


def test_whoever_is_to_sign_in_needs_user_and_password(tmp_path: Path) -> None:
    given = {
        "database_url": "x", "kafka": "x", "keyset": "x", "issuer": "x", "jwks_url": "x",
        "key_store_url": "x", "token_url": "x", "client_id": "x", "client_secret": "x",
    }  # fmt: skip
    assert Settings(**given).broker_security() == {}
    with pytest.raises(ValueError, match="DOORSTEP_KAFKA_USER"):
        Settings(**given, kafka_security="SASL_SSL", kafka_user="intake").broker_security()
    options = Settings(**given, kafka_security="SASL_SSL", kafka_user="intake", kafka_password="p").broker_security()
    assert options["ssl_context"].check_hostname
    assert "'p'" not in repr(Settings(**given, kafka_password="p"))
    kept = tmp_path / "intake"
    named = given | {"kafka_security": "SASL_PLAINTEXT", "kafka_user": "intake", "kafka_password_file": kept}
    with pytest.raises(ValueError, match="cannot be read"):
        Settings(**named).broker_security()
    kept.write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="DOORSTEP_KAFKA_USER"):
        Settings(**named).broker_security()
    kept.write_text("from-a-file\n", encoding="utf-8")
    assert Settings(**named).broker_security()["sasl_plain_password"] == "from-a-file"
    with pytest.raises(ValueError, match="give one"):
        Settings(**named, kafka_password="p").broker_security()


@pytest.mark.parametrize(
    ("address", "protocol"),
    [
        ("127.0.0.1:9092", "SASL_PLAINTEXT"), ("localhost:9092,127.0.0.1:9093", "SASL_PLAINTEXT"),
        ("[::1]:9092", "SASL_PLAINTEXT"), ("kafka.example:9092", "SASL_SSL"),
        ("127.0.0.1:9092,10.0.0.7:9092", "SASL_SSL"),
    ],
)  # fmt: skip
def test_a_password_leaves_this_machine_over_tls_alone(address, protocol) -> None:
    assert protocol_at(address) == protocol


def client(address: str, ca: Path, user: str, password: str | None = None) -> Broker:
    """The broker as `user` sees it over TLS, by the settings of a service."""
    secret = SecretStr(password or f"{user}-password")
    settings = Settings.model_construct(kafka_security="SASL_SSL", kafka_user=user, kafka_password=secret, kafka_ca=ca)
    return Broker(address, **settings.broker_security())


async def writes(broker: Broker, topic: str) -> None:
    producer = await broker.producer()
    try:
        await producer.send_and_wait(topic, b"value", key=b"key")
    finally:
        await producer.stop()


async def hidden(broker: Broker) -> set[str]:
    """The topics that the broker does not even describe to this user: of those it gives no message either."""
    consumer = broker.consumer()
    try:
        await consumer.start()
        await consumer._client.set_topics([topic.name for topic in made_topics()])
        await consumer._client.force_metadata_update()
        return set(consumer._client.cluster.unauthorized_topics)
    finally:
        await consumer.stop()


async def reads(broker: Broker, topic: str, group: str | None = None) -> list[Any]:
    consumer = broker.consumer(group)
    try:
        await consumer.start()
        if group is None:
            consumer.assign([TopicPartition(topic, 0)])
        else:
            consumer.subscribe([topic])
        async with asyncio.timeout(30):
            return [await consumer.getone()]
    finally:
        await consumer.stop()


@pytest.mark.kafka
async def test_a_department_reads_its_own_feed_and_nothing_else_and_writes_nothing(tmp_path: Path) -> None:
    if reason := apache_kafka.missing():
        pytest.skip(reason)
    certificate, ca = apache_kafka.certify(tmp_path)
    async with apache_kafka.kafka_with_rights(tmp_path / "kafka", certificate=certificate) as (address, _):
        referral, fire = client(address, ca, "referral"), client(address, ca, "department-fire")
        await referral.ensure_topics("referral")
        for department in (Department.FIRE, Department.HEALTH):
            await writes(referral, feed_topic(department))
        assert (await reads(fire, "feed.fire"))[0].value == b"value"
        assert (await reads(fire, "feed.fire", "department-fire.archive"))[0].value == b"value"
        assert await hidden(fire) == {topic.name for topic in made_topics()} - {"feed.fire"}
        for topic in ("feed.fire", "feed.health", "referral.tasks"):
            with pytest.raises(TopicAuthorizationFailedError):
                await writes(fire, topic)
        for group in ("department-health", "gateway"):
            with pytest.raises(GroupAuthorizationFailedError):
                await reads(fire, "feed.fire", group)
        await services_keep_to_their_own(address, ca)
        await nobody_is_taken_for_the_broker_or_talks_in_plain(address, tmp_path)
        for user, password in (("department-fire", "wrong"), ("nobody", "x")):
            with pytest.raises(KafkaError):
                await reads(client(address, ca, user, password), "feed.fire")
        for one in (referral, fire):
            await one.close()


async def services_keep_to_their_own(address: str, ca: Path) -> None:
    for service in SERVICES:
        own = {right.name for right in rights()[service] if right.resource == TOPIC}
        assert await hidden(client(address, ca, service)) == {topic.name for topic in made_topics()} - own
    with pytest.raises(TopicAuthorizationFailedError):
        await writes(client(address, ca, "registry"), "intake.visits")


async def nobody_is_taken_for_the_broker_or_talks_in_plain(address: str, folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    _, other = apache_kafka.certify(elsewhere)
    plain = Settings.model_construct(
        kafka_security="SASL_PLAINTEXT", kafka_user="referral", kafka_password=SecretStr("referral-password")
    )
    for broker in (client(address, other, "referral"), Broker(address, **plain.broker_security())):
        with pytest.raises(KafkaError):
            await writes(broker, "feed.fire")
        await broker.close()
