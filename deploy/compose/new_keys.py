"""Makes the keyset and the log's signing key in a folder, once; what is there is kept."""

import sys
from pathlib import Path

from doorstep.audit.domain.note import SigningKey
from doorstep.kit.keyset import new_keyset

folder, origin = Path(sys.argv[1]), sys.argv[2]
new_keyset(folder / "keyset.json")
log_key = folder / "log.key"
if not log_key.exists():
    log_key.touch(mode=0o600)
    log_key.write_text(SigningKey.generate(origin).encode() + "\n", encoding="ascii")
