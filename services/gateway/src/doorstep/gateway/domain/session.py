"""A browser's session: what the station keeps of it, where it leads after sign-in, whose requests it may carry."""

import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE = r"/(audit|usage|office|desk|board|journeys/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
"""The pages to which a sign-in leads back."""

_OWN = ("same-origin", "none")


class Browser(StrEnum):
    """What kind of browser a session began in, no finer than its owner needs to know it again."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"
    SAFARI = "safari"
    OTHER = "other"


def kind_of(user_agent: str) -> Browser:
    """The kind of browser that says this of itself; a Chromium names Safari too."""
    for word, kind in (("Firefox/", Browser.FIREFOX), ("Chrome/", Browser.CHROMIUM), ("Safari/", Browser.SAFARI)):
        if word in user_agent:
            return kind
    return Browser.OTHER


@dataclass(frozen=True)
class Tokens:
    """What the issuer gave for a sign-in; times are seconds since 1970."""

    access: str
    refresh: str | None
    identity: str
    expires_at: float

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Tokens":
        """What `to_bytes` gave. Raises ValueError."""
        try:
            return cls(**json.loads(data))
        except TypeError:
            raise ValueError("no tokens") from None


@dataclass(frozen=True)
class Beginning:
    """A sign-in on its way: what the browser brings back, sealed, and the issuer's answer must fit."""

    state: str
    nonce: str
    verifier: str
    page: str
    ends_at: float

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Beginning":
        """What `to_bytes` gave. Raises ValueError."""
        try:
            return cls(**json.loads(data))
        except TypeError:
            raise ValueError("no beginning of a sign-in") from None


def leads_to_a_page(path: str) -> bool:
    """Whether `path` is one of our pages: a sign-in leads nowhere else."""
    return re.fullmatch(PAGE, path) is not None


def of_our_pages(public_url: str, *, origin: str | None, fetch_site: str | None, safe: bool) -> bool:
    """Whether a browser says that a page of ours sent this: what changes something has to say it, a read may not deny
    it. Headers that the browser writes and no script can (Fetch standard, forbidden request-headers).
    """
    if fetch_site is not None and fetch_site not in (_OWN if safe else _OWN[:1]):
        return False
    if origin is not None and origin != public_url:
        return False
    return safe or origin is not None or fetch_site is not None
