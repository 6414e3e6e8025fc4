"""Runs triage: `python -m doorstep.risk api | worker | all | migrate`."""

import sys

from doorstep.kit.service import Program, Service, Settings, compose, main
from doorstep.risk.app import make_app
from doorstep.risk.worker import add_work


def _compose() -> Service:
    return compose("risk", Settings())


if __name__ == "__main__":
    sys.exit(main(Program("risk", _compose, make_app, add_work, "doorstep.risk:migrations"), sys.argv[1:]))
