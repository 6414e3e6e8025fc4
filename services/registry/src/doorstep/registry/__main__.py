"""Run the registry: `python -m doorstep.registry api|worker|all|migrate`."""

import sys

from doorstep.kit.service import Program, main
from doorstep.registry.app import NAME, new_app, new_service
from doorstep.registry.worker import work

PROGRAM = Program(NAME, new_service, new_app, work, "doorstep.registry:migrations")

if __name__ == "__main__":
    sys.exit(main(PROGRAM, sys.argv[1:]))
