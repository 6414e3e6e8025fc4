"""Makes the keyset and the log's signing keys in a folder, once; what is there is kept."""

import sys
from pathlib import Path

from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.sm2 import SM2SigningKey
from doorstep.kit.keyset import Suite, new_keyset

folder, origin = Path(sys.argv[1]), sys.argv[2]
suite = Suite(sys.argv[3]) if len(sys.argv) > 3 else Suite.INTERNATIONAL
new_keyset(folder / "keyset.json", suite)
keys = {"log.key": SigningKey} | ({"log-sm2.key": SM2SigningKey} if suite is Suite.NATIONAL else {})
for name, made in keys.items():
    if not (folder / name).exists():
        fresh = folder / f".{name}"  # a file that was broken off is not taken for the key
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(made.generate(origin).encode() + "\n", encoding="ascii")
        fresh.rename(folder / name)
