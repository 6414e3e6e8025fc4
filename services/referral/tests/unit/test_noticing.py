"""Who is told of what, by what, with which words, and when."""

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import (
    DEPARTMENT_NAMES,
    BusinessStatus,
    LegalBasis,
    NoticeChannel,
    Reason,
    SafeChannel,
    SaidBy,
    TaskState,
    Urgency,
)
from doorstep.contracts.facts import Fact
from doorstep.contracts.intake import Card, SafeContact
from doorstep.contracts.needs import NEED_TYPES, Need
from doorstep.referral.domain.content import Content
from doorstep.referral.domain.noticing import TEXTS, Change, Reach, Template, Withheld, inside, is_told, reach

TODAY = date(2026, 11, 22)
PHONE = "13800138000"
SAFE = SafeContact(
    channel=SafeChannel.MESSAGE, number="16900009876", hours_from="22:00", hours_to="06:30", cover="图书馆还书"
)


def content(need_type: str = "wage-help", **card) -> Content:
    said = {"said_by": SaidBy.PERSON, "legal_basis": LegalBasis.CONSENT, "since": datetime(2026, 1, 1, tzinfo=UTC)}
    fact = Fact(fact_id=uuid4(), code="work.wages-unpaid", value=True, **said)
    need = Need(need_type=need_type, urgency=Urgency.DAY, wanted=True, rule="r", facts=())
    return Content(need=need, card=Card(**{"name": "王秀英", "phone": PHONE} | card), facts=(fact,))


def told(about: Content, choice: NoticeChannel | None = None, *members: Card) -> Reach | Withheld:
    return reach(about, choice, members, TODAY)


def test_what_is_done_by_others_is_told_and_what_is_their_own_is_not():
    for to in (TaskState.ACCEPTED, TaskState.COMPLETED, TaskState.FAILED, TaskState.REJECTED, TaskState.CANCELLED):
        assert is_told(Change(TaskState.IN_PROGRESS, to, "department"))
        assert not is_told(Change(TaskState.IN_PROGRESS, to, "resident"))
    for to in (TaskState.IN_PROGRESS, TaskState.ON_HOLD, TaskState.ENTERED_IN_ERROR, TaskState.REQUESTED):
        assert not is_told(Change(TaskState.ACCEPTED, to, "department"))


def test_an_appointment_and_papers_that_are_missing_are_told():
    assert is_told(Change(TaskState.ACCEPTED, TaskState.ACCEPTED, "department", BusinessStatus.APPOINTMENT_SCHEDULED))
    assert is_told(Change(TaskState.ACCEPTED, TaskState.ON_HOLD, "department", reason=Reason.PAPERS_MISSING))
    assert not is_told(Change(TaskState.ACCEPTED, TaskState.ON_HOLD, "department", reason=Reason.NO_CAPACITY))


def test_a_step_that_waits_for_somebodys_word_is_not_told():
    assert not is_told(Change(TaskState.ACCEPTED, TaskState.ACCEPTED, "department", reason=Reason.NOT_SOLVABLE))


def test_a_notice_says_nothing_of_the_matter_and_has_no_link():
    for zh, en in TEXTS.values():
        for needed in NEED_TYPES.values():
            assert needed.zh not in zh
            assert needed.en.lower() not in en.lower()
        for name_zh, name_en in DEPARTMENT_NAMES.values():
            assert name_zh not in zh
            assert name_en.lower() not in en.lower()
        assert not {"http", "www", "://", ".cn", ".com"} & set(zh + en)
        assert "://" not in zh + en
    assert "不会向您索要验证码或钱款" in TEXTS[Template.PROGRESS][0]
    assert "never ask you for codes or money" in TEXTS[Template.PROGRESS][1]


@pytest.mark.parametrize("need_type", ["legal-aid", "protection-from-violence", "a-need-of-tomorrow"])
def test_what_is_confidential_reaches_nobody_without_a_safe_contact(need_type):
    for choice in (None, *(one for one in NoticeChannel if one is not NoticeChannel.NONE)):
        assert told(content(need_type), choice) is Withheld.NO_SAFE_CHANNEL


