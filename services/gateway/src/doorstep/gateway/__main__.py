"""Run the gateway: `python -m doorstep.gateway api|worker|all|migrate`."""

import sys

from doorstep.gateway.app import NAME, new_app, new_service
from doorstep.gateway.worker import work
from doorstep.kit.service import Program, main

PROGRAM = Program(NAME, new_service, new_app, work, "doorstep.gateway:migrations")

if __name__ == "__main__":
    sys.exit(main(PROGRAM, sys.argv[1:]))
