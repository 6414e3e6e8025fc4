"""Signed notes and their keys (C2SP signed-note), of signature type 0x01, Ed25519.

- A note is text ending in a newline, an empty line, and signature lines; the last empty line parts them.
- Signature line: em dash, space, key name, space, base64(key id || signature).
- Key id = first 4 bytes of SHA-256(name || 0x0A || type || public key); it never replaces the key.
- Signatures of unknown keys are ignored; one wrong signature of a known key rejects the note.
"""

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from doorstep.audit.domain.errors import Malformed, SignatureRejected

ED25519 = 0x01
NOTE_LIMIT = 1_000_000
SIGNATURE_LIMIT = 100
PRIVATE = "PRIVATE+KEY+"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes; raise Malformed unless `text` is their one standard base64 form."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Malformed(f"{what}: not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Malformed(f"{what}: not canonical base64")
    return data


def encode_base64(data: bytes) -> str:
    """Return the standard base64 form."""
    return base64.b64encode(data).decode()


def require_name(name: str) -> str:
    """Return `name`; raise Malformed if it is empty or holds a space, a plus or a control character."""
    if not name or "+" in name or any(character.isspace() for character in name) or _CONTROL.search(name):
        raise Malformed("key name: empty, or with a space or a plus")
    return name


def key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """Return the 4 bytes by which a signature line names its key."""
    return sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:4]


def split_key(text: str, what: str) -> tuple[str, str, bytes]:
    """Return name, hex id and bytes of name+hexid+base64(bytes); raise Malformed for any other form."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Malformed(f"{what}: not of the form name+id+key")
    name, hexid, encoded = parts
    return require_name(name), hexid, decode_base64(encoded, what)


def parse_key(text: str, key_type: int, what: str) -> tuple[str, str, bytes]:
    """Return name, hex id and 32 bytes of name+hexid+base64(type || bytes); raise Malformed for any other form."""
    name, hexid, data = split_key(text, what)
    if len(data) != 33 or data[0] != key_type:
        raise Malformed(f"{what}: not a key of type {key_type:#04x}, Ed25519")
    return name, hexid, data[1:]


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name, its id (4 bytes), the signature's bytes."""

    name: str
    key_id: bytes
    payload: bytes

    def line(self) -> str:
        """Return the line, without its newline."""
        return f"— {self.name} {encode_base64(self.key_id + self.payload)}"


class Signer(Protocol):
    """A secret key, of whichever type."""

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        ...


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key for notes: its name and 32 bytes of Ed25519."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which a signature line names this key."""
        return key_id(self.name, ED25519, self.public_key)

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read name+hexid+base64(type || key); raise Malformed for anything else, or an id of another key."""
        name, hexid, data = parse_key(text, ED25519, "verifier key")
        key = cls(name, data)
        if hexid != key.key_id.hex():
            raise Malformed("verifier key: the id is not this key's")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([ED25519]) + self.public_key)}"

    def verify(self, text: str, signature: Signature) -> None:
        """Check one signature of this key over `text`; raise SignatureRejected."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature.payload, text.encode())
        except (InvalidSignature, ValueError) as error:
            raise SignatureRejected(f"signature of {self.name}: wrong") from error


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A secret key for notes: its name and the 32-byte seed of Ed25519."""

    name: str
    seed: bytes

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """Make a new key; raise Malformed for a name no key can have."""
        return cls(require_name(name), Ed25519PrivateKey.generate().private_bytes_raw())

    @staticmethod
    def is_secret(text: str) -> bool:
        """Say whether `text` is meant to be a signing key."""
        return text.startswith(PRIVATE)

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read PRIVATE+KEY+name+hexid+base64(type || seed); raise Malformed for anything else."""
        if not text.startswith(PRIVATE):
            raise Malformed("signing key: not of the form PRIVATE+KEY+name+id+key")
        name, hexid, data = parse_key(text.strip().removeprefix(PRIVATE), ED25519, "signing key")
        key = cls(name, data)
        if hexid != key.verifier.key_id.hex():
            raise Malformed("signing key: the id is not this key's")
        return key

    def encode(self) -> str:
        """Return the secret text form, to be kept in a file that only the log's worker can read."""
        data = encode_base64(bytes([ED25519]) + self.seed)
        return f"{PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{data}"

    @property
    def verifier(self) -> VerifierKey:
        """The public key that checks this key's signatures."""
        return VerifierKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        payload = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return Signature(self.name, self.verifier.key_id, payload)


@dataclass(frozen=True, slots=True)
class Note:
    """A text with its final newline, and the signature lines under it, none of them checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Return the note's bytes."""
        lines = "".join(f"{signature.line()}\n" for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()

    @classmethod
    def parse(cls, data: bytes) -> "Note":
        """Read a note without believing it; raise Malformed."""
        if len(data) > NOTE_LIMIT:
            raise Malformed("note: longer than 1,000,000 bytes")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("note: not UTF-8") from error
        if _CONTROL.search(whole):
            raise Malformed("note: a control character")
        at = whole.rfind("\n\n")
        if at < 0 or not whole.endswith("\n") or at + 2 == len(whole):
            raise Malformed("note: no signature lines after an empty line")
        lines = whole[at + 2 : -1].split("\n")
        if len(lines) > SIGNATURE_LIMIT:
            raise Malformed("note: more than 100 signatures")
        return cls(whole[: at + 1], tuple(parse_line(line) for line in lines))


def parse_line(line: str) -> Signature:
    """Read a signature line, without its newline; raise Malformed."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise Malformed("signature line: not of the form — name base64")
    data = decode_base64(parts[2], "signature line")
    if len(data) < 5:
        raise Malformed("signature line: no signature behind the key id")
    return Signature(require_name(parts[1]), data[:4], data[4:])


def open_note(data: bytes, keys: Collection[VerifierKey]) -> str:
    """Return the text of a note that at least one of `keys` signed.

    Raises Malformed for no note, SignatureRejected if none of the keys signed it or one of them wrongly.
    """
    note = Note.parse(data)
    known = {(key.name, key.key_id): key for key in keys}
    trusted = False
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            key.verify(note.text, signature)
            trusted = True
    if not trusted:
        raise SignatureRejected("note: no signature of a trusted key")
    return note.text
