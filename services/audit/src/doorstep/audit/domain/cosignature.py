"""Cosignatures of witnesses on checkpoints (C2SP tlog-cosignature), of signature type 0x04, Ed25519.

- Signed is `cosignature/v1`, a line `time <seconds>`, then the checkpoint's whole text, extension lines too.
- The signature's bytes are the time (8, big-endian) and what Ed25519 made (64).
- It says: at that time this was the largest tree of the log that the witness had seen, and it had only grown.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from doorstep.audit.domain.errors import Malformed, SignatureRejected
from doorstep.audit.domain.note import PRIVATE, Signature, encode_base64, key_id, parse_key, require_name

COSIGNATURE = 0x04
TIME_LIMIT = 1 << 63
_TIME_BYTES = 8
_PAYLOAD_BYTES = _TIME_BYTES + 64


def _message(body: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{body}".encode()


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness: its name and 32 bytes of Ed25519."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which a signature line names this key."""
        return key_id(self.name, COSIGNATURE, self.public_key)

    @classmethod
    def parse(cls, text: str) -> "WitnessKey":
        """Read name+hexid+base64(0x04 || key); raise Malformed for anything else, or an id of another key."""
        name, hexid, data = parse_key(text, COSIGNATURE, "witness key")
        key = cls(name, data)
        if hexid != key.key_id.hex():
            raise Malformed("witness key: the id is not this key's")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([COSIGNATURE]) + self.public_key)}"

    def made(self, signature: Signature) -> bool:
        """Whether a signature line names this key; nothing is checked yet."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)

    def verify(self, body: str, signature: Signature) -> int:
        """Check one cosignature of this key on the checkpoint's text `body`, and return its time in seconds.

        Raises Malformed if it has another length or an impossible time, SignatureRejected.
        """
        if len(signature.payload) != _PAYLOAD_BYTES:
            raise Malformed(f"cosignature of {self.name}: not 72 bytes")
        time = int.from_bytes(signature.payload[:_TIME_BYTES])
        if time >= TIME_LIMIT:
            raise Malformed(f"cosignature of {self.name}: an impossible time")
        try:
            public_key = Ed25519PublicKey.from_public_bytes(self.public_key)
            public_key.verify(signature.payload[_TIME_BYTES:], _message(body, time))
        except (InvalidSignature, ValueError) as error:
            raise SignatureRejected(f"cosignature of {self.name}: wrong") from error
        return time


@dataclass(frozen=True, slots=True, repr=False)
class WitnessSigningKey:
    """The secret key of a witness: its name and the 32-byte seed of Ed25519."""

    name: str
    seed: bytes

    @classmethod
    def generate(cls, name: str) -> "WitnessSigningKey":
        """Make a new key; raise Malformed for a name no key can have."""
        return cls(require_name(name), Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "WitnessSigningKey":
        """Read PRIVATE+KEY+name+hexid+base64(0x04 || seed); raise Malformed for anything else."""
        if not text.startswith(PRIVATE):
            raise Malformed("witness signing key: not of the form PRIVATE+KEY+name+id+key")
        name, hexid, data = parse_key(text.strip().removeprefix(PRIVATE), COSIGNATURE, "witness signing key")
        key = cls(name, data)
        if hexid != key.verifier.key_id.hex():
            raise Malformed("witness signing key: the id is not this key's")
        return key

    def encode(self) -> str:
        """Return the secret text form, to be kept in a file that only the witness can read."""
        return f"{PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{encode_base64(bytes([COSIGNATURE]) + self.seed)}"

    @property
    def verifier(self) -> WitnessKey:
        """The public key that checks this key's cosignatures."""
        return WitnessKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def cosign(self, body: str, time: int) -> Signature:
        """Cosign the text of a checkpoint at `time`, in seconds; raises Malformed for a time that cannot be written."""
        if not 0 <= time < TIME_LIMIT:
            raise Malformed("cosignature: an impossible time")
        made = Ed25519PrivateKey.from_private_bytes(self.seed).sign(_message(body, time))
        return Signature(self.name, self.verifier.key_id, time.to_bytes(_TIME_BYTES) + made)
