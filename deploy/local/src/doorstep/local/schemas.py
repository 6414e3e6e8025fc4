"""The command `doorstep schemas`: every published schema, also the services' own descriptions of their interfaces."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from doorstep.cli.failures import Refusal
from doorstep.contracts import feed_table, generate
from doorstep.contracts.topics import SERVICES
from doorstep.kit.keyset import new_keyset
from doorstep.local import broker_files
from doorstep.local.children import Program
from doorstep.local.environment import KEYS, LOG_ORIGIN, Engines, Layout, service_programs
from doorstep.local.log_key import new_log_key

FOLDER = generate.FOLDER / "openapi"
PAGE = Path("docs/feeds.md")
_NOWHERE = "127.0.0.1:9"  # nothing is connected to: a service that describes itself only needs to be composed


class NotTheProject(Refusal):
    """The command was not called at the root of the project."""

    def __init__(self) -> None:
        super().__init__(
            "请在项目根目录运行：这里没有 contracts/schemas。",
            "Run it at the root of the project: there is no contracts/schemas here.",
            exit_code=2,
        )


class NoDescription(Refusal):
    """A service could not describe its interface."""

    def __init__(self, service: str, said: str) -> None:
        last = said.strip().rpartition("\n")[2]
        super().__init__(
            f"服务 {service} 无法生成接口描述：{last}", f"The service {service} could not describe itself: {last}"
        )


def schemas(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail on a difference 只检查.")] = False,
    release: Annotated[bool, typer.Option("--release", help="Take today's events as the published ones 发布.")] = False,
) -> None:
    """Write, or check, the schemas of events and interfaces. 生成或检查接口与事件的模式。

    Examples:

      doorstep schemas

      doorstep schemas --check
    """
    if not generate.FOLDER.is_dir():
        raise NotTheProject
    flags = [name for name, asked in (("--check", check), ("--release", release)) if asked]
    status = generate.main(flags)
    wanted = descriptions()
    for folder, files in ((FOLDER, wanted), (broker_files.FOLDER, broker_files.broker_files())):
        if not check:
            generate.write(folder, files)
        for sentence in generate.differences(folder, files):
            typer.echo(sentence, err=True)
            status = 1
    if not check:
        PAGE.write_text(feed_table.page(), encoding="utf-8")
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != feed_table.page():
        typer.echo(f"{PAGE}: is not what the models say", err=True)
        status = 1
    raise typer.Exit(status)


def descriptions(services: Sequence[str] = SERVICES) -> dict[str, str]:
    """The OpenAPI document of each service by file name, as its process prints it; raises NoDescription."""
    with tempfile.TemporaryDirectory(prefix="doorstep-schemas-") as folder, ThreadPoolExecutor(2) as workers:
        return dict(workers.map(_description, _programs(Path(folder), services)))


def _programs(folder: Path, services: Sequence[str]) -> list[Program]:
    keyset, log_key = folder / "keyset.json", folder / "log.key"
    new_keyset(keyset)
    new_log_key(log_key, LOG_ORIGIN)
    engines = Engines(
        databases=dict.fromkeys((*services, KEYS), f"postgresql+asyncpg://nobody@{_NOWHERE}/nothing"),
        kafka=_NOWHERE,
        issuer=f"http://{_NOWHERE}",
        key_set=f"http://{_NOWHERE}/keys",
        token=f"http://{_NOWHERE}/token",
        keyset=keyset,
        keks=folder / "keks.json",
        clients=folder,
        log_key=log_key,
        logs=folder,
    )
    return service_programs(engines, Layout({service: [9] for service in services}, 9, 9, [9]), {})


def _description(program: Program) -> tuple[str, str]:
    *command, _ = program.command
    ran = subprocess.run(  # noqa: S603 - our own interpreter and modules
        [*command, "openapi"], env=program.environment, capture_output=True, text=True, timeout=120, check=False
    )
    if ran.returncode:
        raise NoDescription(program.name, ran.stderr)
    return f"{program.name}.json", generate.json_text(json.loads(ran.stdout))
