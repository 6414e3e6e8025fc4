"""What the published rules of conduct find in what the log says, and what they let be."""

import base64
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorstep.audit.domain.conduct import READS, Cases, Deed, Finding, Watch
from doorstep.audit.domain.conduct_rules import CompiledConduct, compile_conduct, published_conduct
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, Role
from doorstep.kit.calendar import worked

PUBLISHED = published_conduct()
NOON = datetime(2026, 11, 18, 4, 0, tzinfo=UTC)
"""Noon of a Wednesday in Shanghai."""
SINCE, UNTIL = NOON - timedelta(days=3), NOON + timedelta(days=3)
NONCE = base64.b64encode(bytes(32)).decode()


def deed(at: datetime = NOON, *, subjects: tuple[UUID, ...] = (), tied: bool = False, **said: Any) -> Deed:
    """A reviewer of station-1 reads a record for triage, unless `said` says otherwise."""
    usual = {
        "action": Action.READ_RECORD, "outcome": "done", "actor": "r-1", "role": "reviewer", "agency": "station",
        "station": "station-1", "purpose": "triage", "case": "record-1",
    }  # fmt: skip
    at_us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    detail = AuditDetail(**({"nonce": NONCE, "at_us": at_us, "service": "intake"} | usual | said))
    hour = at.replace(minute=0, second=0, microsecond=0)
    return Deed(uuid4(), 7, hour, frozenset(subjects or (uuid4(),)), detail, tied)


def found(
    *deeds: Deed, before: tuple[Deed, ...] = (), conduct: CompiledConduct = PUBLISHED, since: datetime = SINCE
) -> dict[str, list[Finding]]:
    """What the rules find, by rule; of rules that find nothing there is nothing."""
    cases = Cases()
    for one in (*before, *deeds):
        cases.learn(one)
    watch = Watch(conduct, cases, worked, since=since, until=UNTIL)
    for one in sorted(deeds, key=lambda one: one.at):
        watch.take(one)
    by_rule = {one.rule.id: watch.findings(one.rule.id) for one in conduct.rules}
    return {rule: findings for rule, findings in by_rule.items() if findings}


def test_everyday_work_is_no_finding() -> None:
    subject = uuid4()
    visit = deed(action=Action.RECORD_VISIT, actor="c-1", role="collector", subjects=(subject,))
    assert found(visit, *(deed(subjects=(subject,)) for _ in range(50))) == {}


def test_a_read_for_no_case_is_found_and_cites_its_entry() -> None:
    read = deed(case=None)
    [finding] = found(read)["read-without-a-case"]
    assert [(one.entry_id, one.index) for one in finding.cited] == [(read.entry_id, 7)]
    assert (finding.who.actor, finding.who.role, finding.who.station) == ("r-1", "reviewer", "station-1")
    assert (finding.first, finding.last, finding.reached) == (NOON, NOON, None)
    assert found(deed(case=None, record="record-1")) == {}
    assert found(deed(case=None, action=Action.LIST_REQUESTS)) == {}


def test_reads_of_one_actor_on_one_day_are_one_finding_and_nobody_elses() -> None:
    reads = [deed(NOON + timedelta(hours=at), case=None) for at in (0, 1, 24)]
    other, officer = deed(case=None, actor="r-2"), deed(case=None, role="officer", agency="fire", station=None)
    findings = found(*reads, other, officer)["read-without-a-case"]
    assert sorted((one.who.actor, one.who.role, len(one.cited)) for one in findings) == [
        ("r-1", "officer", 1), ("r-1", "reviewer", 1), ("r-1", "reviewer", 2), ("r-2", "reviewer", 1),
    ]  # fmt: skip
    assert [one.first for one in findings] == sorted(one.first for one in findings)


def step(hours: float, state: str, request: str = "request-1") -> Deed:
    action = Action.OPEN_REQUEST if state == "done" else Action.TRANSITION_TASK
    return deed(NOON + timedelta(hours=hours), action=action, outcome=state, case=request, record="record-1")


@pytest.mark.parametrize(
    ("steps", "purpose", "expected"),
    [
        ([step(-9, "done"), step(-2, "completed")], "triage", True),
        ([step(-9, "done"), step(-2, "completed")], "follow-up", False),
        ([step(-99, "done"), step(-73, "completed")], "follow-up", True),
        ([step(-9, "done"), step(-0.5, "completed")], "triage", False),
        ([step(-9, "done"), step(-2, "rejected")], "triage", False),
        ([step(-9, "done"), step(-2, "cancelled")], "triage", True),
        ([step(-9, "done"), step(-2, "accepted")], "triage", False),
        ([step(-9, "done"), step(2, "completed")], "triage", False),
        ([step(-9, "done"), step(-2, "completed"), step(-9, "done", "request-2")], "triage", False),
        ([step(-9, "done"), step(-2, "completed"), step(1, "done", "request-2")], "triage", True),
        ([step(-9, "done"), step(-2, "refused:forbidden")], "triage", False),
        ([], "triage", False),
    ],
)
def test_a_read_of_what_was_closed_before_is_found(steps: list[Deed], purpose: str, expected: bool) -> None:
    assert ("read-of-a-closed-case" in found(deed(purpose=purpose), before=tuple(steps))) is expected


