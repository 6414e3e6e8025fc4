"""The keys of a log: what they are read from, and a key that is changed with overlap."""

import hashlib

import pytest

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.errors import Malformed, SignatureRejected
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.merkle import EMPTY_ROOT
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.operations.activating import activation
from doorstep.contracts.codes import Action
from doorstep.kit.vault import NOBODY

NAME = "doorstep.example/log"
OLD, NEW, STRANGE = (SigningKey(NAME, bytes([number]) * 32) for number in (1, 2, 3))


def test_keys_are_read_one_a_line():
    keys = LogKeys.parse(f"# the log's keys\n{NEW.encode()}\n\n  {OLD.verifier}\n")
    assert keys == LogKeys((NEW,), (OLD.verifier,))
    assert keys.name == NAME
    assert keys.verifiers == (NEW.verifier, OLD.verifier)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "none of them signs"),
        (str(OLD.verifier), "none of them signs"),
        (f"{OLD.encode()}\n{OLD.verifier}", "there twice"),
        (f"{OLD.encode()}\n{SigningKey('another', OLD.seed[::-1]).encode()}", "different names"),
        (OLD.encode()[:-3], "base64"),
        ("what is this", "verifier key"),
    ],
)
def test_what_is_no_set_of_keys_is_malformed(text, why):
    with pytest.raises(Malformed, match=why):
        LogKeys.parse(text)


def test_a_key_is_changed_with_overlap():
    before, overlap, after = LogKeys((OLD,)), LogKeys((NEW, OLD)), LogKeys((NEW,), (OLD.verifier,))
    notes = [Checkpoint(NAME, 0, EMPTY_ROOT).sign(*keys.signing) for keys in (before, overlap, after)]
    verified = [[_opens(note, key) for note in notes] for key in (OLD, NEW, STRANGE)]
    assert verified == [[True, True, False], [False, True, True], [False, False, False]]
    for keys in (overlap, after):
        for note in notes:
            open_checkpoint(note, NAME, keys.verifiers)


def _opens(note: bytes, key: SigningKey) -> bool:
    try:
        open_checkpoint(note, NAME, [key.verifier])
    except SignatureRejected:
        return False
    return True


def test_keys_that_come_into_force_are_named():
    said = activation(LogKeys((NEW,), (OLD.verifier,)))
    assert said.policies == tuple(f"key:{NAME}+{key.verifier.key_id.hex()}" for key in (NEW, OLD))
    told = f"{NEW.verifier}\n{OLD.verifier}\n"
    assert said.outcome == f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"
    assert activation(LogKeys((NEW,))).outcome != said.outcome
    assert (said.action, said.subjects) == (Action.ACTIVATE_KEYS, [NOBODY])
