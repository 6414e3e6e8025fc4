"""SM2 lines on notes: as GB/T 32918 and OpenSSL compute them, insisted on by who has the key, ignored by all others."""

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales import signing as scales_signing
from tlog_scales import tlog as scales

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.errors import LogError, Malformed, SignatureRejected
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.merkle import leaf_hash
from doorstep.audit.domain.note import Note, Signature, SigningKey, VerifierKey
from doorstep.audit.domain.sm2 import SM2SigningKey, SM2VerifierKey, require_sm2
from doorstep.audit.domain.verify import CheckpointRejected, check_sm2
from doorstep.audit.operations.activating import activation
from doorstep.audit.settings import LogSettings
from doorstep.kit.keyset import Suite

ORIGIN = "doorstep.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
# GB/T 32918.5-2017, A.2
SECRET = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
PUBLIC = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
PUBLISHED = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
SM2 = SM2SigningKey(ORIGIN, SECRET, PUBLIC)
OTHER = SM2SigningKey.generate(ORIGIN)
CHECKPOINT = Checkpoint(ORIGIN, 1, leaf_hash(b"one"))
SIGNED = CHECKPOINT.sign(KEY, SM2)
TYPE = b"\xff1.2.156.10197.1.501"


def test_the_published_signature_verifies_and_no_other():
    SM2.verifier.verify("message digest", Signature(ORIGIN, SM2.verifier.key_id, PUBLISHED))
    zero, order = bytes(32), bytes.fromhex("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123")
    for text, key, payload in (
        ("message digesT", SM2, PUBLISHED),
        ("message digest", OTHER, PUBLISHED),
        ("message digest", SM2, PUBLISHED[32:] + PUBLISHED[:32]),
        ("message digest", SM2, PUBLISHED + b"\0"),
        ("message digest", SM2, PUBLISHED[:-1]),
        ("message digest", SM2, b"\x01"),
        ("message digest", SM2, zero + PUBLISHED[32:]),
        ("message digest", SM2, PUBLISHED[:32] + zero),
        ("message digest", SM2, PUBLISHED[:32] + order),
        ("message digest", SM2, bytes([255]) * 64),
    ):
        with pytest.raises(SignatureRejected):
            key.verifier.verify(text, Signature(ORIGIN, key.verifier.key_id, payload))


PUBLISHED_NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
SHORT = {121: "s", 240: "r"}  # nonces with which a number of the signature has 31 bytes


def test_what_is_signed_is_the_published_signature_and_of_one_length(monkeypatch):
    for nonce in (PUBLISHED_NONCE, *SHORT):
        monkeypatch.setattr("gmalg.base.secrets.randbits", lambda bits, nonce=nonce: nonce)
        signature = SM2.sign("message digest")
        assert (signature.payload == PUBLISHED) is (nonce == PUBLISHED_NONCE)
        assert len(signature.payload) == 64
        assert (signature.payload[0] == 0, signature.payload[32] == 0) == (
            SHORT.get(nonce) == "r",
            SHORT.get(nonce) == "s",
        )
        SM2.verifier.verify("message digest", signature)
        short = SM2SigningKey.generate(ORIGIN)
        assert SM2SigningKey.parse(short.encode()) == short
        assert len(short.secret) == 32


def test_keys_have_the_form_of_the_format_and_survive_it():
    verifier = SM2.verifier
    assert verifier.key_id == hashlib.sha256(ORIGIN.encode() + b"\n" + TYPE + PUBLIC).digest()[:4]
    assert str(verifier) == f"{ORIGIN}+{verifier.key_id.hex()}+{base64.b64encode(TYPE + PUBLIC).decode()}"
    for key in (SM2, OTHER):
        assert SM2SigningKey.parse(key.encode() + "\n") == key
        assert SM2VerifierKey.parse(str(key.verifier)) == key.verifier
        assert SM2VerifierKey.is_meant(str(key.verifier))
        assert key.secret.hex() not in repr(key)
    assert not SM2VerifierKey.is_meant(str(KEY.verifier))


def encoded(data: bytes, name: str = ORIGIN) -> str:
    """A key of these bytes behind its right id."""
    hexid = hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8]
    return f"{name}+{hexid}+{base64.b64encode(data).decode()}"


