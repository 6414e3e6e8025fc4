"""Programs for a JDK that Maven fetches by coordinates: Apache Kafka and Keycloak, for tests."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[5]
CACHE = CHECKOUT / ".cache"
STOP_SECONDS = 30.0


class ProgramUnavailable(Exception):
    """The program cannot run here; the message says what is missing, in one sentence."""


def missing(program: str, pom: Path) -> str | None:
    """What this machine lacks to run `program`, which `pom` names, as a sentence, or None where nothing is missing."""
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if absent:
        return f"{program} needs {' and '.join(absent)} on the path (a JDK 17 or later, and Maven)."
    if not pom.exists():
        return f"{program} is started from a checkout only: {pom.relative_to(CHECKOUT)} is not here."
    return None


async def fetched(program: str, pom: Path, goal: str) -> Path:
    """The folder that Maven fills with what `pom` names, by `goal`, the first time; raises ProgramUnavailable.

    The folder is named after the digest of the pom, so another version gets another folder; it is filled aside and
    renamed, so that a broken download leaves nothing half done.
    """
    if reason := missing(program, pom):
        raise ProgramUnavailable(reason)
    folder = _folder(pom)
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        folders = (f"-DoutputDirectory={aside}/fetched", f"-DmarkersDirectory={aside}/markers")
        await call("mvn", "-B", "-q", "-f", pom, f"dependency:{goal}", *folders)
        with contextlib.suppress(FileExistsError, OSError):  # another process was first
            (Path(aside) / "fetched").rename(folder)
    return folder


def _folder(pom: Path) -> Path:
    cache = CACHE / pom.parent.name
    cache.mkdir(parents=True, exist_ok=True)
    return cache / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]


async def call(*command: str | Path) -> None:
    """Run a command to its end; raises ProgramUnavailable with the last line that it said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise ProgramUnavailable(f"{Path(command[0]).name} failed: {last[0]}")


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process that leads its own session by SIGTERM, and by SIGKILL if it does not."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
