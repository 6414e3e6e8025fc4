"""The page of feeds says what the tables say, field by field."""

from pathlib import Path

import pytest

from doorstep.contracts import feed_table
from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import FEEDS, Offer, RequestOffered

PAGE = Path(__file__).parents[2] / "docs" / "feeds.md"


def test_the_page_is_generated() -> None:
    assert PAGE.read_text(encoding="utf-8") == feed_table.page(), "run: make schemas"


def section(department: Department) -> str:
    return feed_table.page().partition(f"`feed.{department}`")[2].partition("\n## ")[0]


@pytest.mark.parametrize("department", list(Department))
def test_a_department_has_the_fields_of_its_feed_a_purpose_and_a_legal_basis(department: Department) -> None:
    rows = dict(line.strip("| ").split(" | ", 1) for line in section(department).splitlines() if line.startswith("| "))
    told = {name.strip("` ") for name in rows["fields"].split(",")}
    assert told == FEEDS[department].fields
    assert told <= set(Offer.model_fields) - set(feed_table.ALWAYS)
    assert rows["purpose"].strip("` ") == FEEDS[department].purpose
    assert "`" in rows["legal basis"]
    assert "`" in rows["needs"]


def test_every_field_of_an_offer_is_always_there_or_in_the_table_of_some_feed() -> None:
    some = set().union(*(feed.fields for feed in FEEDS.values()))
    assert set(Offer.model_fields) == {*feed_table.ALWAYS, *some, "facts"}
    assert {"purpose", "legal_basis", "delete_by"} <= set(RequestOffered.model_fields)
