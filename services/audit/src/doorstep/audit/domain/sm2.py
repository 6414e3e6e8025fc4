"""SM2 signatures with SM3 on notes (GB/T 32918.2): signature lines of a type of their own (C2SP signed-note, 0xff).

- Signature type: 0xff and behind it the object identifier of SM2 with SM3 in ASCII; both stand in keys and in key ids.
- Public key: 65 bytes, 0x04 || x || y. Signature: 64 bytes, r || s. The signer's id is the usual 1234567812345678.
- Whoever does not know the type ignores the line, as the format says; whoever has the key insists on a line of it.

The arithmetic is that of gmalg: milliseconds, not constant in time, and an object of it is for one thread alone.
"""

from dataclasses import dataclass

from gmalg import SM2

from doorstep.audit.domain.errors import Malformed, SignatureRejected
from doorstep.audit.domain.note import PRIVATE, Note, Signature, encode_base64, key_id, require_name, split_key

UNASSIGNED = 0xFF
IDENTIFIER = b"1.2.156.10197.1.501"
SIGNER_ID = b"1234567812345678"
_TYPE = bytes([UNASSIGNED]) + IDENTIFIER
_MARK = encode_base64(_TYPE[:18])  # how the base64 of whatever begins with the type begins
_FIELD = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF  # GB/T 32918.5
_ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_BYTES = 32


def _parse(text: str, length: int, what: str) -> tuple[str, str, bytes]:
    """Return name, hex id and `length` bytes of name+hexid+base64(type || bytes); raise Malformed for anything else."""
    name, hexid, data = split_key(text, what)
    if not data.startswith(_TYPE) or len(data) != len(_TYPE) + length:
        raise Malformed(f"{what}: not a key of type 0xff {IDENTIFIER.decode()}, SM2")
    return name, hexid, data[len(_TYPE) :]


@dataclass(frozen=True, slots=True)
class SM2VerifierKey:
    """A public key of SM2 for notes: its name and 65 bytes, 0x04 || x || y."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which a signature line names this key."""
        return key_id(self.name, UNASSIGNED, IDENTIFIER + self.public_key)

    @staticmethod
    def is_meant(text: str) -> bool:
        """Say whether `text` is meant to be a verifier key of SM2."""
        return text.split("+", 2)[-1].startswith(_MARK)

    @classmethod
    def parse(cls, text: str) -> "SM2VerifierKey":
        """Read name+hexid+base64(type || key); raise Malformed for anything else, or what is no point of the curve."""
        name, hexid, data = _parse(text, 1 + 2 * _BYTES, "SM2 verifier key")
        key = cls(name, data)
        if hexid != key.key_id.hex():
            raise Malformed("SM2 verifier key: the id is not this key's")
        if data[0] != 0x04 or max(_number(data[1:33]), _number(data[33:])) >= _FIELD or not SM2().verify_pk(data):
            raise Malformed("SM2 verifier key: not a point of the curve")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(_TYPE + self.public_key)}"

    def made(self, signature: Signature) -> bool:
        """Whether a signature line names this key; nothing is checked yet."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)

    def verify(self, text: str, signature: Signature) -> None:
        """Check one signature of this key over `text`; raise SignatureRejected."""
        r, s = signature.payload[:_BYTES], signature.payload[_BYTES:]
        checking = SM2(uid=SIGNER_ID, pk=self.public_key)
        if len(s) != _BYTES or not checking.verify(text.encode(), r, s):
            raise SignatureRejected(f"SM2 signature of {self.name}: wrong")


@dataclass(frozen=True, slots=True, repr=False)
class SM2SigningKey:
    """A secret key of SM2 for notes: its name, 32 bytes from 1 to the order less 2, and the public key to them."""

    name: str
    secret: bytes
    public_key: bytes

    @classmethod
    def generate(cls, name: str) -> "SM2SigningKey":
        """Make a new key; raise Malformed for a name no key can have."""
        secret, public_key = SM2().generate_keypair()
        return cls(require_name(name), secret.rjust(_BYTES, b"\0"), public_key)

    @classmethod
    def parse(cls, text: str) -> "SM2SigningKey":
        """Read PRIVATE+KEY+name+hexid+base64(type || secret); raise Malformed for anything else."""
        if not text.startswith(PRIVATE):
            raise Malformed("SM2 signing key: not of the form PRIVATE+KEY+name+id+key")
        name, hexid, secret = _parse(text.strip().removeprefix(PRIVATE), _BYTES, "SM2 signing key")
        if not 1 <= _number(secret) <= _ORDER - 2:
            raise Malformed("SM2 signing key: not a number below the order")
        key = cls(name, secret, SM2().generate_pk(secret))
        if hexid != key.verifier.key_id.hex():
            raise Malformed("SM2 signing key: the id is not this key's")
        return key

    def encode(self) -> str:
        """Return the secret text form, to be kept in a file that only the log's worker can read."""
        return f"{PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{encode_base64(_TYPE + self.secret)}"

    @property
    def verifier(self) -> SM2VerifierKey:
        """The public key that checks this key's signatures."""
        return SM2VerifierKey(self.name, self.public_key)

    def sign(self, text: str) -> Signature:
        """Sign a note's text; it takes milliseconds of the processor."""
        r, s = SM2(self.secret, SIGNER_ID, self.public_key).sign(text.encode())  # numbers in their shortest form
        return Signature(self.name, self.verifier.key_id, r.rjust(_BYTES, b"\0") + s.rjust(_BYTES, b"\0"))


def require_sm2(data: bytes, key: SM2VerifierKey) -> None:
    """Check that `key` signed the note `data`.

    Raises Malformed for no note, SignatureRejected if it has no line of the key, or a wrong one.
    """
    note = Note.parse(data)
    lines = [signature for signature in note.signatures if key.made(signature)]
    if not lines:
        raise SignatureRejected(f"note: no SM2 signature of {key.name}+{key.key_id.hex()}")
    for signature in lines:
        key.verify(note.text, signature)


def _number(data: bytes) -> int:
    return int.from_bytes(data)
