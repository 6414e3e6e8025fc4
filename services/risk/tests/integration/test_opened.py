"""What triage is told of a file opened in an emergency opens its assessments, to whom and while it says so."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from doorstep.contracts.codes import Role
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.registry import FileOpened
from doorstep.kit.auth import Principal
from doorstep.kit.consumer import Received
from doorstep.kit.testing import golden
from doorstep.risk.consumers import handlers
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack
from doorstep.risk.operations import erase_subject

PACK = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
HOUR = timedelta(hours=1)
HEALTH = "health.chronic-illness"


class Emergency:
    """The consumer of openings, and a collector who reads for one."""

    def __init__(self, desk, keys, call):
        self.desk, self.call = desk, call
        self.consume = handlers(keys, PACK)[FileOpened]
        self.who = keys.pairwise("staff", "collector-1")
        here = {name: Principal("collector-1", Role.COLLECTOR, "station", at)
                for name, at in (("opener", "station-7"), ("opener-elsewhere", "station-8"))}  # fmt: skip
        call.principals = call.principals | here

    def opened(self, file_id: UUID, ago: timedelta = timedelta(0), **more) -> FileOpened:
        at = datetime.now(UTC) - ago
        known = {"opening_id": uuid4(), "file_id": file_id, "opened_by": self.who, "opened_at": at, "until": at + HOUR}
        return FileOpened(**known | more)

    async def hear(self, *events: FileOpened) -> None:
        """Take events, in one transaction as the consumer takes a batch."""
        envelope = golden("registry.file-opened.v1").received.envelope
        async with self.desk.database.transaction() as session:
            for event in events:
                await self.consume(session, Received(envelope, event))

    async def read(self, record_id: UUID, opening: FileOpened, token: str = "opener"):  # noqa: S107
        path, case = f"/api/assessments/{record_id}", str(opening.opening_id)
        return await self.call("GET", path, token=token, purpose="emergency", case=case)


@pytest.fixture
def emergency(desk, keys, call) -> Emergency:
    return Emergency(desk, keys, call)


@pytest.fixture
async def event(desk, fact):
    """The facts of a record that triage has taken."""
    return await desk.assessed(person=[fact(HEALTH)], dwelling=[fact("dwelling.gas-hose", "expired")])


async def test_it_opens_to_who_opened_it_and_to_nobody_else(emergency, event) -> None:
    opening = emergency.opened(event.file_id)
    assert (await emergency.read(event.record_id, opening)).status == 403
    await emergency.hear(opening)
    answer = await emergency.read(event.record_id, opening)
    assert answer.status == 200
    assert HEALTH in {fact["code"] for need in answer.body["needs"] for fact in need["facts"]}
    for token in ("reviewer", "own-reviewer", "officer"):
        expected = 200 if token == "own-reviewer" else 403
        assert (await emergency.read(event.record_id, opening, token)).status == expected, token


async def test_told_twice_it_is_open_once_and_no_longer(emergency, event) -> None:
    opening = emergency.opened(event.file_id, ago=timedelta(minutes=59, seconds=59))
    later = opening.model_copy(update={"until": opening.until + HOUR})
    await emergency.hear(opening, opening)
    await emergency.hear(later)
    rows = await emergency.desk.rows("SELECT until FROM opened_file WHERE opening_id = :id", id=opening.opening_id)
    assert [row.until for row in rows] == [opening.until]


async def test_out_of_order_each_opening_is_its_own_and_may_come_before_the_record(emergency, desk, fact) -> None:
    event = await desk.facts(person=[fact("wish.legal-aid")])
    older, newer = emergency.opened(event.file_id, ago=HOUR / 2), emergency.opened(event.file_id)
    await emergency.hear(newer, older)
    assert (await emergency.read(event.record_id, newer)).status in (403, 404)
    await desk.assess(event)
    assert [(await emergency.read(event.record_id, one)).status for one in (newer, older)] == [200, 200]


async def test_what_is_over_when_it_comes_opens_nothing_and_is_forgotten(emergency, event) -> None:
    over, fresh = emergency.opened(event.file_id, ago=2 * HOUR), emergency.opened(event.file_id)
    await emergency.hear(over)
    assert (await emergency.read(event.record_id, over)).status == 403
    await emergency.hear(fresh)
    assert await emergency.desk.rows("SELECT 1 FROM opened_file WHERE opening_id = :id", id=over.opening_id) == []
    assert (await emergency.read(event.record_id, fresh)).status == 200


async def test_it_shows_nothing_of_who_was_erased_before_or_after(emergency, desk, event) -> None:
    opening = emergency.opened(event.file_id)
    await emergency.hear(opening)
    async with desk.database.transaction() as session:
        await erase_subject(session, subject_id=desk.subjects["person"])
    answer = await emergency.read(event.record_id, opening)
    assert {one["subject_id"] for one in answer.body["subjects"]} == {str(desk.subjects["dwelling"])}
    assert HEALTH not in str(answer.body)


async def test_at_another_station_and_for_another_file_it_opens_nothing(emergency, desk, event, fact) -> None:
    opening = emergency.opened(event.file_id)
    await emergency.hear(opening)
    assert (await emergency.read(event.record_id, opening, "opener-elsewhere")).status == 404
    other = await desk.assessed(person=[fact("wish.legal-aid")])
    assert (await emergency.read(other.record_id, opening)).status == 403
