"""Orders in referral's own database: whatever comes first, at once, late, twice, or from the version before."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Department, LookFinding, Outcome, Reason, Role, TaskState
from doorstep.contracts.orders import CallBack, ExtensionReason, OrderDetail, OrderTaken, ReturnReason
from doorstep.kit.auth import Principal
from doorstep.kit.migrations import migrate
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.domain.complaint_errors import HadAPart
from doorstep.referral.domain.complaints import About, Complaint, ComplaintAnswer, ComplaintFinding, Treatment
from doorstep.referral.domain.order_errors import (
    ExtensionPending,
    NotOneMatter,
    OrderAccepted,
    OrderUnknown,
    ReturnTooLate,
)
from doorstep.referral.errors import DecidedBefore, TransitionRefused, WindowClosed
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.checking import find_lost, hear_needs
from doorstep.referral.operations.complaining import answer_complaint, complain
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.looking import answer_look, ask_to_look_again
from doorstep.referral.operations.opening import Origin, open_requests
from doorstep.referral.operations.order_calling_back import report_call_back
from doorstep.referral.operations.order_extending import Extension, answer_extension, ask_for_order, ask_for_request
from doorstep.referral.operations.order_joining import decline
from doorstep.referral.operations.order_news import News, follow_orders
from doorstep.referral.operations.order_returning import join_orders, return_order
from doorstep.referral.operations.orders import take_order
from doorstep.referral.operations.ratings import rate_request

STATION = "station-7"
HOTLINE = Access(Principal("hotline-1", Role.HOTLINE, "hotline-12345", STATION))
REVIEWER = Access(Principal("reviewer-1", Role.REVIEWER, "station", STATION))
PACKAGE = "doorstep.referral:migrations"


@dataclass
class Orders:
    """A hotline and its orders at a desk."""

    desk: Any

    async def ordered(
        self,
        *,
        person: str | None = None,
        need_type: str = "wage-help",
        follow_code: str | None = None,
        also: tuple[str, ...] = (),
    ) -> tuple[OrderTaken, Any]:
        """An order as intake tells of it, and the need that triage finds in its record."""
        need = await self.desk.need(need_type, follow_code=follow_code)
        ring = await self.desk.vault.ring([need.subject_id])
        detail = OrderDetail(
            number=f"QX-{uuid4().hex[:9]}", need_types=(need_type, *also), area="330102", person=person
        )
        now = self.desk.now
        return OrderTaken(
            order_id=uuid4(), record_id=uuid4(), file_id=uuid4(), subject_id=need.subject_id, station=STATION,
            called_at=now, received_at=now, due_by=now + timedelta(days=2), detail=ring.seal(need.subject_id, detail),
        ), need  # fmt: skip

    async def take(self, taken: OrderTaken) -> None:
        async with self.desk.database.transaction() as session:
            await take_order(session, vault=self.desk.vault, taken=taken)

    async def open(self, taken: OrderTaken, need: Any) -> int:
        origin = Origin(taken.record_id, taken.file_id, STATION)
        async with self.desk.database.transaction() as session:
            await hear_needs(session, STATION, [need])
            return await open_requests(session, vault=self.desk.vault, origin=origin, needs=[need], now=self.desk.now)

    async def decline(self, taken: OrderTaken, need: Any) -> None:
        async with self.desk.database.transaction() as session:
            await decline(
                session, vault=self.desk.vault, record_id=taken.record_id, station=STATION, need=need, now=self.desk.now
            )

    async def kinds(self, taken: OrderTaken) -> list[str]:
        """The steps that the hotline is told of an order."""
        return [str(one.kind) for one in await self.told(taken)]

    async def told(self, taken: OrderTaken) -> list[News]:
        """What the hotline is told of an order from the beginning."""
        found, after = [], 0
        while True:
            async with self.desk.database.transaction() as session:
                news, last = await follow_orders(
                    session, vault=self.desk.vault, access=HOTLINE, station=STATION, after=after
                )
            if last == after:
                return [one for one in found if one.order_id == taken.order_id]
            found, after = found + news, last

    async def give_back(self, taken: OrderTaken) -> None:
        async with self.desk.database.transaction() as session:
            await return_order(
                session, vault=self.desk.vault, access=REVIEWER, station=STATION, order_id=taken.order_id,
                reason=ReturnReason.OTHER_DISTRICT, now=self.desk.now,
            )  # fmt: skip

    async def join(self, taken: OrderTaken, into: OrderTaken) -> int:
        async with self.desk.database.transaction() as session:
            return await join_orders(
                session, vault=self.desk.vault, access=REVIEWER, station=STATION, order_id=taken.order_id,
                into=into.order_id, now=self.desk.now,
            )  # fmt: skip

    async def ask_as(self, task: Any, extension: Extension) -> None:
        """A department asks for more time."""
        department = Department(task.department)
        async with self.desk.database.transaction() as session:
            await ask_for_request(
                session, vault=self.desk.vault, access=Access(self.desk.officer(department)), department=department,
                ref=task.ref, extension=extension, now=self.desk.now,
            )  # fmt: skip

    async def call_back(self, taken: OrderTaken, result: CallBack) -> bool:
        async with self.desk.database.transaction() as session:
            return await report_call_back(
                session, vault=self.desk.vault, access=HOTLINE, station=STATION, order_id=taken.order_id,
                result=result, now=self.desk.now,
            )  # fmt: skip

    async def ask(self, taken: OrderTaken, *, until: timedelta = timedelta(days=3)) -> UUID:
        asked = Extension(uuid4(), self.desk.now + until, ExtensionReason.WEATHER)
        async with self.desk.database.transaction() as session:
            await ask_for_order(
                session, vault=self.desk.vault, access=REVIEWER, station=STATION, order_id=taken.order_id,
                extension=asked, now=self.desk.now,
            )  # fmt: skip
        return asked.extension_id

    async def requests(self, taken: OrderTaken) -> set[UUID]:
        query = "SELECT request_id FROM order_request WHERE order_id = :id"
        return {row.request_id for row in await self.desk.rows(query, id=taken.order_id)}


@pytest.fixture
def orders(desk: Any) -> Orders:
    """The desk's hotline."""
    return Orders(desk)


