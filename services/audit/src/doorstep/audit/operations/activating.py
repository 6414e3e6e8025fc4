"""What the log says of its own keys when they come into force."""

import hashlib

from doorstep.audit.domain.keys import LogKeys
from doorstep.contracts.codes import Action
from doorstep.kit.intents import Intent
from doorstep.kit.vault import NOBODY


def activation(keys: LogKeys) -> Intent:
    """What is logged when `keys` come into force: each verifier key by name and key id, the newest first.

    The outcome has the digest of what `/api/log/vkeys` answers.
    """
    told = "".join(f"{key}\n" for key in keys.listed)
    named = tuple(f"key:{key.name}+{key.key_id.hex()}" for key in keys.listed)
    outcome = f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"
    return Intent(Action.ACTIVATE_KEYS, [NOBODY], outcome=outcome, policies=named)
