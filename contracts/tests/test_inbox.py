"""What a department's consumer remembers: everything once, in order, whatever happens to it."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from doorstep.contracts.codes import LegalBasis, Purpose, Urgency
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.feeds import Offer, RequestOffered, RequestWithdrawn
from doorstep.contracts.inbox import Inbox, sign_in_options
from doorstep.contracts.wire import MalformedEvent, to_headers

NOW = datetime.now(UTC)
KEY = uuid4()


def offered(ref: UUID, *, until: datetime = NOW + timedelta(days=14), need: str = "wage-help") -> RequestOffered:
    return RequestOffered(
        offered_at=NOW, delete_by=until, purpose=Purpose.SERVICE, legal_basis=LegalBasis.CONSENT,
        offer=Offer(
            ref=ref, subject_ref=uuid4(), need_type=need, urgency=Urgency.DAY, respond_by=NOW, complete_by=NOW
        ),
    )  # fmt: skip


def withdrawn(ref: UUID) -> RequestWithdrawn:
    return RequestWithdrawn(ref=ref, withdrawn_at=NOW, delete_by=NOW)


def message(number: int | None, event: RequestOffered | RequestWithdrawn, key: UUID = KEY, **more: str):
    """A message as it comes, but for the encryption, which here turns letters round."""
    envelope = Envelope(
        id=uuid4(), source="/test", type=more.get("type", event.event_type), time=NOW, key=key, number=number, epoch=1
    )
    return to_headers(envelope), str(key).encode(), event.model_dump_json(exclude_none=True).encode()[::-1]


def turned(value: bytes) -> bytes:
    if not value.startswith(b"}"):
        raise ValueError("this is for another key")
    return value[::-1]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "requests.db")


def effects(inbox: Inbox, *messages) -> list[str]:
    return [effect["effect"] for one in messages for effect in inbox.take(*one)]


def refs(file: str) -> list[str]:
    with sqlite3.connect(file) as db:
        return [row[0] for row in db.execute("SELECT ref FROM request ORDER BY rowid")]


def test_each_message_is_done_once_and_in_order(file: str) -> None:
    ref = uuid4()
    first, second, third = message(1, offered(ref)), message(2, withdrawn(ref)), message(3, offered(ref))
    inbox = Inbox(file, turned)
    assert effects(inbox, first, first, third) == ["offered"]
    assert effects(inbox, second) == ["withdrawn", "offered"]
    assert effects(inbox, first, second, third) == []
    assert refs(file) == [str(ref)]


def test_another_run_begins_anew_and_does_nothing_twice(file: str) -> None:
    ref = uuid4()
    feed = [message(1, offered(ref)), message(2, withdrawn(ref)), message(1, offered(uuid4()), key=uuid4())]
    assert effects(Inbox(file, turned), *feed[:1]) == ["offered"]
    assert effects(Inbox(file, turned), *feed) == ["withdrawn", "offered"]
    assert effects(Inbox(file, turned), *feed) == []


def test_a_feed_that_begins_late_is_read_from_there(file: str) -> None:
    assert effects(Inbox(file, turned), message(7, offered(uuid4()))) == ["offered"]


def test_what_fails_half_way_is_not_remembered(file: str) -> None:
    def away(_: bytes) -> bytes:
        raise OSError("the key's file is away")

    one = message(1, offered(uuid4()))
    with pytest.raises(OSError, match="away"):
        Inbox(file, away).take(*one)
    assert refs(file) == []
    assert effects(Inbox(file, turned), one) == ["offered"]


def test_what_is_for_another_key_is_set_aside_and_the_feed_goes_on(file: str) -> None:
    headers, key, _ = message(1, offered(uuid4()))
    inbox = Inbox(file, turned)
    [effect] = inbox.take(headers, key, b"x")
    assert effect["effect"] == "set-aside"
    assert effects(inbox, message(2, offered(uuid4()))) == ["offered"]
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT id, value FROM aside").fetchall() == [(effect["id"], b"x")]


def test_a_type_that_is_not_known_is_passed_over(file: str) -> None:
    inbox = Inbox(file, turned)
    assert effects(inbox, message(1, offered(uuid4()), type="feed.something-new.v1")) == []
    assert effects(inbox, message(2, offered(uuid4()))) == ["offered"]


def test_what_is_over_goes_with_the_next_message(file: str) -> None:
    inbox = Inbox(file, turned)
    inbox.take(*message(1, offered(uuid4(), until=NOW - timedelta(seconds=1))))
    kept = uuid4()
    inbox.take(*message(2, offered(kept)))
    assert refs(file) == [str(kept)]


@pytest.mark.parametrize("strange", ["no headers", "no key", "no value", "no number"])
def test_what_is_no_message_of_ours_is_told_and_nothing_else_suffers(file: str, strange: str) -> None:
    headers, key, value = message(None if strange == "no number" else 1, offered(uuid4()))
    wrong = {"no headers": ([], key, value), "no key": (headers, None, value), "no value": (headers, key, None)}
    inbox = Inbox(file, turned)
    with pytest.raises(MalformedEvent):
        inbox.take(*wrong.get(strange, (headers, key, value)))
    assert effects(inbox, message(1, offered(uuid4()))) == ["offered"]


def test_signing_in_is_for_who_has_a_user_and_goes_over_tls_by_default(tmp_path: Path) -> None:
    assert sign_in_options({}) == {}
    (tmp_path / "password").write_text("geheim\n", encoding="utf-8")
    asked = {"FEED_USER": "feed.fire", "FEED_PASSWORD_FILE": str(tmp_path / "password")}
    told = sign_in_options(asked)
    assert (told["security_protocol"], told["sasl_plain_username"]) == ("SASL_SSL", "feed.fire")
    assert told["sasl_plain_password"] == "geheim"
    assert "ssl_context" in told
    assert "ssl_context" not in sign_in_options(asked | {"FEED_SECURITY": "SASL_PLAINTEXT"})
    with pytest.raises(KeyError):
        sign_in_options({"FEED_USER": "feed.fire"})
