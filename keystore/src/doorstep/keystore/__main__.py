"""Runs the key store: `python -m doorstep.keystore all | migrate`."""

import asyncio
import importlib
import logging
import sys
from collections.abc import Sequence

import uvloop

from doorstep.keystore.app import DEVELOPMENT_PROFILE, serve
from doorstep.keystore.settings import KeyStoreSettings
from doorstep.kit.telemetry import configure_logging

log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run as `all` or `migrate`; gives the exit status."""
    mode = arguments[0] if arguments else "all"
    if mode not in ("all", "migrate"):
        log.error("unknown mode")
        return 2
    settings = KeyStoreSettings()
    configure_logging("keystore", settings.log_level)
    if settings.issuer_profile == DEVELOPMENT_PROFILE != settings.profile:
        log.error("the development issuer serves the embedded profile only")
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if mode == "migrate":
            migrations = importlib.import_module("doorstep.kit.migrations")  # here, to start without Alembic
            runner.run(migrations.migrate(settings.database_url, "doorstep.kit:migrations/keys"))
            return 0
        return 0 if runner.run(serve(settings)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
