"""Until when a fact may be held."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import LegalBasis, SaidBy
from doorstep.contracts.facts import CATALOGUE, Fact
from doorstep.registry.domain.retention import refresh_by

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
codes = st.sampled_from(sorted(CATALOGUE))


def fact(code: str, until: datetime | None = None) -> Fact:
    return Fact(
        fact_id=uuid4(),
        code=code,
        value=True,
        said_by=SaidBy.PERSON,
        legal_basis=LegalBasis.CONSENT,
        since=NOW,
        until=until,
    )


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_fact_of_the_catalogue_has_an_end(code: str) -> None:
    assert NOW < refresh_by(fact(code)) <= NOW + timedelta(days=730)


@given(codes, st.timedeltas(timedelta(seconds=1), timedelta(days=4000)))
def test_a_fact_is_held_no_longer_than_it_holds_nor_than_the_catalogue_allows(code: str, held: timedelta) -> None:
    kept = timedelta(days=CATALOGUE[code].keep_days)
    assert refresh_by(fact(code, NOW + held)) == NOW + min(held, kept)
