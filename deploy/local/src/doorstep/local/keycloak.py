"""Keycloak on this machine's JDK: fetched by Maven once, started with the station's realm, and stopped; for tests."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from doorstep.local import jdk
from doorstep.local.jdk import ProgramUnavailable
from doorstep.local.ports import HOST, free_ports

PROGRAM = "Keycloak"
SETTINGS = jdk.CHECKOUT / "deploy" / "keycloak"
POM = SETTINGS / "pom.xml"
REALM = SETTINGS / "doorstep-realm.json"
START_SECONDS = 300.0
_HEAP = "-Xms128m -Xmx640m -XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Keycloak:
    """A running Keycloak: its address, and the name and password of its first administrator."""

    url: str
    administrator: str
    password: str

    @property
    def issuer(self) -> str:
        """The issuer of the station's tokens."""
        return f"{self.url}/realms/doorstep"


def missing() -> str | None:
    """What this machine lacks to run Keycloak, as a sentence, or None where nothing is missing."""
    return jdk.missing(PROGRAM, POM)


@contextlib.asynccontextmanager
async def running_keycloak(data_dir: Path, password: str) -> AsyncIterator[Keycloak]:
    """Run Keycloak on 127.0.0.1 in `data_dir`, with the station's realm and an administrator of this `password`.

    It keeps what it is told in a database in that folder. Leaving stops it. Raises ProgramUnavailable.
    """
    [distribution] = (await jdk.fetched(PROGRAM, POM, "unpack-dependencies")).glob("keycloak-*")
    home = data_dir / "keycloak"
    await asyncio.to_thread(_lay_out, distribution, home)
    running = Keycloak(f"http://{HOST}:{free_ports(1)[0]}", "administrator", password)
    log = data_dir / "keycloak.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            "bash",
            str(home / "bin" / "kc.sh"),
            "start-dev",
            "--import-realm",
            f"--http-host={HOST}",
            f"--http-port={running.url.rpartition(':')[2]}",
            env={
                **os.environ,
                "KC_BOOTSTRAP_ADMIN_USERNAME": running.administrator,
                "KC_BOOTSTRAP_ADMIN_PASSWORD": password,
                "JAVA_OPTS_KC_HEAP": _HEAP,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        await _answering(running, process, log)
        yield running
    finally:
        await jdk.stop(process)


def _lay_out(distribution: Path, home: Path) -> None:
    """A home of its own for one run: Keycloak writes into its folder."""
    if not home.exists():
        shutil.copytree(distribution, home)
    (home / "data" / "import").mkdir(parents=True, exist_ok=True)
    shutil.copy(REALM, home / "data" / "import")


async def _answering(running: Keycloak, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the realm answers, or raise ProgramUnavailable."""
    try:
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as client:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with client.get(f"{running.issuer}/.well-known/openid-configuration") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise ProgramUnavailable(f"Keycloak did not answer in {START_SECONDS:.0f} s; see {log}.") from None
    raise ProgramUnavailable(f"Keycloak ended at once with code {process.returncode}; see {log}.")
