"""The steps of an erased subject are in no journey any more, however late they come."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from doorstep.contracts.registry import SubjectErased


async def erase(way, subject: UUID) -> None:
    await way.tell(SubjectErased(subject_id=subject, erasure_id=uuid4(), erased_at=datetime.now(UTC)))


async def kinds(way) -> list[str]:
    return [step["kind"] for step in (await way.look()).body["steps"]]


async def test_its_steps_go_and_those_of_the_others_stay(desk, way) -> None:
    await way.asserted(way.person, way.dwelling)
    request = await way.opened()
    for _ in range(2):
        await erase(way, way.person)
    assert await kinds(way) == ["recorded", "facts-asserted"]
    assert (await way.look()).body["steps"][1]["subject_id"] == str(way.dwelling)
    assert str(request) not in (await way.look()).raw.decode()
    query = "SELECT CAST(s AS text) FROM journey_step s WHERE record_id = :id"
    assert str(way.person) not in str(await desk.rows(query, id=way.record_id))


async def test_steps_that_come_late_are_not_added(way) -> None:
    await erase(way, way.person)
    await way.asserted(way.person, way.dwelling)
    await way.moved(await way.opened())
    assert await kinds(way) == ["recorded", "facts-asserted"]


async def test_steps_and_erasure_at_once_leave_nothing(way) -> None:
    await asyncio.gather(*(way.opened() for _ in range(6)), erase(way, way.person))
    assert await kinds(way) == ["recorded"]
