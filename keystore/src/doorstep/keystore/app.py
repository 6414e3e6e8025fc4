"""The key store, composed, and how its process runs."""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from doorstep.keystore.api import new_app
from doorstep.keystore.epochs import Epochs
from doorstep.keystore.keks import LocalKeks, split_keyset
from doorstep.keystore.places import Place, PlacedKeks
from doorstep.keystore.settings import KeyStoreSettings
from doorstep.keystore.table import KeyTable
from doorstep.keystore.transit import TransitKeks
from doorstep.keystore.turning import Turning
from doorstep.kit.auth import Authenticator
from doorstep.kit.db import Database
from doorstep.kit.keyset import Suite
from doorstep.kit.steps import Steps, die_at

log = logging.getLogger(__name__)

DEVELOPMENT_PROFILE = "embedded"
_ENDS = 10.0


@dataclass(frozen=True)
class Store:
    """A key store's parts; nothing is connected yet."""

    table: KeyTable
    epochs: Epochs
    turning: Turning


def compose(settings: KeyStoreSettings) -> Store:
    """The key store of the settings. Raises NoKeks."""
    if settings.keyset is not None:
        split_keyset(settings.keyset, settings.keks)
    database = Database(settings.database_url, service="keystore", pool_size=4)
    watched = settings.kill_at if settings.profile == DEVELOPMENT_PROFILE else None
    steps = Steps(die_at(watched) if watched else None)
    return _store(database, _keks(settings), suite=settings.suite, steps=steps, look=settings.epoch_look)


def local_store(database: Database, folder: Path, suite: Suite = Suite.INTERNATIONAL) -> Store:
    """A key store over `database` with its key-encryption keys in a file of `folder`."""
    keks = PlacedKeks({Place.FILE: LocalKeks(folder / "keks.json", suite)}, Place.FILE)
    return _store(database, keks, suite=suite, steps=Steps(), look=30.0)


def local_table(database: Database, folder: Path) -> KeyTable:
    """The data keys of a key store over `database` with its key-encryption keys in a file of `folder`."""
    return local_store(database, folder).table


def _store(database: Database, keks: PlacedKeks, *, suite: Suite, steps: Steps, look: float) -> Store:
    epochs = Epochs(database, keks, steps=steps)
    table = KeyTable(database, keks, epochs, suite.algorithm)
    return Store(table, epochs, Turning(database, table, epochs, steps=steps, look=look))


def _keks(settings: KeyStoreSettings) -> PlacedKeks:
    file = LocalKeks(settings.keks, settings.suite)
    if settings.transit_url is None:
        return PlacedKeks({Place.FILE: file}, Place.FILE)
    if settings.transit_token is None:
        raise ValueError("DOORSTEP_TRANSIT_TOKEN does not name the file with the token for Vault")
    transit = TransitKeks(settings.transit_url, mount=settings.transit_mount, token=settings.transit_token)
    return PlacedKeks({Place.FILE: file, Place.VAULT: transit}, Place.VAULT)


async def answering(store: Store, authenticator: Authenticator, host: str, port: int) -> web.AppRunner:
    """Begin to answer at `host` and `port`; its `cleanup` ends that. Raises OSError if the address is taken."""
    app = new_app(store.table, store.epochs, store.turning, authenticator)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_ENDS)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


async def serve(settings: KeyStoreSettings) -> bool:
    """Answer and turn epochs until SIGTERM or SIGINT; whether it ended because it was told to."""
    store = compose(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    authenticator = Authenticator(
        issuer=settings.issuer,
        jwks_url=settings.jwks_url,
        audience=settings.audience,
        development=settings.profile == DEVELOPMENT_PROFILE,
    )
    runner = await answering(store, authenticator, settings.host, settings.port)
    working = asyncio.create_task(store.turning.run(stopping))
    working.add_done_callback(_ended(stopping))
    try:
        log.info("ready", extra={"port": settings.port})
        await stopping.wait()
        log.info("draining")
    finally:
        stopping.set()
        await runner.cleanup()
        await asyncio.wait([working], timeout=_ENDS)
        await store.table.close()
    return working.done() and not working.cancelled() and working.exception() is None


def _ended(stopping: asyncio.Event) -> Callable[["asyncio.Task[None]"], None]:
    def ended(task: "asyncio.Task[None]") -> None:
        """Work that ends before it was told to takes the program with it, so that it is started anew."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a task ended", exc_info=error)
        stopping.set()

    return ended
