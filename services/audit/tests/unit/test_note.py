"""Notes, keys and checkpoints, as C2SP signed-note and tlog-checkpoint write them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import signing as scales_signing
from tlog_scales import tlog as scales

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint, parse_body
from doorstep.audit.domain.errors import LogError, Malformed, SignatureRejected
from doorstep.audit.domain.merkle import EMPTY_ROOT, leaf_hash
from doorstep.audit.domain.note import Note, Signature, SigningKey, VerifierKey, open_note

ORIGIN = "doorstep.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
ROOT = leaf_hash(b"one")
SIGNED = Checkpoint(ORIGIN, 1, ROOT).sign(KEY)

PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def test_a_published_note_opens_with_its_published_key():
    key = VerifierKey.parse(PUBLISHED_KEY)
    assert str(key) == PUBLISHED_KEY
    assert open_note(PUBLISHED_NOTE, [key]).endswith("what your problem is.\n")


def test_keys_survive_their_text_form():
    made = SigningKey.generate(ORIGIN)
    assert SigningKey.parse(made.encode() + "\n") == made
    assert VerifierKey.parse(str(made.verifier)) == made.verifier
    assert made.seed.hex() not in repr(made)
    assert made.encode() not in repr(made)


def test_our_checkpoint_verifies_elsewhere_and_theirs_here():
    theirs = scales.Checkpoint.from_text(SIGNED.decode())
    theirs.verify(scales_signing.Vkey.from_string(str(KEY.verifier)))
    assert (theirs.origin, theirs.size, theirs.root_hash) == (ORIGIN, 1, ROOT)
    signer = scales_signing.PlainEd25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(KEY.seed))
    made = scales.Checkpoint.make_signed(ORIGIN, 1, ROOT, [signer]).serialize().encode()
    assert made == SIGNED
    assert open_checkpoint(made, ORIGIN, [KEY.verifier]) == Checkpoint(ORIGIN, 1, ROOT)


def test_a_text_with_empty_lines_is_parted_at_the_last():
    text = "one\n\ntwo\n"
    note = Note(text, (KEY.sign(text),)).encode()
    assert open_note(note, [KEY.verifier]) == text


def test_unknown_signatures_are_ignored():
    other = SigningKey.generate("other.example")
    both = Checkpoint(ORIGIN, 1, ROOT).sign(other, KEY)
    assert open_checkpoint(both, ORIGIN, [KEY.verifier]).size == 1
    with pytest.raises(SignatureRejected):
        open_checkpoint(Checkpoint(ORIGIN, 1, ROOT).sign(other), ORIGIN, [KEY.verifier])
    namesake = SigningKey.generate(ORIGIN)
    with pytest.raises(SignatureRejected):
        open_checkpoint(Checkpoint(ORIGIN, 1, ROOT).sign(namesake), ORIGIN, [KEY.verifier])


def test_one_wrong_signature_of_a_known_key_rejects_the_note():
    second = SigningKey.generate(ORIGIN)
    text = Checkpoint(ORIGIN, 1, ROOT).body()
    forged = Signature(ORIGIN, second.verifier.key_id, bytes(64))
    note = Note(text, (KEY.sign(text), forged)).encode()
    assert open_note(note, [KEY.verifier]) == text
    with pytest.raises(SignatureRejected):
        open_note(note, [KEY.verifier, second.verifier])


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(at, change):
    changed = bytearray(SIGNED)
    changed[at] ^= change
    with pytest.raises(LogError):
        open_checkpoint(bytes(changed), ORIGIN, [KEY.verifier])


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_malformed(data):
    with pytest.raises(LogError):
        open_note(data, [KEY.verifier])


LINE = SIGNED.decode().split("\n")[-2]


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\n\n", "text\n", "text\n\n", f"text\n{LINE}\n", f"text\n\n{LINE}", f"text\n\n{LINE}\n\n",
        f"text\r\n\r\n{LINE}\r\n", f"te\0xt\n\n{LINE}\n", f"te\txt\n\n{LINE}\n", f"text\n\n{LINE} \n",
        f"text\n\n-{LINE[1:]}\n", f"text\n\n{LINE.replace(' ', '  ')}\n", f"text\n\n{LINE}\nnot a line\n",
        f"text\n\n— {ORIGIN} AAAAAA==\n", f"text\n\n— {ORIGIN} A-_A\n", f"text\n\n— {ORIGIN} AAAAAAB=\n",
        f"text\n\n— a+b {LINE.split()[2]}\n", f"text\n\n—  {LINE.split()[2]}\n",
        f"text\n\n— a\u00a0b {LINE.split()[2]}\n", "text\n\n" + f"{LINE}\n" * 101, "t" * 1_000_000 + f"\n\n{LINE}\n",
    ],
)  # fmt: skip
def test_what_is_no_note_is_malformed(text):
    with pytest.raises(Malformed):
        Note.parse(text.encode())


def test_sixteen_signatures_are_accepted():
    text = "text\n"
    keys = [SigningKey.generate(f"witness{number}.example") for number in range(15)]
    note = Note(text, tuple(key.sign(text) for key in (*keys, KEY))).encode()
    assert open_note(note, [KEY.verifier]) == text


ENCODED = str(KEY.verifier).split("+", 2)


@pytest.mark.parametrize(
    "text",
    [
        "", "name", "name+id", f"+{ENCODED[1]}+{ENCODED[2]}", f"other+{ENCODED[1]}+{ENCODED[2]}",
        f"{ORIGIN}+00000000+{ENCODED[2]}", f"{ORIGIN}+{ENCODED[1].upper()}x+{ENCODED[2]}",
        f"{ORIGIN}+{ENCODED[1]}+{ENCODED[2]}\n", f"{ORIGIN}+{ENCODED[1]}+", f"{ORIGIN}+{ENCODED[1]}+AQ==",
        f"a b+{ENCODED[1]}+{ENCODED[2]}",
        f"{ORIGIN}+{ENCODED[1]}+" + base64.b64encode(b"\x04" + KEY.verifier.public_key).decode(),
    ],
)  # fmt: skip
def test_what_is_no_verifier_key_is_malformed(text):
    with pytest.raises(Malformed):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "text", ["", str(KEY.verifier), KEY.encode()[:-4], KEY.encode().replace("log+", "lag+"), "PRIVATE+KEY+a+b"]
)
def test_what_is_no_signing_key_is_malformed(text):
    with pytest.raises(Malformed):
        SigningKey.parse(text)


ROOT64 = base64.b64encode(ROOT).decode()
EMPTY64 = base64.b64encode(EMPTY_ROOT).decode()


@pytest.mark.parametrize(
    "body",
    [
        "", "\n\n\n", f"{ORIGIN}\n1\n", f"{ORIGIN}\n1\n{ROOT64}", f"\n1\n{ROOT64}\n", f"{ORIGIN}\n01\n{ROOT64}\n",
        f"{ORIGIN}\n-1\n{ROOT64}\n", f"{ORIGIN}\n+1\n{ROOT64}\n", f"{ORIGIN}\n1_0\n{ROOT64}\n",
        f"{ORIGIN}\n١\n{ROOT64}\n", f"{ORIGIN}\n 1\n{ROOT64}\n", f"{ORIGIN}\n9223372036854775808\n{ROOT64}\n",
        f"{ORIGIN}\n1\n{ROOT64[:-4]}\n", f"{ORIGIN}\n1\n\n", f"{ORIGIN}\n1\n{ROOT64}\n\n", f"{ORIGIN}\n0\n{ROOT64}\n",
        f"{ORIGIN}\n1\n{ROOT64}=\n", f"{ORIGIN}\n1\n{ROOT64} \n", f"{ORIGIN}\n1\n{ROOT64}\n\nmore\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_malformed(body):
    with pytest.raises(Malformed):
        parse_body(body)


def test_extension_lines_are_read_and_the_empty_log_has_a_checkpoint():
    assert parse_body(f"{ORIGIN}\n0\n{EMPTY64}\n") == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    extended = parse_body(f"{ORIGIN}\n1\n{ROOT64}\nmore\n")
    assert extended.extensions == ("more",)
    assert extended.body() == f"{ORIGIN}\n1\n{ROOT64}\nmore\n"


def test_another_logs_checkpoint_is_malformed():
    with pytest.raises(Malformed):
        open_checkpoint(Checkpoint("other.example/log", 1, ROOT).sign(KEY), ORIGIN, [KEY.verifier])
