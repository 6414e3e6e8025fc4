"""The signing keys of the audit log, in the note format (C2SP signed-note): made once, then kept."""

import base64
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorstep.audit.domain.sm2 import SM2SigningKey

_ED25519 = b"\x01"


def new_log_key(path: Path, origin: str) -> None:
    """Write `PRIVATE+KEY+<origin>+<key id>+<base64(type || seed)>` for its owner alone; an existing one is kept."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4].hex()
    seed = base64.b64encode(_ED25519 + key.private_bytes_raw()).decode()
    _write_once(path, f"PRIVATE+KEY+{origin}+{key_id}+{seed}\n")


def new_sm2_key(path: Path, origin: str) -> None:
    """Write a key of SM2 for the log in the same form, for its owner alone; an existing one is kept."""
    if not path.exists():
        _write_once(path, SM2SigningKey.generate(origin).encode() + "\n")


def _write_once(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all and never in the place of another."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink(missing_ok=True)