def failures(found: Sequence[Any]) -> list[type]:
    return [type(one) for one in found if isinstance(one, BaseException)]


@pytest.mark.parametrize("first", ["order", "needs"])
async def test_an_order_and_its_requests_find_each_other_whichever_comes_first(orders, first) -> None:
    taken, need = await orders.ordered()
    if first == "order":
        await orders.take(taken)
    await orders.open(taken, need)
    if first == "needs":
        await orders.take(taken)
    await orders.take(taken)  # told again, it changes nothing
    task = await orders.desk.task(need.need_id)
    assert (await orders.requests(taken), task.hotline_due_by) == ({task.request_id}, taken.due_by)
    assert await orders.kinds(taken) == ["received"]
    await orders.desk.step(task, TaskState.ACCEPTED)
    assert await orders.kinds(taken) == ["received", "accepted"]


@pytest.mark.parametrize("first", ["order", "declined"])
async def test_an_order_ends_in_which_no_need_was_found_also_before_it_came(orders, first) -> None:
    taken, need = await orders.ordered(need_type="blocked-exit")
    if first == "order":
        await orders.take(taken)
    for _ in range(2):  # told again, it changes nothing
        await orders.decline(taken, need)
    if first == "declined":
        await orders.take(taken)
    assert await orders.kinds(taken) == ["received", "ended"]


@pytest.mark.parametrize("first", ["order", "declined"])
async def test_one_of_two_needs_that_is_declined_twice_does_not_end_an_order(orders, first) -> None:
    taken, need = await orders.ordered(need_type="blocked-exit", also=("stairwell-charging",))
    for _ in range(2):
        await (orders.take(taken) if first == "order" else orders.decline(taken, need))
    for _ in range(2):
        await (orders.decline(taken, need) if first == "order" else orders.take(taken))
    assert await orders.kinds(taken) == ["received"]
    [row] = await orders.desk.rows("SELECT declined FROM hotline_order WHERE order_id = :id", id=taken.order_id)
    assert row.declined == 1


