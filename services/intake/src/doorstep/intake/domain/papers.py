"""Identity papers: whether a number can be genuine, by its form and check digit alone.

Resident ID by GB 11643-1999: 6 digits district, 8 digits date of birth, 3 digits order, 1 check digit. An unknown
district is no fault, a date that does not exist or lies ahead is one. Residence permits (81, 82, 83) and permanent
residence cards since 2023 (9) are built alike; older cards have 3 letters and 12 digits.
"""

import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_RESIDENCE_PERMIT = re.compile(r"8[123]0000")
_OLD_NUMBER = re.compile(r"[0-9]{15}")
_NUMBER = re.compile(r"[0-9]{17}[0-9X]")


class PaperKind(StrEnum):
    """The papers that a person can show, or none."""

    RESIDENT_ID = "resident-id"
    RESIDENCE_PERMIT = "residence-permit"
    PERMANENT_RESIDENCE = "permanent-residence"
    PASSPORT = "passport"
    BIRTH_CERTIFICATE = "birth-certificate"
    HOUSEHOLD_BOOK = "household-book"
    NONE = "none"


_FORMS: dict[PaperKind, re.Pattern[str]] = {
    PaperKind.PERMANENT_RESIDENCE: re.compile(r"[A-Z]{3}[0-9]{12}"),
    PaperKind.PASSPORT: re.compile(r"[A-Z0-9]{6,12}"),
    PaperKind.BIRTH_CERTIFICATE: re.compile(r"[A-Z][0-9]{9}"),
    PaperKind.HOUSEHOLD_BOOK: re.compile(r"[A-Z0-9]{4,20}"),
}


class PaperInvalid(ValueError):
    """The number cannot belong to such a paper."""


def check_digit(first17: str) -> str:
    """The check digit of a resident ID's first 17 digits (ISO 7064 MOD 11-2)."""
    return _CHECK[sum(int(digit) * weight for digit, weight in zip(first17, _WEIGHTS, strict=True)) % 11]


def normalised(kind: PaperKind, number: str, *, today: date) -> str:
    """`number` as it is kept: capitals, an old resident ID of 15 digits as 18. Raises PaperInvalid."""
    number = number.strip().upper()
    if kind is PaperKind.RESIDENT_ID:
        return _dated(_of_18(number), today)
    if kind is PaperKind.RESIDENCE_PERMIT:
        if not _RESIDENCE_PERMIT.match(number):
            raise PaperInvalid(
                "居住证号码应以 810000、820000 或 830000 开头", "must begin with 810000, 820000 or 830000"
            )
        return _dated(number, today)
    if kind is PaperKind.PERMANENT_RESIDENCE and number.startswith("9"):
        return _dated(number, today)
    form = _FORMS.get(kind)
    if form is None or not form.fullmatch(number):
        raise PaperInvalid("证件号码格式不符", "does not have the form of such a paper")
    return number


def _of_18(number: str) -> str:
    """`number`; one of the first generation, which has 15 digits, with its century and check digit."""
    if not _OLD_NUMBER.fullmatch(number):
        return number
    first17 = number[:6] + "19" + number[6:]
    return first17 + check_digit(first17)


def _dated(number: str, today: date) -> str:
    """`number` if it has 18 digits that hold a possible date of birth and end with the check digit."""
    if not _NUMBER.fullmatch(number):
        raise PaperInvalid("应为 18 位号码", "must have 18 digits, the last may be X")
    if check_digit(number[:17]) != number[17]:
        raise PaperInvalid("校验码不符，请核对号码", "the check digit is wrong; compare with the paper")
    try:
        born = datetime.strptime(number[6:14], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise PaperInvalid("出生日期不存在", "the date of birth does not exist") from None
    if not today - timedelta(days=366 * 130) < born <= today:
        raise PaperInvalid("出生日期不合理", "the date of birth cannot be")
    return number
