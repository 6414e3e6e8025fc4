"""Whom an emergency access may name as the second: somebody of the station who was here lately, and nobody else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Department, Role
from doorstep.kit.auth import Principal
from doorstep.kit.policy import NEVER, AgencyKind, Policy
from doorstep.registry.operations import roster
from doorstep.registry.operations.roster import SEEN_DAYS, belongs, forget_unseen, see

POLICY = Policy()
SERVING = {Role.COLLECTOR, Role.REVIEWER, Role.SUPERVISOR}
TODAY = datetime.now(UTC).date()


class Station:
    """People of any kind, who look in, and a collector who names them."""

    def __init__(self, files: Any, file_id: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self.file_id, self.people = files.desk, file_id, {}
        verify = self.desk.call.verify

        async def known(token: str) -> Principal:
            return self.people[token] if token in self.people else await verify(token)

        monkeypatch.setattr(self.desk.call, "verify", known)

    async def look_in(self, principal: Principal) -> Any:
        self.people["them"] = principal
        return await self.desk.call("GET", "/api/break-glass", "them")

    async def name(self, second: str, **more: Any) -> Any:
        body = {"id": str(uuid7()), "reason": "danger-to-life", "second": second, **more}
        return await self.desk.call("POST", f"/api/files/{self.file_id}/break-glass", "collector", body)

    async def days(self, name: str) -> list[Any]:
        person = self.desk.vault.pairwise("staff", name)
        return [row[0] for row in await self.desk.rows("SELECT seen_on FROM roster WHERE person = :id", id=person)]


@pytest.fixture
async def station(files: Any, person: Any, monkeypatch: pytest.MonkeyPatch) -> Station:
    taken = await files.taken(person())
    return Station(files, taken.file_id, monkeypatch)


def staff(name: str, role: Role = Role.SUPERVISOR, agency: str = "station", at: str | None = "station-7") -> Principal:
    return Principal(name, role, agency, at)


async def test_who_looked_in_can_be_named_and_who_never_did_cannot(station: Station) -> None:
    unknown = await station.name("supervisor-2")
    assert (unknown.status, unknown.body["type"]) == (422, "urn:doorstep:problem:second-unknown")
    [fault] = unknown.body["errors"]
    assert fault["pointer"] == "/second"
    assert f"{SEEN_DAYS} days" in str(unknown.body)
    assert "supervisor-2" not in unknown.raw.decode()
    assert (await station.look_in(staff("supervisor-2"))).status == 200
    assert (await station.name("supervisor-2")).status == 201
    assert (await station.name("Supervisor-2")).status == 422


async def test_nothing_is_opened_told_or_logged_for_a_second_who_is_nobody(station: Station) -> None:
    answer = await station.name("nobody-here", id=(opening := str(uuid7())))
    assert answer.status == 422
    for query in ("SELECT 1 FROM break_glass WHERE break_glass_id = :id",
                  "SELECT 1 FROM opened_file WHERE opening_id = :id"):  # fmt: skip
        assert await station.desk.rows(query, id=opening) == []
    await station.look_in(staff("nobody-here"))
    assert (await station.name("nobody-here", id=opening)).status == 201  # the same command, once they were here


async def test_whoever_names_themselves_is_told_so(station: Station) -> None:
    assert (await station.desk.call("GET", "/api/break-glass", "collector")).status == 200
    answer = await station.name("collector-1")
    assert (answer.status, answer.body["type"]) == (422, "urn:doorstep:problem:invalid")


@pytest.mark.parametrize(
    ("role", "agency", "at"),
    [
        (Role.SUPERVISOR, "station", "station-9"),
        (Role.SUPERVISOR, "station", None),
        (Role.COLLECTOR, "community-office", "station-7"),
        (Role.OFFICER, "fire", "station-7"),
        (Role.AUDITOR, "audit-office", "station-7"),
        (Role.OPERATOR, "station", "station-7"),
        (Role.SUPERVISOR, "somewhere", "station-7"),
        *((Role.SUPERVISOR, str(agency), "station-7") for agency in sorted(NEVER)),
    ],
)
async def test_who_is_not_of_the_station_is_never_named(station: Station, role: Role, agency: str, at: Any) -> None:
    name = f"{role}-{agency}-{at}"
    await station.look_in(staff(name, role, agency, at))
    assert (await station.name(name)).status == 422


@pytest.mark.parametrize("agency", sorted(NEVER))
async def test_who_comes_from_a_forbidden_agency_is_taken_off_at_once(station: Station, agency: str) -> None:
    name = f"moved-to-{agency}"
    await station.look_in(staff(name))
    assert await station.days(name) == [TODAY]
    assert (await station.look_in(staff(name, agency=agency))).status == 403
    assert await station.days(name) == []
    assert (await station.name(name)).status == 422


async def test_who_was_not_seen_for_a_month_is_nobody_and_forgotten(station: Station) -> None:
    for name, ago in (("long-gone", SEEN_DAYS + 1), ("on-leave", SEEN_DAYS)):
        async with station.desk.database.transaction() as session:
            day = TODAY - timedelta(days=ago)
            await see(session, vault=station.desk.vault, principal=staff(name), today=day)
    assert (await station.name("long-gone")).status == 422
    assert (await station.name("on-leave")).status == 201
    async with station.desk.database.transaction() as session:
        await forget_unseen(session, today=TODAY)
    assert (await station.days("long-gone"), len(await station.days("on-leave"))) == ([], 1)


async def test_somebody_is_written_down_once_a_day_also_when_they_are_refused(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    async def counting(*given: Any, **more: Any) -> None:
        written.append(more["principal"].subject)
        await see(*given, **more)

    monkeypatch.setattr(roster, "see", counting)
    station.people["them"] = staff("refused")
    for _ in range(3):
        assert (await station.desk.call("GET", f"/api/files/{station.file_id}", "them")).status == 403
    assert written == ["refused"]
    assert await station.days("refused") == [TODAY]


async def test_what_could_not_be_written_down_is_tried_again(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """What a process does not survive."""

    async def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(roster, "see", die)
        with pytest.raises(Killed):
            await station.look_in(staff("unlucky"))
    assert await station.days("unlucky") == []
    await station.look_in(staff("unlucky"))
    assert await station.days("unlucky") == [TODAY]


def test_on_the_roster_is_whom_policy_lets_acknowledge_an_emergency_access() -> None:
    agencies = [*AgencyKind, *Department, "somewhere"]
    found = {(role, agency) for role in Role for agency in agencies if belongs(POLICY, staff("s", role, str(agency)))}
    assert found == {(role, AgencyKind.STATION) for role in SERVING}


async def test_the_roster_holds_pseudonyms_and_days_alone(station: Station) -> None:
    await station.look_in(staff("supervisor-3"))
    rows = await station.desk.rows("SELECT * FROM roster")
    assert "supervisor-3" not in str(rows)
    assert set(rows[0]._fields) == {"station", "person", "seen_on"}