@pytest.mark.parametrize("what", ["opened", "declined"])
async def test_what_could_not_see_an_order_that_came_at_the_same_moment_is_found_at_the_next_look(orders, what) -> None:
    taken, need = await orders.ordered()
    async with orders.desk.database.transaction() as session:
        await take_order(session, vault=orders.desk.vault, taken=taken)
        await (orders.open(taken, need) if what == "opened" else orders.decline(taken, need))
    assert await orders.requests(taken) == set()
    if what == "declined":
        assert await orders.kinds(taken) == ["received", "ended"]
        return
    assert await orders.kinds(taken) == ["received"]
    task = await orders.desk.task(need.need_id)
    assert (await orders.requests(taken), task.hotline_due_by) == ({task.request_id}, taken.due_by)
    await orders.desk.step(task, TaskState.ACCEPTED)
    assert await orders.kinds(taken) == ["received", "accepted"]


async def test_of_the_erased_nothing_is_kept_that_was_declined(orders) -> None:
    taken, need = await orders.ordered()
    await orders.decline(taken, need)
    query = "SELECT 1 FROM declined_need WHERE subject_id = :id"
    assert len(await orders.desk.rows(query, id=taken.subject_id)) == 1
    async with orders.desk.database.transaction() as session:
        await erase_subject(session, vault=orders.desk.vault, subject_id=taken.subject_id, now=orders.desk.now)
    assert await orders.desk.rows(query, id=taken.subject_id) == []
    await orders.decline(taken, need)
    assert await orders.desk.rows(query, id=taken.subject_id) == []


async def test_what_was_closed_and_opened_anew_between_two_looks_is_told_in_order(orders) -> None:
    code, desk = uuid4().hex, orders.desk
    taken, need = await orders.ordered(follow_code=code)
    await orders.take(taken)
    await orders.open(taken, need)
    for solved in (False, True):
        task = await desk.task(need.need_id)
        await desk.step(task, TaskState.ACCEPTED)
        await desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
        desk.now += timedelta(minutes=1)
        async with desk.database.transaction() as session:
            said = {"ref": task.follow_ref, "solved": solved, "stars": 1, "now": desk.now}
            await rate_request(session, vault=desk.vault, follow_index=desk.vault.follow_index(code), **said)
    assert await orders.kinds(taken) == ["received", "accepted", "done", "reopened", "accepted", "done"]
    assert len(await orders.requests(taken)) == 2
    assert (await desk.task(need.need_id)).hotline_due_by is None  # for what goes on its time is over


async def test_two_orders_of_one_person_at_once_open_one_request(orders) -> None:
    person = uuid4().hex
    pairs = [await orders.ordered(person=person) for _ in range(4)]
    for taken, _ in pairs:
        await orders.take(taken)
    opened = await asyncio.gather(*(orders.open(*pair) for pair in pairs))
    assert sorted(opened) == [0, 0, 0, 1]
    assert len(set.union(*[await orders.requests(taken) for taken, _ in pairs])) == 1
    async with orders.desk.database.transaction() as session:
        lost = {str(one.loss): one.ids for one in await find_lost(session)}
    assert not {need.need_id for _, need in pairs} & {one for ids in lost.values() for one in ids}


async def test_who_joins_what_is_just_taken_back_is_not_left_without_a_request(orders) -> None:
    for _ in range(4):
        person = uuid4().hex
        (first, need), (second, again) = [await orders.ordered(person=person) for _ in range(2)]
        for taken in (first, second):
            await orders.take(taken)
        await orders.open(first, need)
        await asyncio.gather(orders.give_back(first), orders.open(second, again))
        [answering] = await orders.requests(second)
        task = await orders.desk.task(again.need_id if answering not in await orders.requests(first) else need.need_id)
        assert task.state == "requested"


async def test_a_request_that_answers_a_third_order_goes_on_when_one_is_joined_elsewhere(orders) -> None:
    person = uuid4().hex
    (one, need), (third, asks), (other, own) = [await orders.ordered(person=person) for _ in range(3)]
    await orders.open(other, own)  # its needs overtook it
    for taken in (one, third, other):
        await orders.take(taken)
    async with orders.desk.database.transaction() as session:
        await session.execute(
            text("UPDATE hotline_order SET person_index = NULL WHERE order_id = :id"), {"id": other.order_id}
        )
    await orders.open(one, need)
    await orders.open(third, asks)
    assert await orders.requests(one) == await orders.requests(third)
    async with orders.desk.database.transaction() as session:
        await session.execute(
            text("UPDATE hotline_order SET person_index = :index WHERE order_id = :id"),
            {"index": bytes.fromhex(person), "id": other.order_id},
        )
    await orders.join(one, other)
    assert await orders.requests(one) == await orders.requests(other)
    assert (await orders.desk.task(need.need_id)).state == "requested"
    assert await orders.kinds(third) == ["received"]


