"""Inquiries: when one waits, is open and has lapsed, and who may do what meanwhile."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from doorstep.audit.domain.inquiry import HOLDS, Ground, Hindrance, Inquiry, Standing

ASKED = datetime(2026, 11, 20, tzinfo=UTC)
FIRST, SECOND = uuid4(), uuid4()
COMPLAINT = Inquiry(Ground.COMPLAINT, FIRST, ASKED)
WAITING = Inquiry(Ground.AGREEMENT, FIRST, ASKED)
AGREED = Inquiry(Ground.AGREEMENT, FIRST, ASKED, SECOND, ASKED + timedelta(days=6))
TICK = timedelta(microseconds=1)


def test_a_complaint_is_open_for_seven_days():
    assert COMPLAINT.standing(ASKED) is Standing.OPEN
    assert COMPLAINT.standing(ASKED + HOLDS - TICK) is Standing.OPEN
    assert COMPLAINT.standing(ASKED + HOLDS) is Standing.LAPSED


def test_without_one_it_waits_for_an_agreement_which_holds_seven_days():
    assert WAITING.standing(ASKED + HOLDS - TICK) is Standing.WAITING
    assert WAITING.standing(ASKED + HOLDS) is Standing.LAPSED
    assert AGREED.standing(ASKED + timedelta(days=13) - TICK) is Standing.OPEN
    assert AGREED.standing(ASKED + timedelta(days=13)) is Standing.LAPSED
    assert timedelta(days=7) == HOLDS


def test_a_second_auditor_agrees_once_and_in_time():
    assert WAITING.hinders_agreement(ASKED) is None
    assert AGREED.hinders_agreement(ASKED) is Hindrance.GIVEN
    assert WAITING.hinders_agreement(ASKED + HOLDS) is Hindrance.LAPSED
    assert COMPLAINT.hinders_agreement(ASKED) is Hindrance.NOT_NEEDED


def test_only_who_asked_is_told_and_only_while_the_ground_holds():
    assert COMPLAINT.hinders_reading(FIRST, ASKED) is None
    assert AGREED.hinders_reading(FIRST, ASKED + timedelta(days=7)) is None
    assert AGREED.hinders_reading(SECOND, ASKED) is Hindrance.OF_ANOTHER
    assert WAITING.hinders_reading(FIRST, ASKED) is Hindrance.MISSING
    assert WAITING.hinders_reading(FIRST, ASKED + HOLDS) is Hindrance.LAPSED
    assert AGREED.hinders_reading(FIRST, ASKED + timedelta(days=13)) is Hindrance.LAPSED
