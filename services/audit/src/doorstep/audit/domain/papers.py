"""By which number a national portal names a resident: the country and the number of the paper."""

import re

NATIONAL = frozenset({"resident-id", "residence-permit", "permanent-residence"})
"""Kinds of paper whose numbers one country gives, each once; a passport's may be another's in another country."""
_USER_CODE = re.compile(r"CN([0-9]{17}[0-9X]|[A-Z]{3}[0-9]{12})", re.ASCII)


class NoUserCode(ValueError):
    """Not the country with the number of such a paper."""


def paper_number(user_code: str) -> str:
    """The number that a portal's code of a resident names; raises NoUserCode."""
    found = _USER_CODE.fullmatch(user_code)
    if found is None:
        raise NoUserCode
    return found[1]