async def test_two_withheld_orders_of_one_person_open_two_requests_and_keep_no_index(orders) -> None:
    person = uuid4().hex
    pairs = [await orders.ordered(person=person, need_type="legal-aid") for _ in range(2)]
    for taken, need in pairs:
        await orders.take(taken)
        assert await orders.open(taken, need) == 1
    rows = await orders.desk.rows(
        "SELECT person_index FROM hotline_order WHERE order_id = ANY(:ids)", ids=[taken.order_id for taken, _ in pairs]
    )
    assert [row.person_index for row in rows] == [None, None]


async def test_a_joined_order_is_told_nothing_of_before_it_was_received(orders) -> None:
    person, desk = uuid4().hex, orders.desk
    first, need = await orders.ordered(person=person)
    await orders.take(first)
    await orders.open(first, need)
    await desk.step(await desk.task(need.need_id), TaskState.ACCEPTED)
    desk.now += timedelta(hours=5, seconds=7)
    second, again = await orders.ordered(person=person)
    await orders.take(second)
    assert await orders.open(second, again) == 0
    news = await orders.told(second)
    assert [(str(one.kind), one.at) for one in news] == [("received", desk.now), ("accepted", desk.now)]


async def test_two_orders_that_are_joined_into_each_other_at_once_wait_and_do_not_fail(orders) -> None:
    for _ in range(3):
        person = uuid4().hex
        pairs = [await orders.ordered(person=person) for _ in range(2)]
        for taken, need in pairs:  # the needs came before the orders, so that each opened a request
            await orders.open(taken, need)
            await orders.take(taken)
        (one, _), (other, _) = pairs
        found = await asyncio.gather(orders.join(one, other), orders.join(other, one), return_exceptions=True)
        assert failures(found) == [NotOneMatter], found
        assert await orders.requests(one) == await orders.requests(other)


