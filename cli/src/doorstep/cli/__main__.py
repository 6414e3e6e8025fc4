"""Run the command line as `python -m doorstep.cli`."""

from doorstep.cli.application import main

main()
