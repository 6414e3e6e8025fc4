"""Criteria: what meets them, compared with a naive filter, their one text, and cursors that are bound to it."""

import os
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from hashlib import blake2b
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from doorstep.audit.domain.criteria import ASKED_BY_ACTION, TEXT_LIMIT, Criteria, hour_of, made_at, micros, moment_of
from doorstep.audit.domain.cursor import Cursor
from doorstep.audit.domain.errors import Malformed
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, LegalBasis, Purpose, Role
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent
from doorstep.kit.vault import KeyRing

SINCE, UNTIL = datetime(2026, 11, 15, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
WORDS = st.sampled_from([None, "a", "b"])
OUTCOMES = ["done", "refused", "refused:forbidden", "refused-after-check", "nothing-shown"]
BLOCK = 768


@st.composite
def details(draw):
    """Details around the time that is asked for, of few words, so that many are alike."""
    return AuditDetail(
        nonce="",
        at_us=draw(st.sampled_from([micros(SINCE) - 1, micros(SINCE), micros(UNTIL) - 1, micros(UNTIL)])),
        action=draw(st.sampled_from([Action.READ_FILE, "a"])),
        outcome=draw(st.sampled_from(OUTCOMES)),
        policies=tuple(draw(st.lists(st.sampled_from(["a", "b", "rules:a", "rules:b"]), max_size=3))),
        service=draw(st.sampled_from(["a", "b"])),
        **{name: draw(WORDS) for name in ("actor", "agency", "station", "purpose", "legal_basis", "case", "record")},
    )


ASKED = st.fixed_dictionaries(
    {},
    optional={
        **{one.name: st.sampled_from(["a", "b"]) for one in fields(Criteria)[2:] if one.name != "outcome"},
        "outcome": st.sampled_from(OUTCOMES),
    },
)


def naive(asked: dict[str, str], said: AuditDetail) -> bool:
    """What the criteria say, word for word."""
    told = said.model_dump(mode="json")
    return SINCE <= moment_of(said.at_us) < UNTIL and all(
        {
            "policy": lambda want: want in told["policies"] and told["action"] in ASKED_BY_ACTION,
            "rule_pack": lambda want: "rules:" + want in told["policies"],
            "outcome": lambda want: told["outcome"] == want or (want == "refused" and "refused:" in told["outcome"]),
            "life": lambda want: want in (told["case"], told["record"]),
        }.get(name, lambda want, name=name: told[name] == want)(want)
        for name, want in asked.items()
    )


@given(ASKED, st.lists(details(), max_size=8))
def test_criteria_find_what_a_naive_filter_finds(asked, said):
    criteria = Criteria(SINCE, UNTIL, **asked)
    assert [criteria.meets(one) for one in said] == [naive(asked, one) for one in said]


@given(ASKED, ASKED)
def test_criteria_have_one_text_and_others_another(one, other):
    texts = Criteria(SINCE, UNTIL, **one).text(), Criteria(SINCE, UNTIL, **other).text()
    assert (texts[0] == texts[1]) == (one == other)


def test_the_text_is_in_utc_whatever_the_offset():
    local = SINCE.astimezone(timezone(timedelta(hours=8)))
    assert Criteria(local, UNTIL, action="read-file", actor="x").text() == (
        "2026-11-15T00:00:00Z/2026-11-22T00:00:00Z action=read-file actor=x"
    )


@pytest.mark.parametrize("value", ["", " ", "a b", "a=b", "张三", "x" * 65, "a\n", 'a"', "a\\", "-a", "|"])
def test_a_value_that_is_no_plain_word_is_malformed(value):
    with pytest.raises(Malformed, match="not a word"):
        Criteria(SINCE, UNTIL, actor=value)


def test_times_the_wrong_way_round_and_too_many_criteria_are_malformed():
    with pytest.raises(Malformed, match="since is not before until"):
        Criteria(UNTIL, UNTIL)
    with pytest.raises(Malformed, match="too many"):
        Criteria(SINCE, UNTIL, actor="x" * 64, station="y" * 64, agency="z" * 64)


@pytest.mark.parametrize("action", [Action.SEARCH_LOG, Action.EXPORT_LOG])
def test_the_detail_of_the_longest_search_is_one_block(action):
    """So long that nobody can tell from its size what was asked, beside a detail about anything else."""
    text = "x" * TEXT_LIMIT
    principal = Principal("a" * 36, Role.AUDITOR, "civil-affairs", "station-" + "7" * 28)
    subject = uuid4()
    ring = KeyRing({subject: (1, AESGCM(os.urandom(32)))})
    lengths = set()
    for asked, basis in ((text, LegalBasis.STATUTORY_DUTY), ("x", None)):
        intent = Intent(action, [subject], Purpose.AUDIT, basis, asked=asked, policies=("auditor-asks-the-log",))
        [sealed] = intents.entry(ring, intent, service="audit", principal=principal).details
        assert len(ring.open(sealed, AuditDetail).asked or "") == len(asked)
        lengths.add(len(sealed.ciphertext))
    assert lengths == {(12 + BLOCK + 16 + 2) // 3 * 4}


def test_a_version_7_id_says_when_it_was_made():
    now = datetime.now(UTC)
    assert abs(made_at(UUID(str(uuid7()))) - now) < timedelta(minutes=1)
    assert made_at(uuid4()) is None
    assert made_at(UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")) is None
    assert hour_of(datetime(2026, 11, 21, 10, 59, 59, 9, timezone(timedelta(hours=8)))).isoformat() == (
        "2026-11-21T02:00:00+00:00"
    )


def mac(key: bytes, text: str) -> bytes:
    return blake2b(text.encode(), key=key, digest_size=16).digest()


MAC = partial(mac, b"key")
TIMES = st.integers(0, 10**15).map(moment_of)


@given(TIMES, TIMES, TIMES, st.uuids(), st.text(max_size=40))
def test_a_cursor_comes_back_as_it_was_and_for_its_search_alone(since, until, hour, entry_id, asked):
    cursor = Cursor(since, until, hour, entry_id)
    text = cursor.encode(MAC, asked)
    assert Cursor.parse(text) == cursor
    cursor.check(text, MAC, asked)
    for wrong in (partial(mac, b"another"), MAC):
        with pytest.raises(Malformed, match="another search"):
            cursor.check(text, wrong, asked if wrong is not MAC else asked + "x")


@given(st.text(max_size=90))
def test_what_is_no_cursor_is_malformed(text):
    with pytest.raises(Malformed):
        Cursor.parse(text).check(text, MAC, "")
