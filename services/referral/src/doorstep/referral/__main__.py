"""Run referral: `python -m doorstep.referral api|worker|all|migrate`."""

import sys

from doorstep.kit.service import Program, main
from doorstep.referral.app import NAME, new_app, new_service
from doorstep.referral.worker import work

PROGRAM = Program(NAME, new_service, new_app, work, "doorstep.referral:migrations")

if __name__ == "__main__":
    sys.exit(main(PROGRAM, sys.argv[1:]))
