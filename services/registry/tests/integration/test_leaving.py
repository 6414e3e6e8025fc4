"""Files and persons of before the registry knew departures and guardians are left, and guarded, all the same."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import SaidBy
from doorstep.kit.migrations import migrate

BEFORE = (
    "DROP INDEX person_paper_person",
    "DROP TABLE departure, guardianship",
    "DROP TABLE plan_contest, plan_meeting, plan_member, plan_seat, plan_proposal, care_plan",
    "ALTER TABLE file DROP apart",
    "UPDATE version_registry SET version_num = 'registry_0005'",
)


async def test_a_file_of_before_is_left_and_guarded_once_it_is_migrated(
    files: Any, person: Callable[..., Any], dwelling: Callable[..., Any], fact: Callable[..., Any]
) -> None:
    year = fact("identity.birth-year", 2020, said_by=SaidBy.GUARDIAN)
    event = await files.taken(person(), person(None, year), dwelling(fact("dwelling.wiring", "unsafe")))
    for statement in BEFORE:
        async with files.desk.database.transaction() as session:
            await session.execute(text(statement))
    url = files.desk.database.engine.url.render_as_string(hide_password=False)
    await migrate(url, "doorstep.registry:migrations")
    mother, child, _ = (one.subject_id for one in event.subjects)
    path, why = f"/api/files/{event.file_id}/subjects/{child}", {"doorstep_purpose": "resident-request"}
    body = {"id": str(uuid7()), "guardian": str(mother), "basis": "parent"}
    guarded = await files.desk.call("PUT", f"{path}/guardian", "reviewer", body, **why)
    assert guarded.status == 200
    left = await files.desk.call("POST", f"{path}/departure", "reviewer", {"id": str(uuid7())}, **why)
    assert left.status == 201
    shown = [(await files.look(one)).body["subjects"] for one in (event.file_id, UUID(left.body["file_id"]))]
    assert [len(one) for one in shown] == [2, 1]
    assert [one["code"] for one in shown[1][0]["facts"]] == ["identity.birth-year"]
