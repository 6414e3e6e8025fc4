"""From which day on somebody is of an age, as their paper, or else their year of birth, tells it."""

from datetime import date

OWN_AGE = 14
"""From this age on somebody's data is theirs alone, and before it the guardian's too (PIPL, article 31)."""
FULL_AGE = 18
"""From this age on somebody can be a guardian (Civil Code, article 17)."""

_NUMBER = 18
_DATE = slice(6, 14)
_DATED = frozenset({"resident-id", "residence-permit", "permanent-residence"})


def of_age_on(document_kind: str | None, number: str | None, birth_year: int | None, age: int = OWN_AGE) -> date | None:
    """The day from which on somebody is of `age`, by their paper, else by the year; None if neither is known.

    Of a year its last day counts: nobody is taken for older than they are.
    """
    if document_kind in _DATED and number is not None and len(number) == _NUMBER:
        try:
            born = date.fromisoformat(number[_DATE])
        except ValueError:
            born = None
        if born is not None:
            return _birthday(born, age)
    try:
        return None if birth_year is None else date(birth_year + age, 12, 31)
    except ValueError:
        return None


def _birthday(born: date, age: int) -> date:
    try:
        return born.replace(year=born.year + age)
    except ValueError:  # on a 29 February
        return date(born.year + age, 3, 1)
