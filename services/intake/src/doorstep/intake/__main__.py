"""Run intake: `python -m doorstep.intake api|worker|all|migrate`."""

import sys

from doorstep.intake.app import NAME, new_app, new_service
from doorstep.intake.worker import work
from doorstep.kit.service import Program, main

PROGRAM = Program(NAME, new_service, new_app, work, "doorstep.intake:migrations")

if __name__ == "__main__":
    sys.exit(main(PROGRAM, sys.argv[1:]))
