"""Run the log as `python -m doorstep.audit api|worker|all|migrate`."""

import sys

from doorstep.audit.app import compose_log, new_app
from doorstep.audit.operations.granting import grant
from doorstep.audit.settings import settings_of
from doorstep.audit.worker import add_work
from doorstep.kit.service import Migrate, Program, Service, main


async def _with_second_store(service: Service, migrate: Migrate) -> None:
    settings = settings_of(service)
    await migrate(settings.log_anchor_url, "doorstep.audit:migrations/anchor")
    if settings.log_role is not None:
        await grant(service.database, settings.log_role)


PROGRAM = Program("audit", compose_log, new_app, add_work, "doorstep.audit:migrations", _with_second_store)

if __name__ == "__main__":
    sys.exit(main(PROGRAM, sys.argv[1:]))
