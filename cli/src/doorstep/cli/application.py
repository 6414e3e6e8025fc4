"""The command `doorstep` itself: names its members' commands, loads the one that is called, tells failures."""

import errno
import logging
import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from doorstep.cli.failures import Refusal
from doorstep.cli.members import load, members, summary

EXAMPLES = """
One visit, one record, every department answers for its part. 一站式受理、闭环办理。

Examples:

  doorstep demo                       a record goes its whole way, shown live 演示

  doorstep up                         the whole stack, kept in ./data 启动整套服务

  doorstep up --data /srv/station-1   the same, kept somewhere else

  doorstep COMMAND --help             what a command takes
"""


class Commands(TyperGroup):
    """A group whose members are described from their sources and imported only when called."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Name every command that an installed member offers."""
        return list(members())

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # type: ignore[override]
        """Return a stand-in that carries the help text."""
        point = members().get(cmd_name)
        return None if point is None else TyperCommand(cmd_name, help=summary(point))

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """Import and return the command that is called; raises MemberBroken."""
        point = members().get(args[0])
        if point is not None:
            return point.name, load(point), args[1:]
        name, _, rest = super().resolve_command(ctx, args)
        return name, None, rest


application = typer.Typer(
    name="doorstep",
    cls=Commands,
    help=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"doorstep {installed_version('doorstep-cli')}")
        raise typer.Exit


@application.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before the command."""


def main() -> None:
    """Run the command line; a Refusal becomes its two sentences and its exit code, without a traceback."""
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries log is not for the person at the terminal
    try:
        typer.main.get_command(application)(prog_name="doorstep")
    except Refusal as refusal:
        typer.echo(f"错误：{refusal.chinese}\nError: {refusal.english}", err=True)
        sys.exit(refusal.exit_code)
    except OSError as failure:
        if failure.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        typer.echo("错误：磁盘已满，请腾出空间后再试。\nError: the disk is full; make room and try again.", err=True)
        sys.exit(1)
