"""What leaves for a department: JWE (RFC 7516) for the one key that it published, opened by it alone.

Algorithms are fixed: ECDH-ES+A256KW on X25519 (RFC 8037) and A256GCM. The recipient's key is named by its kid.
"""

import json
from base64 import urlsafe_b64decode
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

_ALGORITHMS = ["ECDH-ES+A256KW", "A256GCM"]


class UnusableKey(ValueError):
    """The key is not an X25519 key of the expected kind."""


class NotForUs(ValueError):
    """The message was not encrypted for any of our keys, or was changed."""


def public_key(document: dict[str, Any]) -> OKPKey:
    """The public X25519 key in a JWK. Raises UnusableKey, also for a private one."""
    try:
        key = OKPKey.import_key(document)
    except (JoseError, ValueError, KeyError, TypeError):
        raise UnusableKey("not an OKP key") from None
    kind = (document.get("kty"), document.get("crv"))
    if key.is_private or kind != ("OKP", "X25519") or not document.get("kid"):
        raise UnusableKey("needs a public X25519 key with a kid")
    return key


def new_private_key(kid: str) -> OKPKey:
    """A fresh X25519 key pair called `kid`."""
    return OKPKey.generate_key("X25519", {"kid": kid})


def encrypt_for(key: OKPKey, data: bytes) -> bytes:
    """`data` as compact JWE for the holder of `key`."""
    header = {"alg": _ALGORITHMS[0], "enc": _ALGORITHMS[1], "kid": key.kid}
    return jwe.encrypt_compact(header, data, key, algorithms=_ALGORITHMS).encode()


def open_with(keys: dict[str, OKPKey], token: bytes) -> bytes:
    """What `encrypt_for` was given, by the private key that the header names. Raises NotForUs."""
    try:
        name = json.loads(urlsafe_b64decode(token.partition(b".")[0] + b"=="))["kid"]
        plain = jwe.decrypt_compact(token, keys[name], algorithms=_ALGORITHMS).plaintext
    except (JoseError, ValueError, KeyError, TypeError):
        raise NotForUs("no key of ours opens it") from None
    if plain is None:
        raise NotForUs("it is empty")
    return plain
