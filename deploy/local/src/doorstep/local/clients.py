"""Service accounts of the development issuer: who has which secret, for tokens by RFC 6749, section 4.4."""

import os
import secrets
from collections.abc import Iterable
from hmac import compare_digest
from pathlib import Path

LIFETIME = 300  # seconds
_PREFIX = "doorstep-"


class UnknownClient(ValueError):
    """There is no service account of this name, or its secret is another one."""


def client_id(service: str) -> str:
    """Return the name of a service's account."""
    return f"{_PREFIX}{service}"


class Clients:
    """The service accounts, whose secrets lie in a folder, a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, services: Iterable[str]) -> None:
        """Give each service a secret unless it has one."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for service in services:
            if not (self.folder / service).exists():
                partial = self.folder / f".{service}.new"
                partial.unlink(missing_ok=True)
                with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(secrets.token_urlsafe(32))
                partial.rename(self.folder / service)

    def service(self, name: str, secret: str) -> str:
        """Return the service whose account this is; raises UnknownClient."""
        for file in self.folder.iterdir() if self.folder.is_dir() else ():
            if client_id(file.name) == name and compare_digest(file.read_bytes(), secret.encode()):
                return file.name
        raise UnknownClient(name)