def test_of_a_request_its_own_closing_counts_and_of_a_file_nothing_is_known() -> None:
    before = (step(-9, "done"), step(-2, "completed"), step(-9, "done", "request-2"))
    officer = {"role": "officer", "agency": "health", "station": None, "purpose": "service", "record": "record-1"}
    assert "read-of-a-closed-case" in found(deed(case="request-1", **officer), before=before)
    assert "read-of-a-closed-case" not in found(deed(case="request-2", **officer), before=before)
    assert "read-of-a-closed-case" not in found(deed(action=Action.READ_FILE, case="file-1"), before=before)


@pytest.mark.parametrize(
    ("at", "working"),
    [
        (datetime(2026, 11, 18, 0, 0, tzinfo=UTC), True),  # Wednesday 08:00 in Shanghai
        (datetime(2026, 11, 17, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 18, 10, 29, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 18, 10, 30, tzinfo=UTC), False),  # 18:30
        (datetime(2026, 11, 20, 17, 0, tzinfo=UTC), False),  # Saturday 01:00 there, Friday here
        (datetime(2026, 11, 15, 23, 30, tzinfo=UTC), False),  # Monday 07:30 there
    ],
)
def test_working_hours_are_told_by_the_clock_of_the_place(at: datetime, working: bool) -> None:
    assert ("read-outside-working-hours" in found(deed(at))) is not working
    assert "read-outside-working-hours" not in found(deed(at, role="department-system", agency="fire"))


@pytest.mark.parametrize(
    ("day", "work"),
    [
        (date(2026, 9, 20), True),  # a Sunday, shifted
        (date(2026, 9, 26), False),  # a Saturday like others
        (date(2026, 10, 1), False),  # a Thursday, National Day
        (date(2026, 10, 10), True),  # a Saturday, shifted
    ],
)
def test_holidays_and_shifted_days_are_those_of_the_published_calendar(day: date, *, work: bool) -> None:
    read = deed(datetime.combine(day, time(2, 0), UTC))
    assert ("read-outside-working-hours" in found(read, since=read.at)) is not work


def test_without_the_published_calendar_weekdays_count_alone() -> None:
    conduct = compile_conduct(
        TEST_RULES.replace("when: read", "when: read && !working_time").replace("subjects: 3", "subjects: 1")
    )
    for day, work in ((28, True), (29, False)):  # September 2026: a Monday, a Tuesday
        read = deed(datetime(2026, 9, day, 2, 0, tzinfo=UTC))
        assert ("few" in found(read, since=read.at, conduct=conduct)) is not work


def test_what_another_station_took_in_is_found_and_ones_own_is_not() -> None:
    person, place = uuid4(), uuid4()
    here = deed(action=Action.RECORD_VISIT, role="collector", actor="c-1", subjects=(place,))
    there = deed(
        action=Action.RECORD_VISIT, role="collector", actor="c-9", subjects=(person, place), station="station-9"
    )
    read = {"action": Action.READ_FILE, "case": "file-1"}
    assert "read-outside-jurisdiction" in found(deed(subjects=(person, place), **read), before=(here, there))
    assert found(deed(subjects=(place,), **read), before=(here, there)) == {}
    assert found(deed(subjects=(person,), station="station-9", **read), before=(here, there)) == {}
    assert found(deed(subjects=(person,), station=None, role="officer", agency="fire"), before=(there,)) == {}
    assert found(deed(subjects=(uuid4(),), **read), before=(here, there)) == {}


def test_a_read_in_spite_of_a_declared_tie_is_found() -> None:
    assert list(found(deed(tied=True))) == ["read-of-a-declared-tie"]
    assert found(deed(tied=True, outcome="refused:forbidden")) == {}


def test_many_subjects_in_an_hour_are_one_finding_that_cites_every_read() -> None:
    reads = [deed(NOON + timedelta(seconds=at)) for at in range(75)]
    [finding] = found(*reads)["many-subjects"]
    assert [one.entry_id for one in finding.cited] == [one.entry_id for one in reads]
    assert (finding.first, finding.last, finding.reached) == (reads[0].at, reads[-1].at, 75)


def test_the_same_subjects_again_are_not_many() -> None:
    subjects = [uuid4() for _ in range(59)]
    assert found(*(deed(NOON + timedelta(seconds=at), subjects=(subjects[at % 59],)) for at in range(300))) == {}


