"""Receipts, as C2SP tlog-proof writes them: they prove without the log, and changed they prove nothing."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.signing import Vkey
from tlog_scales.tlog import Checkpoint as ScalesCheckpoint
from tlog_scales.tlog import InclusionProof

from doorstep.audit.domain.errors import LogError, Malformed, ProofRejected, SignatureRejected
from doorstep.audit.domain.merkle import inclusion_ranges, leaf_hash, root_of
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.receipt import Receipt, check_receipt, parse_receipt

SIZE = 300


@pytest.fixture(scope="module")
def log(written_log, entries):
    return written_log(entries[:SIZE])


@pytest.fixture(scope="module")
def receipt_of(log, entries):
    leaves = [leaf_hash(entry) for entry in entries[:SIZE]]

    def make(index: int) -> Receipt:
        hashes = tuple(root_of(leaves[start:end]) for start, end in inclusion_ranges(index, SIZE))
        return Receipt(index, hashes, log.files["checkpoint"], extra=entries[index])

    return make


@pytest.fixture(scope="module")
def text(receipt_of):
    return receipt_of(137).encode()


def checked(log, data: bytes):
    return check_receipt(parse_receipt(data), log.origin, [log.key.verifier])


def test_every_entry_has_a_receipt_that_proves_it(log, entries, receipt_of):
    for index in range(SIZE):
        receipt = receipt_of(index)
        assert parse_receipt(receipt.encode()) == receipt
        entry, checkpoint = checked(log, receipt.encode())
        assert (entry.encode(), checkpoint.size) == (entries[index], SIZE)


def test_it_is_the_text_that_the_format_describes(log, entries, text):
    head, _, checkpoint = text.decode().partition("\n\n")
    first, extra, index, *hashes = head.split("\n")
    assert (first, index) == ("c2sp.org/tlog-proof@v1", "index 137")
    assert base64.b64decode(extra.removeprefix("extra ")) == entries[137]
    assert checkpoint.encode() == log.files["checkpoint"]
    theirs = ScalesCheckpoint.from_text(checkpoint)
    theirs.verify(Vkey.from_string(str(log.key.verifier)))
    InclusionProof(137, SIZE, [base64.b64decode(one) for one in hashes]).check(
        leaf_hash(entries[137]), theirs.root_hash
    )


def test_one_without_extra_is_read_and_does_not_hold_the_entry(log, receipt_of):
    whole = receipt_of(0)
    bare = Receipt(whole.index, whole.hashes, whole.checkpoint)
    assert parse_receipt(bare.encode()) == bare
    with pytest.raises(Malformed, match="does not hold the entry"):
        checked(log, bare.encode())


@given(data=st.data())
def test_a_receipt_that_was_changed_anywhere_proves_nothing(log, text, data):
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[at]))
    with pytest.raises(LogError):
        checked(log, text[:at] + bytes([other]) + text[at + 1 :])


@given(data=st.data())
def test_a_receipt_that_was_cut_or_lengthened_proves_nothing(log, text, data):
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(LogError):
        checked(log, text[:cut])
    with pytest.raises(LogError):
        checked(log, text[:cut] + data.draw(st.binary(min_size=1, max_size=40)) + text[cut:])


@given(st.binary(max_size=400))
def test_what_is_no_receipt_is_one_error(data):
    with pytest.raises(Malformed):
        parse_receipt(data)


def test_a_strangers_key_another_log_and_another_entry_are_refused(log, entries, receipt_of):
    receipt = receipt_of(5)
    with pytest.raises(SignatureRejected):
        check_receipt(receipt, log.origin, [SigningKey(log.origin, bytes(32)).verifier])
    with pytest.raises(Malformed, match="another log"):
        check_receipt(receipt, "stranger.example/log", [log.key.verifier])
    with pytest.raises(ProofRejected):
        check_receipt(Receipt(5, receipt.hashes, receipt.checkpoint, extra=entries[6]), log.origin, [log.key.verifier])
    with pytest.raises(ProofRejected):
        check_receipt(Receipt(6, receipt.hashes, receipt.checkpoint, extra=entries[5]), log.origin, [log.key.verifier])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda text: text.replace(b"index 137", b"index 0137"),
        lambda text: text.replace(b"index 137", b"index -1"),
        lambda text: text.replace(b"index 137", b"index 9223372036854775808"),
        lambda text: text.replace(b"index 137\n", b""),
        lambda text: text.replace(b"index 137", b"index 300"),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"@v1", b"@v2"),
        lambda text: text.replace(b"index 137\n", b"index 137\n" + base64.b64encode(bytes(32)) + b"\n"),
        lambda text: text.replace(b"index 137\n", b"index 137\n" + b"AAAA\n"),
        lambda text: text.replace(b"index 137\n", b"index 137\n" + (base64.b64encode(bytes(32)) + b"\n") * 65),
    ],
)
def test_a_malformed_receipt_is_one_error(log, text, wrong):
    with pytest.raises(LogError):
        checked(log, wrong(text))