BESIDE = PUBLIC[:-1] + bytes([PUBLIC[-1] ^ 1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "form"), ("nonsense", "form"), (str(KEY.verifier), "SM2"), (str(SM2.verifier)[:-4], "base64|SM2"),
        (str(SM2.verifier).replace("+", "+0", 1), "id"), (str(SM2.verifier).replace("log", "lag"), "id"),
        (encoded(TYPE + BESIDE), "point"), (encoded(TYPE + b"\x02" + PUBLIC[1:]), "point"),
        (encoded(TYPE + b"\x04" + bytes(64)), "point"), (encoded(TYPE + b"\x04" + b"\xff" * 64), "point"),
        (encoded(TYPE + PUBLIC[:33]), "SM2"), (encoded(b"\xff1.2.156.10197.1.301" + PUBLIC), "SM2"),
        (encoded(TYPE + PUBLIC, "a b"), "name"), (SM2.encode(), "form|SM2|id|base64"),
    ],
)  # fmt: skip
def test_what_is_no_verifier_key_is_malformed(text, why):
    with pytest.raises(Malformed, match=why):
        SM2VerifierKey.parse(text)


def secret(number: int) -> str:
    return f"PRIVATE+KEY+{encoded(TYPE + number.to_bytes(32))}"


ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "form"), (str(SM2.verifier), "form"), (KEY.encode(), "SM2"), (SM2.encode()[:-4], "base64|SM2"),
        (SM2.encode().replace("log+", "lag+"), "id"), (secret(0), "order"), (secret(ORDER - 1), "order"),
        (secret(ORDER), "order"), (secret(1), "id"), ("PRIVATE+KEY+a+b", "form"),
    ],
)  # fmt: skip
def test_what_is_no_signing_key_is_malformed(text, why):
    with pytest.raises(Malformed, match=why):
        SM2SigningKey.parse(text)


def test_a_note_has_to_bear_a_right_line_of_the_key():
    require_sm2(SIGNED, SM2.verifier)
    text, [ed25519, line] = CHECKPOINT.body(), Note.parse(SIGNED).signatures
    others = OTHER.sign(text)
    misnamed = Signature(ORIGIN, SM2.verifier.key_id, others.payload)
    for lines, why in (
        ((ed25519,), "no SM2 signature of"),
        ((ed25519, others), "no SM2 signature of"),
        ((ed25519, Signature("other.example/log", line.key_id, line.payload)), "no SM2 signature of"),
        ((ed25519, misnamed), "wrong"),
        ((ed25519, line, misnamed), "wrong"),
    ):
        with pytest.raises(SignatureRejected, match=why):
            require_sm2(Note(text, lines).encode(), SM2.verifier)
    grown = Checkpoint(ORIGIN, 2, CHECKPOINT.root).body()
    with pytest.raises(CheckpointRejected, match="wrong"):
        check_sm2(Note(grown, (KEY.sign(grown), line)).encode(), SM2.verifier)
    with pytest.raises(CheckpointRejected, match="empty line"):
        check_sm2(b"", SM2.verifier)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed_by_who_has_both_keys(at, change):
    changed = bytearray(SIGNED)
    changed[at] ^= change
    with pytest.raises(LogError):
        require_sm2(bytes(changed), SM2.verifier)
        open_checkpoint(bytes(changed), ORIGIN, [KEY.verifier])


def test_who_does_not_know_the_type_sees_what_was_there_before():
    plain = CHECKPOINT.sign(KEY)
    assert SIGNED.startswith(plain)
    assert open_checkpoint(SIGNED, ORIGIN, [KEY.verifier]) == open_checkpoint(plain, ORIGIN, [KEY.verifier])
    theirs = scales.Checkpoint.from_text(SIGNED.decode())
    theirs.verify(scales_signing.Vkey.from_string(str(KEY.verifier)))
    assert (theirs.origin, theirs.size, theirs.root_hash) == (ORIGIN, 1, CHECKPOINT.root)
    with pytest.raises(SignatureRejected):
        open_checkpoint(CHECKPOINT.sign(SM2), ORIGIN, [KEY.verifier])
    with pytest.raises(Malformed, match="Ed25519"):
        VerifierKey.parse(str(SM2.verifier))


OPENSSL = shutil.which("openssl")
OPTIONS = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
_CURVE = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")
TO_PUBLIC = bytes.fromhex("3059") + _CURVE + bytes.fromhex("034200")
TO_SECRET = bytes.fromhex("308187020100") + _CURVE + bytes.fromhex("046d306b0201010420")


def openssl(*arguments: object) -> bytes:
    return subprocess.run([OPENSSL, *map(str, arguments)], check=True, capture_output=True).stdout


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.skipif(OPENSSL is None, reason="needs openssl")
def test_openssl_verifies_what_we_sign(tmp_path):
    text = written(tmp_path / "text", CHECKPOINT.body().encode())
    for key in (SM2, OTHER):
        payload = key.sign(CHECKPOINT.body()).payload
        der = encode_dss_signature(int.from_bytes(payload[:32]), int.from_bytes(payload[32:]))
        public = written(tmp_path / "public", TO_PUBLIC + key.public_key)
        asked = ("-pubin", "-inkey", public, "-keyform", "DER", "-in", text, "-sigfile", written(tmp_path / "der", der))
        assert b"Verified Successfully" in openssl("pkeyutl", "-verify", *asked, *OPTIONS)