def test_two_actors_are_not_counted_together_and_one_in_two_roles_is() -> None:
    def reads(**second: Any) -> list[Deed]:
        return [deed(NOON + timedelta(seconds=at), **(second if at % 2 else {})) for at in range(60)]

    assert found(*reads(actor="r-2")) == {}
    assert list(found(*reads(role="officer"))) == ["many-subjects"]


def test_lists_are_counted_for_themselves() -> None:
    def lists(many: int) -> list[Deed]:
        return [
            deed(NOON + timedelta(seconds=at), action=Action.LIST_REQUESTS, case=None,
                 subjects=tuple(uuid4() for _ in range(50)))
            for at in range(many)
        ]  # fmt: skip

    assert found(*lists(9)) == {}
    assert {rule: one.reached for rule, [one] in found(*lists(10)).items()} == {"many-in-lists": 500}


def test_refused_again_and_again_is_found_whatever_was_tried() -> None:
    tries = [deed(NOON + timedelta(minutes=at), action=action, outcome="refused:forbidden", purpose=None)
             for at, action in enumerate([Action.READ_FILE, Action.DECIDE_NEED] * 5)]  # fmt: skip
    [finding] = found(*tries)["refused-tries"]
    assert (len(finding.cited), finding.reached) == (10, 10)
    assert found(*tries[1:]) == {}


def test_residents_and_services_are_never_looked_at() -> None:
    deeds = [
        deed(NOON + timedelta(hours=9), case=None, tied=True, **who)
        for who in ({"role": "resident"}, {"actor": None, "role": None})
    ]
    refused = [deed(outcome="refused:forbidden", role="resident") for _ in range(30)]
    following = deed(action=Action.FOLLOW_REQUEST, actor=None, role=None, case=None)
    assert found(*deeds, *refused, following) == {}
    assert not any(one.watched for one in (*deeds, *refused, following))


def test_what_shows_nothing_is_no_read() -> None:
    assert found(deed(case=None, outcome="nothing-shown")) == {}
    assert {Action.FOLLOW_REQUEST, Action.SEE_WHO_LOOKED, Action.LIST_GAPS} & READS == set()


def test_what_was_done_outside_the_time_asked_for_is_counted_on_alone() -> None:
    reads = [deed(SINCE + timedelta(minutes=at - 40), case=None) for at in range(60)]
    findings = found(*reads)
    [many] = findings["many-subjects"]
    assert len(many.cited) == 60
    assert sum(len(one.cited) for one in findings["read-without-a-case"]) == 20
    assert found(*reads[:40]) == {}
    assert found(deed(UNTIL, case=None)) == {}


def test_a_time_outside_the_hour_of_the_entry_is_not_believed() -> None:
    hour = NOON.replace(hour=18)
    for at_us in (0, -(10**17), 10**30):
        lied = deed(hour, at_us=at_us)
        assert lied.at == hour
        assert "read-outside-working-hours" in found(lied)


TEST_RULES = """
id: test-1
title: {zh: 试, en: Test}
valid_from: 2026-01-01
working_time: {zone: Asia/Shanghai, weekdays: [1], begins: "08:00", ends: "18:00"}
rules:
  - id: few
    title: {zh: 试, en: Test}
    looks_at: {zh: 试, en: Test}
    when: read
    within: {minutes: 10, subjects: 3}
"""
FEW = compile_conduct(TEST_RULES)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=25))
def test_counting_as_time_goes_by_finds_what_counting_every_window_finds(steps: list[tuple[int, int]]) -> None:
    subjects = [UUID(int=number) for number in range(6)]
    deeds = [deed(NOON + timedelta(minutes=at), subjects=(subjects[one],)) for at, one in sorted(steps)]
    cited = [one.entry_id for finding in found(*deeds, conduct=FEW).get("few", ()) for one in finding.cited]
    expected = set()
    for last, one in enumerate(deeds):
        window = [other for other in deeds[: last + 1] if other.at > one.at - timedelta(minutes=10)]
        if len({subject for other in window for subject in other.subjects}) >= 3:
            expected |= {other.entry_id for other in window}
    assert sorted(cited) == sorted(expected)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_the_log_says_a_finding_names_an_actor_and_never_a_subject(data: st.DataObject) -> None:
    text = st.sampled_from(["", "done", "refused:x", "record-1", "station-1", "reviewer", "resident", "无"])
    said = {name: data.draw(text) for name in ("action", "outcome", "actor", "role", "purpose", "case", "station")}
    one = deed(NOON + timedelta(hours=data.draw(st.integers(-60, 60))), **said)
    for findings in found(one, conduct=PUBLISHED).values():
        for finding in findings:
            assert finding.who.actor == said["actor"] != ""
            assert finding.who.role != Role.RESIDENT
            assert not any(str(subject) in repr(finding) for subject in one.subjects)