@pytest.mark.parametrize("need_type", sorted(NEED_TYPES))
def test_a_safe_contact_is_the_only_way_with_its_cover_and_in_its_hours(need_type):
    found = told(content(need_type, safe_contact=SAFE), NoticeChannel.VOICE)
    assert isinstance(found, Reach)
    assert (found.channel, found.to, found.template) == (NoticeChannel.SMS, "16900009876", Template.COVER)
    assert (found.zh, found.en, found.hours) == ("图书馆还书", "图书馆还书", ("22:00", "06:30"))


@pytest.mark.parametrize(
    ("channel", "expected"),
    [(SafeChannel.PHONE, NoticeChannel.VOICE), (SafeChannel.TRUSTED_PERSON, NoticeChannel.SMS),
     ("a-channel-of-tomorrow", None)],
    ids=["phone", "trusted-person", "unknown"],
)  # fmt: skip
def test_each_safe_channel_has_its_way(channel, expected):
    found = told(content(safe_contact=SAFE.model_copy(update={"channel": channel})))
    assert found is Withheld.NO_SAFE_CHANNEL if expected is None else found.channel is expected


def test_who_comes_to_the_station_gets_none_and_their_phone_at_home_is_not_used():
    comes = SafeContact(channel=SafeChannel.AT_STATION, hours_from="09:00", hours_to="17:00", cover="体检")
    assert told(content(safe_contact=comes)) is Withheld.NO_SAFE_CHANNEL


def test_a_number_that_two_of_a_household_gave_is_not_used():
    other = Card(name="张伟", phone=PHONE)
    assert told(content(), None, other) is Withheld.SHARED_NUMBER
    assert told(content(), None, Card(name="张伟", phone="13900139000")).to == PHONE
    assert told(content(), None, Card(name="王秀英", phone=PHONE)).to == PHONE
    twins = {"name": "王秀英", "phone": PHONE}
    one, two = "110101194803070028", "110101198003070029"
    assert told(content(document_number=one), None, Card(**twins, document_number=two)) is Withheld.SHARED_NUMBER


def test_a_number_that_somebody_gave_who_asked_for_nothing_is_not_used_either():
    assert told(content(phone_shared=True)) is Withheld.SHARED_NUMBER
    assert told(content(phone_shared=True), NoticeChannel.PAPER).to == "王秀英"
    assert told(content(phone_shared=True, safe_contact=SAFE)).to == "16900009876"


@pytest.mark.parametrize(
    ("born", "expected"), [("20121123", Withheld.GUARDIAN), ("20121122", None), ("20260101", Withheld.GUARDIAN)]
)
def test_who_is_under_fourteen_gets_none(born, expected):
    found = told(content(document_kind="resident-id", document_number=f"110101{born}0028"))
    assert found is expected if expected else isinstance(found, Reach)


def test_a_choice_is_kept_and_no_is_no():
    assert told(content()).channel is NoticeChannel.SMS
    assert told(content(), NoticeChannel.VOICE).channel is NoticeChannel.VOICE
    assert told(content(), NoticeChannel.PAPER).to == "王秀英"
    assert told(content(phone=None), NoticeChannel.WECHAT) is Withheld.NO_CHANNEL
    assert told(content(safe_contact=SAFE), NoticeChannel.NONE) is Withheld.DECLINED


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)),  # noqa: DTZ001
       st.times(), st.times())  # fmt: skip
def test_nothing_leaves_outside_the_hours_and_nothing_waits_over_a_day(now, begins, ends):
    hours = (f"{begins:%H:%M}", f"{ends:%H:%M}")
    if hours[0] == hours[1]:
        return
    at = inside(now, hours)
    assert inside(at, hours) == at
    assert 0 <= (at - now).total_seconds() <= 24 * 3600


def test_hours_may_run_over_midnight():
    hours = ("22:00", "06:30")
    night, noon = datetime(2026, 11, 21, 15, 0, tzinfo=UTC), datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
    assert inside(night, hours) == night
    assert inside(noon, hours) == datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
