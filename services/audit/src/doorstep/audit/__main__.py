"""Run the log as `python -m doorstep.audit api|worker|all|migrate`."""

import sys

from doorstep.audit.app import compose_log, new_app
from doorstep.audit.worker import add_work
from doorstep.kit.service import Program, main

PROGRAM = Program("audit", compose_log, new_app, add_work, "doorstep.audit:migrations")

if __name__ == "__main__":
    sys.exit(main(PROGRAM, sys.argv[1:]))
