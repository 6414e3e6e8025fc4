"""The commands that installed members offer, found by entry points and described without importing them."""

import ast
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from doorstep.cli.failures import Refusal

GROUP = "doorstep.commands"


class MemberBroken(Refusal):
    """A command is listed by an installed member, and importing it fails."""

    def __init__(self, name: str, cause: BaseException) -> None:
        reason = f"{type(cause).__name__}: {cause}"
        super().__init__(
            f"命令 {name} 无法加载（{reason}）；请重新安装：make install。",
            f"The command {name} cannot be loaded ({reason}); install again with: make install.",
        )


def members() -> dict[str, EntryPoint]:
    """Return every offered command by name, in the order of the names; of two with one name the first is kept."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        found.setdefault(point.name, point)
    return found


def summary(point: EntryPoint) -> str:
    """Return the first line of the member's docstring, read from its source; empty when it cannot be read."""
    try:
        spec = find_spec(point.module)
        if spec is None or spec.origin is None:
            return ""
        module = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == point.attr]
    own = ast.get_docstring(functions[0]) if functions else None
    return (own or ast.get_docstring(module) or "").partition("\n")[0]


def load(point: EntryPoint) -> TyperCommand | TyperGroup:
    """Import the member and make its command; raises MemberBroken, never what the import raised."""
    try:
        offered = point.load()
    except Exception as cause:
        raise MemberBroken(point.name, cause) from cause
    if isinstance(offered, typer.Typer):
        command = typer.main.get_command(offered)
    elif callable(offered):
        application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        application.command(name=point.name)(offered)
        command = typer.main.get_command(application)
    else:
        raise MemberBroken(point.name, TypeError(f"{point.value} is neither a typer.Typer nor a function"))
    command.name = point.name
    if not isinstance(command, TyperCommand | TyperGroup):
        raise MemberBroken(point.name, TypeError(f"{point.value} is not a typer command"))
    return command
