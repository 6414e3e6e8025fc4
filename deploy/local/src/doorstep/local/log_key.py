"""The signing key of the audit log, in the note format (C2SP signed-note): made once, then kept."""

import base64
import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ED25519 = b"\x01"


def new_log_key(path: Path, origin: str) -> None:
    """Write `PRIVATE+KEY+<origin>+<key id>+<base64(type || seed)>` for its owner alone; an existing one is kept."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4].hex()
    seed = base64.b64encode(_ED25519 + key.private_bytes_raw()).decode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"PRIVATE+KEY+{origin}+{key_id}+{seed}\n")
