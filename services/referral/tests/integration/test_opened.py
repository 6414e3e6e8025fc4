"""What referral is told of a file opened in an emergency shows its requests, to whom and while it says so."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from doorstep.contracts.registry import FileOpened
from doorstep.kit.consumer import Received
from doorstep.kit.testing import KIT_TABLES, golden
from doorstep.referral.app import new_app
from doorstep.referral.consumers import handlers
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.opening import Origin

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


class Emergency:
    """The consumer of openings, and a collector who reads for one."""

    def __init__(self, front: Any, desk: Any) -> None:
        self.front, self.desk = front, desk
        self.consume = handlers(front.vault)[FileOpened]

    def opened(self, ago: timedelta = timedelta(0), **more: Any) -> FileOpened:
        at, who = datetime.now(UTC) - ago, self.front.vault.pairwise("staff", "collector-2")
        known = {"opening_id": uuid4(), "file_id": self.desk.origin.file_id, "opened_by": who, "opened_at": at}
        return FileOpened(**known | {"until": at + HOUR} | more)

    async def hear(self, *events: FileOpened) -> None:
        """Take events, in one transaction as the consumer takes a batch."""
        envelope = golden("registry.file-opened.v1").received.envelope
        async with self.front.database.transaction() as session:
            for event in events:
                await self.consume(session, Received(envelope, event))

    async def read(self, opening: FileOpened, who: str = "another-collector", record: UUID | None = None) -> Any:
        path = f"/api/requests?record_id={record or self.desk.origin.record_id}"
        why = {"doorstep_purpose": "emergency", "doorstep_case": str(opening.opening_id)}
        return await self.front.call("GET", path, who, **why)


@pytest.fixture
def emergency(front: Any, desk_over: Any) -> Emergency:
    return Emergency(front, desk_over(front.database, front.vault))


async def test_it_shows_the_requests_to_who_opened_it_and_to_nobody_else(emergency: Emergency) -> None:
    task, opening = await emergency.desk.opened("legal-aid"), emergency.opened()
    assert (await emergency.read(opening)).status == 403
    await emergency.hear(opening)
    answer = await emergency.read(opening)
    assert [one["request_id"] for one in answer.body["requests"]] == [str(task.request_id)]
    entry = (await emergency.front.logged(task.subject_id))[-1]
    assert (entry["action"], entry["purpose"], entry["case"]) == ("list-requests", "emergency", str(opening.opening_id))
    for who in ("collector", "reviewer", "supervisor", "justice", "police"):
        assert (await emergency.read(opening, who)).status == 403, who


async def test_told_twice_it_is_open_once_and_no_longer(emergency: Emergency) -> None:
    await emergency.desk.opened("legal-aid")
    opening = emergency.opened()
    await emergency.hear(opening, opening)
    await emergency.hear(opening.model_copy(update={"until": opening.until + HOUR}))
    query = "SELECT until FROM opened_file WHERE opening_id = :id"
    assert [row.until for row in await emergency.front.rows(query, id=opening.opening_id)] == [opening.until]


async def test_out_of_order_each_opening_is_its_own_and_may_come_before_the_request(emergency: Emergency) -> None:
    older, newer = emergency.opened(ago=HOUR / 2), emergency.opened()
    await emergency.hear(newer, older)
    assert (await emergency.read(newer)).body == {"requests": []}
    await emergency.desk.opened("legal-aid")
    assert [len((await emergency.read(one)).body["requests"]) for one in (newer, older)] == [1, 1]


async def test_what_is_over_when_it_comes_opens_nothing_and_is_forgotten(emergency: Emergency) -> None:
    await emergency.desk.opened("legal-aid")
    over, fresh = emergency.opened(ago=2 * HOUR), emergency.opened()
    await emergency.hear(over)
    assert (await emergency.read(over)).status == 403
    await emergency.hear(fresh)
    query = "SELECT 1 FROM opened_file WHERE opening_id = :id"
    assert await emergency.front.rows(query, id=over.opening_id) == []
    assert (await emergency.read(fresh)).status == 200


async def test_it_shows_nothing_of_who_was_erased(emergency: Emergency) -> None:
    gone, kept = [await emergency.desk.opened(one) for one in ("legal-aid", "gas-leak")]
    opening = emergency.opened()
    await emergency.hear(opening)
    async with emergency.front.database.transaction() as session:
        await erase_subject(session, vault=emergency.front.vault, subject_id=gone.subject_id, now=datetime.now(UTC))
    answer = await emergency.read(opening)
    assert [one["request_id"] for one in answer.body["requests"]] == [str(kept.request_id)]


async def test_at_another_station_and_for_another_file_it_shows_nothing(emergency: Emergency) -> None:
    await emergency.desk.opened("legal-aid")
    elsewhere = emergency.opened(opened_by=emergency.front.vault.pairwise("staff", "collector-9"))
    await emergency.hear(elsewhere, opening := emergency.opened())
    assert (await emergency.read(elsewhere, "collector-elsewhere")).body == {"requests": []}
    emergency.desk.origin = Origin(uuid4(), uuid4(), "station-7")
    await emergency.desk.opened("legal-aid")
    assert (await emergency.read(opening)).status == 403