async def test_of_what_health_completed_after_the_order_came_no_outcome_is_told(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    await orders.desk.step(await orders.desk.task(need.need_id), TaskState.REJECTED, reason=Reason.NOT_OURS)
    await orders.desk.hand_on(await orders.desk.task(need.need_id), "health")
    task = await orders.desk.task(need.need_id)
    assert task.department == "health"
    await orders.desk.step(task, TaskState.ACCEPTED)
    await orders.desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    news = await orders.told(taken)
    assert [(str(one.kind), one.detail.outcome) for one in news] == [
        ("received", None), ("accepted", None), ("done", None),
    ]  # fmt: skip


async def test_what_another_part_does_is_no_step_of_an_order(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    lead = await orders.desk.task(need.need_id)
    part = await orders.desk.add(lead, "civil-affairs", "temporary-relief")
    await orders.desk.step(part, TaskState.ACCEPTED, version=1)
    assert await orders.kinds(taken) == ["received"]
    await orders.desk.step(lead, TaskState.ACCEPTED, version=1)
    await orders.desk.step(lead, TaskState.COMPLETED, version=2, outcome=Outcome.SERVICE_PROVIDED)
    assert await orders.kinds(taken) == ["received", "accepted", "done"]
    later = Extension(uuid4(), orders.desk.now + timedelta(days=3), ExtensionReason.WEATHER)
    with pytest.raises(OrderUnknown):  # it does not lead
        await orders.ask_as(part, later)


async def test_a_replayed_need_of_a_joined_order_opens_nothing_even_when_all_is_closed(orders) -> None:
    person = uuid4().hex
    (first, need), (second, again) = [await orders.ordered(person=person) for _ in range(2)]
    for taken, one in ((first, need), (second, again)):
        await orders.take(taken)
        await orders.open(taken, one)
    task = await orders.desk.task(need.need_id)
    await orders.desk.step(task, TaskState.ACCEPTED)
    await orders.desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    assert await orders.open(second, again) == 0
    assert await orders.kinds(second) == ["received", "accepted", "done"]


async def test_what_triage_finds_besides_is_none_of_the_hotlines(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    other = await orders.desk.need("legal-aid", subject=need.subject_id)
    assert await orders.open(taken, other) == 1
    assert await orders.requests(taken) == set()
    assert (await orders.desk.task(other.need_id)).hotline_due_by is None


async def test_an_order_that_was_returned_before_triage_looked_opens_nothing(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.give_back(taken)
    assert await orders.open(taken, need) == 0
    assert await orders.kinds(taken) == ["received", "returned"]


async def test_a_return_and_an_acceptance_at_once_do_not_both_happen(orders) -> None:
    for _ in range(3):
        taken, need = await orders.ordered()
        await orders.take(taken)
        await orders.open(taken, need)
        task = await orders.desk.task(need.need_id)
        steps = (orders.give_back(taken), orders.desk.step(task, TaskState.ACCEPTED, version=1))
        found = await asyncio.gather(*steps, return_exceptions=True)
        assert len(failures(found)) == 1, found
        state = (await orders.desk.task(need.need_id)).state
        assert state == ("accepted" if isinstance(found[0], OrderAccepted) else "cancelled")


async def test_who_returned_an_order_answers_no_look_or_complaint_about_it(orders) -> None:
    desk, code, look_id, complaint_id = orders.desk, uuid4().hex, uuid7(), uuid7()
    taken, need = await orders.ordered(follow_code=code)
    await orders.take(taken)
    await orders.open(taken, need)
    await orders.give_back(taken)
    task, index = await desk.task(need.need_id), desk.vault.follow_index(code)
    said = Complaint(about=About.STATION, treatment=(Treatment.RUDE,), text="不受理")
    async with desk.database.transaction() as session:
        follow = {"vault": desk.vault, "follow_index": index, "ref": task.follow_ref, "now": desk.now}
        await ask_to_look_again(session, look_id=look_id, **follow)
        await complain(session, complaint_id=complaint_id, content=said, staff=(), **follow)
    returner = Principal(REVIEWER.principal.subject, Role.SUPERVISOR, "station", STATION)
    other = Principal("supervisor-8", Role.SUPERVISOR, "station", STATION)
    right = ComplaintAnswer(finding=ComplaintFinding.UPHELD, text="已核实")
    how = {"vault": desk.vault, "station": STATION, "request_id": task.request_id, "now": desk.now}

    async def answer(who: Principal, *, look: bool) -> None:
        async with desk.database.transaction() as session:
            if look:
                finding = LookFinding.STANDS
                await answer_look(session, access=Access(who), look_id=look_id, finding=finding, **how)
            else:
                await answer_complaint(session, access=Access(who), complaint_id=complaint_id, answer=right, **how)

    with pytest.raises(DecidedBefore):
        await answer(returner, look=True)
    with pytest.raises(HadAPart):
        await answer(returner, look=False)
    await answer(other, look=False)


async def test_after_a_working_day_nothing_is_returned(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    orders.desk.now += timedelta(days=2)
    with pytest.raises(ReturnTooLate):
        await orders.give_back(taken)
    assert (await orders.desk.task(need.need_id)).state == "requested"


async def test_after_seven_days_not_satisfied_opens_nothing(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    task = await orders.desk.task(need.need_id)
    await orders.desk.step(task, TaskState.ACCEPTED)
    await orders.desk.step(task, TaskState.FAILED, reason=Reason.NOT_SOLVABLE)
    assert await orders.kinds(taken) == ["received", "accepted", "ended"]
    orders.desk.now += timedelta(days=7, minutes=1)
    with pytest.raises(WindowClosed):
        await orders.call_back(taken, CallBack.NOT_SATISFIED)
    assert await orders.call_back(taken, CallBack.NOT_REACHED) is False


async def test_what_was_closed_too_long_ago_keeps_nothing_else_from_being_opened_anew(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    later = await orders.desk.opened("wage-help")
    async with orders.desk.database.transaction() as session:
        link = "INSERT INTO order_request (order_id, request_id, need_id) VALUES (:order_id, :request_id, :need_id)"
        values = {"order_id": taken.order_id, "request_id": later.request_id, "need_id": later.need_id}
        await session.execute(text(link), values)
    for task in (await orders.desk.task(need.need_id), later):
        await orders.desk.step(task, TaskState.ACCEPTED)
        await orders.desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
        orders.desk.now += timedelta(days=5)
    assert (await orders.kinds(taken))[-1] == "done"
    assert await orders.call_back(taken, CallBack.NOT_SATISFIED) is True
    found = await orders.desk.rows("SELECT continues FROM request WHERE continues IS NOT NULL")
    continued = {row.continues for row in found}
    assert later.request_id in continued
    assert (await orders.desk.task(need.need_id)).request_id not in continued


async def test_of_two_who_ask_for_time_at_once_one_is_heard(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    found = await asyncio.gather(*(orders.ask(taken) for _ in range(3)), return_exceptions=True)
    assert failures(found) == [ExtensionPending, ExtensionPending]
    [asked] = [one for one in found if isinstance(one, UUID)]
    async with orders.desk.database.transaction() as session:
        due = await answer_extension(
            session, vault=orders.desk.vault, access=HOTLINE, station=STATION, order_id=taken.order_id,
            extension_id=asked, granted=True, now=orders.desk.now,
        )  # fmt: skip
    task = await orders.desk.task(need.need_id)
    assert task.hotline_due_by == due == orders.desk.now + timedelta(days=3)


async def test_of_somebody_erased_no_order_is_kept_however_late_it_comes(orders) -> None:
    taken, _ = await orders.ordered()
    async with orders.desk.database.transaction() as session:
        await erase_subject(session, vault=orders.desk.vault, subject_id=taken.subject_id, now=orders.desk.now)
    await orders.take(taken)
    assert await orders.desk.rows("SELECT 1 FROM hotline_order WHERE order_id = :id", id=taken.order_id) == []
    with pytest.raises(OrderUnknown):
        await orders.give_back(taken)


async def test_whom_a_person_excludes_finds_no_order_of_theirs(orders) -> None:
    taken, _ = await orders.ordered()
    await orders.take(taken)
    who = orders.desk.vault.pairwise("staff", REVIEWER.principal.subject)
    async with orders.desk.database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO exclusion (subject_id, staff) VALUES ($1, $2)", (taken.subject_id, who)
        )
    with pytest.raises(OrderUnknown):
        await orders.give_back(taken)


def before(connection: Connection) -> None:
    """Bring a database to the revision before there were orders."""
    module, _, folder = PACKAGE.partition(":")
    scripts = ScriptDirectory(str(files(module) / folder))
    [revision] = scripts.get_revisions("referral_0020")
    steps = {"fn": lambda found, _: scripts._upgrade_revs(str(revision.down_revision), found)}
    with EnvironmentContext(Config(), scripts, **steps) as environment:
        environment.configure(connection=connection, version_table="version_referral")
        with environment.begin_transaction():
            environment.run_migrations()


async def test_requests_of_before_answer_no_order_and_the_version_before_goes_on_moving_them(own_databases) -> None:
    url = await own_databases.new(KIT_TABLES)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(before)
    await engine.dispose()
    old = await asyncpg.connect(url.replace("+asyncpg", ""))
    request = uuid4()
    await old.execute(
        "INSERT INTO request (request_id, need_id, record_id, file_id, subject_id, station, opened_at, follow_ref,"
        " confidential, legal_basis, content)"
        " VALUES ($1, $1, $1, $1, $1, 'station-7', now(), $1, false, 'consent', '\\x00')",
        request,
    )
    task = (
        "INSERT INTO task (task_id, request_id, sequence, department, ref, state, version, opened_at, respond_by,"
        " complete_by, provisional) VALUES ($1, $2, $3, 'labour', $1, 'requested', 1, now(), now(), now(), false)"
    )
    await old.execute(task, uuid4(), request, 1)
    await migrate(url, KIT_TABLES, PACKAGE)
    await old.execute("UPDATE task SET state = 'rejected', version = 2")
    await old.execute(task, uuid4(), request, 2)
    assert await old.fetchval("SELECT hotline_due_by FROM request") is None
    assert await old.fetchval("SELECT count(*) FROM task") == 2
    await old.close()


async def test_a_step_that_is_refused_tells_the_hotline_nothing(orders) -> None:
    taken, need = await orders.ordered()
    await orders.take(taken)
    await orders.open(taken, need)
    task = await orders.desk.task(need.need_id)
    with pytest.raises(TransitionRefused):
        await orders.desk.step(task, TaskState.COMPLETED, outcome=Outcome.GRANTED)
    assert await orders.kinds(taken) == ["received"]