@pytest.mark.skipif(OPENSSL is None, reason="needs openssl")
def test_we_verify_what_openssl_signs(tmp_path):
    text = written(tmp_path / "text", CHECKPOINT.body().encode())
    pem = openssl("genpkey", "-algorithm", "SM2").decode().splitlines()
    theirs = written(tmp_path / "theirs", base64.b64decode("".join(line for line in pem if "-" not in line)))
    ours = written(tmp_path / "ours", TO_SECRET + SECRET + bytes.fromhex("a144034200") + PUBLIC)
    for file in (theirs, ours):
        made = file.read_bytes()
        assert made.startswith(TO_SECRET)
        number, public = made[len(TO_SECRET) :][:32], made[-65:]
        key = SM2SigningKey.parse(SM2SigningKey(ORIGIN, number, public).encode())
        assert key.public_key == public
        r, s = decode_dss_signature(
            openssl("pkeyutl", "-sign", "-inkey", file, "-keyform", "DER", "-in", text, *OPTIONS)
        )
        signature = Signature(ORIGIN, key.verifier.key_id, r.to_bytes(32) + s.to_bytes(32))
        key.verifier.verify(CHECKPOINT.body(), signature)


def test_the_key_is_listed_behind_the_others_and_named_when_it_comes_into_force():
    keys = LogKeys((KEY,), (SigningKey(ORIGIN, bytes(32)).verifier,), SM2)
    assert keys.listed == (*keys.verifiers, SM2.verifier)
    assert LogKeys((KEY,)).listed == (KEY.verifier,)
    said = activation(LogKeys((KEY,), sm2=SM2))
    assert said.policies == tuple(f"key:{ORIGIN}+{key.verifier.key_id.hex()}" for key in (KEY, SM2))
    told = f"{KEY.verifier}\n{SM2.verifier}\n"
    assert said.outcome == f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"
    with pytest.raises(Malformed, match="different names"):
        LogKeys((KEY,), sm2=SM2SigningKey("other.example/log", SECRET, PUBLIC))


@pytest.fixture
def settings_with(tmp_path):
    """Settings of a log with these of its own."""
    place = {"keyset": tmp_path, "client_secret": tmp_path, "log_origin": ORIGIN}
    others = ("database_url", "kafka", "key_store_url", "token_url", "client_id", "issuer", "jwks_url")
    place |= dict.fromkeys((*others, "log_anchor_url"), "nowhere")
    return lambda **own: LogSettings(**place, **own)


def test_the_suite_says_whether_the_key_signs(settings_with, tmp_path):
    files = {
        "log_key": written(tmp_path / "log.key", KEY.encode().encode()),
        "log_sm2_key": written(tmp_path / "log-sm2.key", f"{SM2.encode()}\n".encode()),
    }
    assert settings_with(**files).log_keys() == LogKeys((KEY,))
    assert settings_with(suite="national", **files).log_keys() == LogKeys((KEY,), sm2=SM2)
    assert settings_with(suite=Suite.NATIONAL, **files).verifier_keys() == (KEY.verifier, SM2.verifier)
    told = settings_with(suite="national", log_vkey=f"{SM2.verifier} {KEY.verifier}")
    assert told.verifier_keys() == (KEY.verifier, SM2.verifier)
    with pytest.raises(ValueError, match="no verifier key of Ed25519"):
        settings_with(log_vkey=str(SM2.verifier)).verifier_keys()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "FileNotFoundError"), (b"", "not of the form"), (b"\xff\xfe", "UnicodeDecodeError"),
        (KEY.encode().encode(), "not a key of type 0xff"), (str(SM2.verifier).encode(), "not of the form"),
        (SM2.encode()[:-8].encode(), "DOORSTEP_LOG_SM2_KEY"),
        (SM2SigningKey("other.example/log", SECRET, PUBLIC).encode().encode(), "another log"),
    ],
    ids=["none", "empty", "no text", "ed25519", "public", "cut", "another log"],
)  # fmt: skip
def test_a_bad_key_file_is_one_clear_error(settings_with, tmp_path, content, why):
    log_key = written(tmp_path / "log.key", KEY.encode().encode())
    file = tmp_path / "log-sm2.key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(why)) as raised:
        settings_with(suite="national", log_key=log_key, log_sm2_key=file).log_keys()
    assert "log-sm2.key" in str(raised.value)
    assert SECRET.hex() not in str(raised.value)
    assert base64.b64encode(SECRET).decode()[4:20] not in str(raised.value)
    with pytest.raises(ValueError, match="DOORSTEP_LOG_SM2_KEY has to name"):
        settings_with(suite="national", log_key=log_key).log_keys()
