"""The command: python -m bench [--quick | --smoke | --full]."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from bench.lifecycle_report import draw
from bench.report import show
from bench.run import FULL, QUICK, SMOKE, USUAL, Stored, run, run_keys, run_lifecycles, run_reads
from bench.seed import FOLDER

RESULTS = Path(".cache/bench/latest.json")


def bench(
    quick: Annotated[bool, typer.Option(help="Two to three minutes, rough figures 快速.")] = False,
    smoke: Annotated[bool, typer.Option(help="Tiny counts: shows that it works, gives no figures 试运行.")] = False,
    full: Annotated[bool, typer.Option(help="Ten minutes at 50 records a second 十分钟.")] = False,
    peer: Annotated[bool, typer.Option(help="Measure the plain peer too 对照.")] = True,
    demo: Annotated[bool, typer.Option(help="Measure the second make demo too 演示.")] = True,
    reads: Annotated[bool, typer.Option("--reads", help="Measure decisions and reads alone 只测查阅.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Measure the key store alone 只测密钥库.")] = False,
    lifecycles: Annotated[
        bool, typer.Option("--lifecycles", help="Measure whole lifecycles in spikes and valleys alone 只测全程办理.")
    ] = False,
    requests: Annotated[
        int, typer.Option(min=0, help="With --lifecycles: once more with so many requests stored 先存入的请求数.")
    ] = 0,
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Where those are stored, and kept 其数据目录.")] = FOLDER,
    results: Annotated[Path, typer.Option("--json", metavar="FILE", help="Write the figures here 结果文件.")] = RESULTS,
) -> None:
    """Measure ceilings, the product and a plain peer, side by side on this machine. 性能测试。"""
    plan = SMOKE if smoke else QUICK if quick else FULL if full else USUAL
    plan = replace(plan, peer=plan.peer and peer, demo=plan.demo and demo)
    if requests and not lifecycles:
        raise typer.BadParameter("与 --lifecycles 一起使用 / goes with --lifecycles", param_hint="--requests")
    stored = Stored(requests, data) if requests else None
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        last = ""

        def tell(what: str, part: float) -> None:
            nonlocal last
            if what != last and not console.is_terminal:
                console.print(what)
            last = what
            progress.update(task, description=what, completed=part)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop if keys else None) as runner:  # as services ask for keys
            if lifecycles:
                found = runner.run(run_lifecycles(plan, tell, stored))
            else:
                found = runner.run((run_keys if keys else run_reads if reads else run)(plan, tell))
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(found, indent=2), encoding="utf-8")
    show(found, console)
    if lifecycles:
        for place in draw(found["lifecycles"], found["machine"], results):
            console.print(f"{place}")
    console.print(f"\n{found['seconds']:.0f} s, {results}")


if __name__ == "__main__":
    typer.run(bench)
