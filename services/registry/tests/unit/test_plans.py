"""What is a ground, who decides, when a plan lapses and what is due: computed, for every course a plan can take."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import STATION, Department
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.never import NeverNamed
from doorstep.registry.domain.plans import (
    CAUSES,
    DECIDE_WITHIN,
    TERMS,
    Cause,
    Course,
    Held,
    Level,
    Meeting,
    NoGround,
    Proposed,
    Seat,
    Standing,
    Step,
    course,
    independent,
    is_confidential,
    next_due,
    seats_wrong,
    verdict,
)

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ME, REVIEWER, HEALTH, FIRE = (UUID(int=number) for number in range(1, 5))
CAUSE = CAUSES["chronic-illness-follow-up"]


def entered(at: datetime, level: Level = Level.ELEVATED) -> Proposed:
    return Proposed(Step.ENTER, level, at, at, agreed=True)


@pytest.mark.parametrize(
    ("code", "zh", "en"),
    [
        ("mediation", "人民调解", "Mediation"),
        ("legal-aid", "法律援助", "Legal aid"),
        ("wage-help", "讨薪帮助", "Help with unpaid wages"),
        ("neighbours", "邻里纠纷", "Neighbours"),
        ("dispute-with-landlord", "房屋", "Housing"),
        ("old-grievance", "诉求", "Wish"),
        ("debt", "负担", "Burden"),
        ("money", "欠债", "Money"),
        ("after-release", "回归", "Return"),
        ("resettlement", "安置帮教", "Resettlement"),
        ("risk", "可能伤害他人", "Harm to others"),
        ("protection-from-violence", "反家庭暴力保护", "Protection from violence"),
    ],
)
def test_what_is_no_ground_cannot_be_loaded(code: str, zh: str, en: str) -> None:
    with pytest.raises(NoGround):
        Cause(code, Department.JUSTICE, zh, en)


@pytest.mark.parametrize("zh", ["信访", "上访人员", "刑满释放", "投诉", "吸毒"])
def test_what_must_never_be_known_is_no_ground_either(zh: str) -> None:
    with pytest.raises(NeverNamed):
        Cause("need", Department.JUSTICE, zh, "Need")
    with pytest.raises(NeverNamed):
        Cause("petition-office", Department.JUSTICE, "需求", "Need")


def test_a_wish_for_what_is_confidential_is_cited_in_no_plan() -> None:
    confidential = {code for code in CATALOGUE if is_confidential(code)}
    assert confidential == {"wish.legal-aid", "wish.counselling", "wish.protection-from-violence"}


def test_the_causes_are_needs_that_a_department_answers_for_and_none_is_a_partys_own_matter() -> None:
    assert set(CAUSES) < set(NEED_TYPES)
    assert all(NEED_TYPES[code].department is cause.department for code, cause in CAUSES.items())
    assert not set(CAUSES) & {"mediation", "legal-aid", "wage-help", "protection-from-violence"}


@pytest.mark.parametrize(("level", "days"), [(Level.URGENT, 14), (Level.ELEVATED, 60), (Level.POTENTIAL, 90)])
def test_a_plan_lapses_by_itself_after_the_time_of_its_level(level: Level, days: int) -> None:
    proposals = [entered(NOW, level)]
    almost = NOW + days * DAY - timedelta(microseconds=1)
    assert course(proposals, ended=False, now=almost) == Course(Standing.IN_FORCE, level, NOW, NOW + days * DAY, 0)
    assert course(proposals, ended=False, now=NOW + days * DAY).standing is Standing.OVER
    assert course(proposals, ended=True, now=almost) == Course(Standing.OVER)


def test_what_is_not_decided_in_time_is_over_and_so_is_what_was_refused() -> None:
    waiting = Proposed(Step.ENTER, Level.URGENT, NOW)
    assert course([waiting], ended=False, now=NOW + DECIDE_WITHIN - DAY).standing is Standing.PROPOSED
    assert course([waiting], ended=False, now=NOW + DECIDE_WITHIN).standing is Standing.OVER
    refused = Proposed(Step.ENTER, Level.URGENT, NOW, NOW, agreed=False)
    assert course([refused], ended=False, now=NOW).standing is Standing.OVER
    assert course([], ended=False, now=NOW).standing is Standing.OVER


def test_a_renewal_prolongs_from_its_decision_and_a_change_counts_as_one() -> None:
    renewed = Proposed(Step.RENEW, None, NOW + 9 * DAY, NOW + 10 * DAY, agreed=True)
    changed = Proposed(Step.CHANGE, Level.URGENT, NOW + 20 * DAY, NOW + 20 * DAY, agreed=True)
    found = course([entered(NOW), renewed], ended=False, now=NOW + 30 * DAY)
    assert (found.until, found.renewals, found.level) == (NOW + 70 * DAY, 1, Level.ELEVATED)
    found = course([entered(NOW), renewed, changed], ended=False, now=NOW + 30 * DAY)
    assert (found.until, found.renewals, found.since, found.level) == (NOW + 34 * DAY, 2, NOW, Level.URGENT)
    left = Proposed(Step.LEAVE, None, NOW + 21 * DAY, NOW + 21 * DAY, agreed=True)
    assert course([entered(NOW), renewed, left], ended=False, now=NOW + 30 * DAY).standing is Standing.OVER


steps = st.lists(
    st.tuples(
        st.sampled_from([Step.RENEW, Step.CHANGE, Step.LEAVE]),
        st.sampled_from(Level),
        st.integers(0, 120),
        st.sampled_from([True, False, None]),
    ),
    max_size=6,
)


@given(st.sampled_from(Level), steps, st.integers(0, 400))
def test_whatever_was_decided_a_plan_is_in_force_within_the_time_of_its_newest_decision_alone(
    level: Level, taken: list[tuple[Step, Level, int, bool | None]], days: int
) -> None:
    at, proposals = NOW, [entered(NOW, level)]
    for step, to, after, agreed in taken:
        at += after * DAY
        decided = None if agreed is None else at
        proposals.append(Proposed(step, to if step is Step.CHANGE else None, at, decided, agreed))
    now = NOW + days * DAY
    found = course(proposals, ended=False, now=now)
    if found.standing is Standing.IN_FORCE:
        assert found.until is not None
        assert found.level is not None
        agreed_at = [one.decided_at for one in proposals if one.agreed and one.decided_at and one.decided_at <= now]
        assert now < found.until == max(agreed_at) + TERMS[found.level].lapses
        assert found.renewals == len(agreed_at) - 1
    later = [course(proposals[: len(proposals)], ended=False, now=now + more * DAY) for more in (0, 91)]
    if found.standing is Standing.OVER:
        assert later[1].standing is Standing.OVER


def test_after_two_renewals_somebody_independent_decides_and_leaving_never_needs_them() -> None:
    assert [independent(Step.RENEW, count) for count in range(4)] == [False, False, True, True]
    assert [independent(Step.CHANGE, count) for count in range(4)] == [False, False, True, True]
    assert not any(independent(step, 5) for step in (Step.ENTER, Step.LEAVE))


SEATS = [Seat(REVIEWER, STATION), Seat(HEALTH, "health"), Seat(FIRE, "fire")]


@pytest.mark.parametrize(
    "seats",
    [
        SEATS[:2],
        [Seat(REVIEWER, STATION), Seat(HEALTH, "health"), Seat(FIRE, "health")],
        [Seat(REVIEWER, STATION), Seat(HEALTH, "justice"), Seat(FIRE, "fire")],
        [Seat(REVIEWER, "labour"), Seat(HEALTH, "health"), Seat(FIRE, "fire")],
        [*SEATS, Seat(ME, "labour")],
        [*SEATS[:2], Seat(REVIEWER, "fire")],
        [*SEATS, Seat(UUID(int=9), "police")],
        [*SEATS, Seat(UUID(int=9), "petitions")],
        [],
    ],
    ids=[
        "two",
        "twice-health",
        "cause-missing",
        "station-missing",
        "proposer",
        "one-twice",
        "police",
        "letters",
        "none",
    ],
)
def test_a_panel_is_station_responsible_department_and_one_that_is_neither(seats: list[Seat]) -> None:
    assert seats_wrong(seats, CAUSE, alone=False, proposer=ME, before=())
    assert not seats_wrong(SEATS, CAUSE, alone=False, proposer=ME, before={FIRE})


def test_who_decides_alone_is_of_the_station_and_had_no_part() -> None:
    one = [Seat(REVIEWER, STATION)]
    assert not seats_wrong(one, CAUSE, alone=True, proposer=ME, before={FIRE})
    assert seats_wrong(one, CAUSE, alone=True, proposer=ME, before={REVIEWER})
    assert seats_wrong(one, CAUSE, alone=True, proposer=REVIEWER, before=())
    assert seats_wrong([Seat(HEALTH, "health")], CAUSE, alone=True, proposer=ME, before=())
    assert seats_wrong(SEATS, CAUSE, alone=True, proposer=ME, before=())


@given(st.lists(st.sampled_from([True, False, None]), max_size=7))
def test_one_no_is_a_no_and_yes_takes_everybody(votes: list[bool | None]) -> None:
    expected = False if False in votes else True if votes and None not in votes else None
    assert verdict(votes) is expected


def test_what_is_due_next_is_counted_from_what_two_members_recorded() -> None:
    found = Course(Standing.IN_FORCE, Level.ELEVATED, NOW, NOW + 60 * DAY)
    assert next_due(found, []) == {
        Meeting.CONTACT: NOW + 7 * DAY, Meeting.CONFERENCE: NOW + 15 * DAY, Meeting.ASSESSMENT: NOW + 30 * DAY,
    }  # fmt: skip
    met = [
        Held(Meeting.CONTACT, NOW + 5 * DAY, confirmed=True),
        Held(Meeting.CONTACT, NOW + 6 * DAY, confirmed=False),
        Held(Meeting.CONTACT, NOW + 2 * DAY, confirmed=True),
    ]
    assert next_due(found, met)[Meeting.CONTACT] == NOW + 12 * DAY
    assert next_due(Course(Standing.OVER), met) == {}


def test_the_table_of_levels_is_the_published_one() -> None:
    days = {
        level: (*(terms.every[meeting].days for meeting in Meeting), terms.lapses.days)
        for level, terms in TERMS.items()
    }
    assert days == {Level.URGENT: (1, 1, 1, 14), Level.ELEVATED: (7, 15, 30, 60), Level.POTENTIAL: (14, 30, 60, 90)}


def test_seats_of_anybody_are_told_apart_by_person() -> None:
    assert seats_wrong([Seat(uuid4(), "Station"), *SEATS[1:]], CAUSE, alone=False, proposer=ME, before=())
