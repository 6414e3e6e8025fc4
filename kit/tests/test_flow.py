"""An event that was written with its transaction arrives once, in the order of its key."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import text

from doorstep.contracts.referral import RequestRated
from doorstep.contracts.sealed import Sealed
from doorstep.kit import outbox
from doorstep.kit.broker import Broker
from doorstep.kit.consumer import Consumer, Received
from doorstep.kit.db import Database
from doorstep.kit.relay import Relay
from doorstep.kit.testing import Databases, eventually, running


def rated(file_id: UUID, request_id: UUID) -> RequestRated:
    return RequestRated(
        request_id=request_id,
        record_id=uuid4(),
        file_id=file_id,
        subject_id=uuid4(),
        rated_at=datetime.now(UTC),
        rating=Sealed(subject_id=uuid4(), key_version=1, context="Rating", ciphertext=""),
    )


async def test_events_of_a_key_arrive_in_order_and_once(databases: Databases, broker: Broker) -> None:
    referral = Database(await databases.new(), service="referral")
    gateway = Database(await databases.new(), service="gateway")
    seen: list[tuple[UUID, int]] = []

    async def note(_session, received: Received) -> None:
        seen.append((received.envelope.key, received.envelope.number))

    relay = Relay(referral, broker)
    referral.on_commit.append(relay.wake)
    consumer = Consumer(gateway, broker, {RequestRated: note})
    files = [uuid4() for _ in range(5)]
    async with running(relay.run, consumer.run):
        for _ in range(20):
            async with referral.transaction() as session:
                for file in files:
                    outbox.add(session, rated(file, uuid4()), key=file)

        async def all_there() -> bool:
            return len(seen) >= 100

        await eventually(all_there)
    assert len(seen) == 100
    for file in files:
        assert [number for key, number in seen if key == file] == list(range(1, 21))
    async with gateway.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM inbox_key"))).scalar_one() == 5
    await referral.close()
    await gateway.close()
