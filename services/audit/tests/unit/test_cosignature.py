"""Cosignatures, as C2SP tlog-cosignature writes them; another implementation agrees."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import signing as scales_signing
from tlog_scales import tlog as scales

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.cosignature import WitnessKey, WitnessSigningKey
from doorstep.audit.domain.errors import LogError, Malformed, SignatureRejected
from doorstep.audit.domain.merkle import leaf_hash
from doorstep.audit.domain.note import Note, Signature, SigningKey, VerifierKey, encode_base64, key_id
from doorstep.audit.domain.quorum import attach
from doorstep.audit.domain.submission import parse_cosignature

ORIGIN = "doorstep.example/log"
LOG = SigningKey(ORIGIN, bytes(range(32)))
WITNESS = WitnessSigningKey("witness.example/justice", bytes(range(1, 33)))
CHECKPOINT = Checkpoint(ORIGIN, 1, leaf_hash(b"one"))
TIME = 1_679_315_147
COSIGNED = WITNESS.cosign(CHECKPOINT.body(), TIME)

PUBLISHED_BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_what_is_signed_is_the_published_text():
    secret = Ed25519PrivateKey.from_private_bytes(WITNESS.seed)
    signature = WITNESS.cosign(PUBLISHED_BODY, TIME)
    assert signature.payload[:8] == bytes.fromhex("00000000641850cb")
    secret.public_key().verify(signature.payload[8:], b"cosignature/v1\ntime 1679315147\n" + PUBLISHED_BODY.encode())
    assert len(signature.payload) == 72


def test_our_cosignature_verifies_elsewhere():
    note = attach(CHECKPOINT.sign(LOG), [COSIGNED.line()])
    theirs = scales.Checkpoint.from_text(note.decode())
    key = scales_signing.Vkey.from_string(str(WITNESS.verifier))
    assert key.sig_type == 4
    [signature] = [one for one in theirs.signatures if key.match(one)]
    key.get_verifier().verify_note(signature, theirs)
    assert scales_signing.Ed25519CosignatureVerifier.get_timestamp(signature.payload) == TIME
    assert open_checkpoint(note, ORIGIN, [LOG.verifier]) == CHECKPOINT


def test_keys_survive_their_text_form_and_are_not_shown():
    made = WitnessSigningKey.generate("witness.example/fire")
    assert WitnessSigningKey.parse(made.encode() + "\n") == made
    assert WitnessKey.parse(str(made.verifier)) == made.verifier
    assert made.seed.hex() not in repr(made)


def test_a_cosignature_is_of_its_key_text_and_time_alone():
    assert WITNESS.verifier.verify(CHECKPOINT.body(), COSIGNED) == TIME
    other = WitnessSigningKey.generate(WITNESS.name)
    assert not other.verifier.made(COSIGNED)
    with pytest.raises(SignatureRejected):
        other.verifier.verify(CHECKPOINT.body(), COSIGNED)
    for body in (Checkpoint(ORIGIN, 2, CHECKPOINT.root).body(), CHECKPOINT.body() + "extension\n"):
        with pytest.raises(SignatureRejected):
            WITNESS.verifier.verify(body, COSIGNED)


def test_a_plain_signature_of_the_same_key_is_no_cosignature():
    plain = SigningKey(WITNESS.name, WITNESS.seed)
    made = plain.sign(CHECKPOINT.body())
    assert not WITNESS.verifier.made(made)
    with pytest.raises(Malformed):
        WITNESS.verifier.verify(CHECKPOINT.body(), made)
    with pytest.raises(Malformed):
        VerifierKey.parse(str(WITNESS.verifier))
    with pytest.raises(Malformed):
        WitnessKey.parse(str(plain.verifier))


@given(st.integers(0, 71), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(at, change):
    payload = bytearray(COSIGNED.payload)
    payload[at] ^= change
    with pytest.raises(LogError):
        WITNESS.verifier.verify(CHECKPOINT.body(), Signature(COSIGNED.name, COSIGNED.key_id, bytes(payload)))


@given(st.binary(max_size=200))
def test_any_bytes_are_no_cosignature(payload):
    with pytest.raises(LogError):
        WITNESS.verifier.verify(CHECKPOINT.body(), Signature(COSIGNED.name, COSIGNED.key_id, payload))


@pytest.mark.parametrize("time", [-1, 1 << 63])
def test_an_impossible_time_is_not_signed(time):
    with pytest.raises(Malformed):
        WITNESS.cosign(CHECKPOINT.body(), time)


ENCODED = str(WITNESS.verifier).split("+", 2)


@pytest.mark.parametrize(
    "text",
    [
        "", "name", f"+{ENCODED[1]}+{ENCODED[2]}", f"{ENCODED[0]}+00000000+{ENCODED[2]}",
        f"other+{ENCODED[1]}+{ENCODED[2]}", f"{ENCODED[0]}+{ENCODED[1]}+{ENCODED[2]}\n",
        f"{ENCODED[0]}+{ENCODED[1]}+BA==", f"a b+{ENCODED[1]}+{ENCODED[2]}",
        f"m+{key_id('m', 6, bytes(1312)).hex()}+{base64.b64encode(bytes([6]) + bytes(1312)).decode()}",
    ],
)  # fmt: skip
def test_what_is_no_witness_key_is_malformed(text):
    with pytest.raises(Malformed):
        WitnessKey.parse(text)
    with pytest.raises(Malformed):
        WitnessSigningKey.parse(f"PRIVATE+KEY+{text}")


def test_of_an_answer_the_line_of_the_witness_counts():
    other = WitnessSigningKey.generate("witness.example/other")
    answer = f"{other.cosign(CHECKPOINT.body(), 5).line()}\n{COSIGNED.line()}\n".encode()
    assert parse_cosignature(answer, WITNESS.verifier, CHECKPOINT.body()) == (COSIGNED, TIME)


LINE = COSIGNED.line()


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\n", LINE.encode(), f"{LINE}\n\n".encode(), f"{LINE}\nmore\n".encode(), b"\xff\n",
        f"-{LINE[1:]}\n".encode(),
        f"{WitnessSigningKey.generate('w').cosign(CHECKPOINT.body(), 1).line()}\n".encode(), f"{LINE}\n".encode() * 500,
        f"{Signature(WITNESS.name, WITNESS.verifier.key_id, bytes(72)).line()}\n".encode(),
        f"— {WITNESS.name} {encode_base64(WITNESS.verifier.key_id + bytes(64))}\n".encode(),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_one_error(answer):
    with pytest.raises(LogError):
        parse_cosignature(answer, WITNESS.verifier, CHECKPOINT.body())


@given(st.binary(max_size=300))
def test_any_bytes_are_no_answer(answer):
    with pytest.raises(LogError):
        parse_cosignature(answer, WITNESS.verifier, CHECKPOINT.body())


def test_a_note_with_cosignatures_is_read_as_before():
    note = Note.parse(attach(CHECKPOINT.sign(LOG), [LINE]))
    assert note.signatures[1] == COSIGNED
    assert note.encode() == attach(CHECKPOINT.sign(LOG), [LINE])
