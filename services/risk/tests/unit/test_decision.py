"""Who may decide on a need, and how often."""

from uuid import uuid4

import pytest

from doorstep.contracts.codes import Decision
from doorstep.risk.domain.decision import Pending, settle
from doorstep.risk.errors import DecidedAlready, NeedWanted, OwnRecord

COLLECTOR, REVIEWER = uuid4(), uuid4()


@pytest.mark.parametrize("decision", list(Decision))
def test_a_suggested_need_is_decided_by_another_than_the_collector(decision: Decision) -> None:
    assert settle(Pending(COLLECTOR, wanted=False), decision=decision, reviewer=REVIEWER)


def test_who_recorded_does_not_review() -> None:
    for wanted in (True, False):
        with pytest.raises(OwnRecord):
            settle(Pending(COLLECTOR, wanted=wanted), decision=Decision.CONFIRMED, reviewer=COLLECTOR)


def test_what_was_wanted_is_not_decided_on() -> None:
    with pytest.raises(NeedWanted):
        settle(Pending(COLLECTOR, wanted=True), decision=Decision.REJECTED, reviewer=REVIEWER)


def test_the_same_decision_again_is_not_new_and_another_is_refused() -> None:
    pending = Pending(COLLECTOR, wanted=False, decided=Decision.REJECTED)
    assert not settle(pending, decision=Decision.REJECTED, reviewer=REVIEWER)
    with pytest.raises(DecidedAlready):
        settle(pending, decision=Decision.CONFIRMED, reviewer=REVIEWER)
