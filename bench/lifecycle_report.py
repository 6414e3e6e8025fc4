"""The figures of a run of lifecycles as tables, with the aims and whether they were met, and as pictures."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.plot import svg
from bench.profile import AIM_DRAINED, AIM_RATE, AIM_SHARE

MET = {True: "[green]met[/green]", False: "[red]missed[/red]"}
TIMES = ("p50", "p90", "p99", "max")
_STEPS = ("lifecycles/s", "s", "due", "succeeded", "p50 ms", "p99 ms", "s until all was over", "")
_RUNGS = ("lifecycles/s", "due", "succeeded", "p50 ms", "p99 ms", "s until all was over", "% of the machine", "")


def show_lifecycles(found: Mapping[str, Any], console: Console) -> None:
    """Print the tables of each state of the database that was measured."""
    for name, one in found.items():
        console.print(f"\n[bold]{name}[/bold]", highlight=False)
        if "stored" in one:
            console.print(stored_line(one["stored"]), highlight=False)
        console.print(_calls(one))
        console.print(_steps(one["steps"]))
        if "sustained" in one:
            console.print(_rungs(one["sustained"]))
        console.print(_processes(one["milliseconds_of_processor"]))
        for table, rows in one["scanned"].items():
            console.print(f"{table}: {rows:,.0f} rows a lifecycle read without an index", highlight=False)
        for failure in one["failures"]:
            console.print(f"[red]{failure}[/red]", highlight=False)
    console.print(_aims(found))


def stored_line(stored: Mapping[str, Any]) -> str:
    """What is stored: requests, rows and megabytes, database by database."""
    parts = (f"{name} {one['rows']:,} rows, {one['megabytes']:,.0f} MB" for name, one in stored["databases"].items())
    return f"{stored['requests']:,} requests stored: {'; '.join(parts)}"


def _calls(one: Mapping[str, Any]) -> Table:
    share = 100 * one["succeeded"] / max(1, one["lifecycles"])
    table = Table(
        title=f"Calls 调用, ms: {one['succeeded']:,} of {one['lifecycles']:,} lifecycles succeeded ({share:.2f} %),"
        f" {one['closed']:,} are completed and rated in the table;\nanswered busy and sent again"
        f" {one['troubles']['busy']:,}, connections that ended before an answer {one['troubles']['broken']:,}",
        title_justify="left",
    )
    table.add_column("")
    for key in TIMES:
        table.add_column(key, justify="right")
    for name, spread in one["times"].items():
        table.add_row(name, *(_number(spread.get(key)) for key in TIMES))
    return table


def _steps(steps: list[dict[str, Any]]) -> Table:
    table = _titled("Spikes and valleys 峰谷", _STEPS)
    for step, spiked in zip(steps, _spikes(steps), strict=True):
        whole, drained = step["whole"], step["drained"]
        table.add_row(
            f"{step['rate']:g}", f"{step['seconds']:g}", f"{step['due']:,}", f"{step['succeeded']:,}",
            _number(whole.get("p50")), _number(whole.get("p99")), _until(drained),
            MET[drained is not None and drained <= AIM_DRAINED] if spiked else "",
        )  # fmt: skip
    return table


def _spikes(steps: list[dict[str, Any]]) -> Iterator[bool]:
    """Whether each step is a spike: more is due than in the step after it."""
    rates = [step["rate"] for step in steps]
    yield from (rate > after for rate, after in zip(rates, [*rates[1:], 0.0], strict=True))


def _rungs(sustained: Mapping[str, Any]) -> Table:
    table = _titled(f"Highest rate held 最高持续速率: {sustained['rate']:.1f} lifecycles/s", _RUNGS)
    for rung in sustained["rungs"]:
        whole = rung["whole"]
        table.add_row(
            f"{rung['rate']:.1f}", f"{rung['due']:,}", f"{rung['succeeded']:,}", _number(whole.get("p50")),
            _number(whole.get("p99")), _until(rung["drained"]), f"{rung['machine_percent']:.0f}",
            "held" if rung["held"] else "not held",
        )  # fmt: skip
    return table


def _processes(spent: Mapping[str, float]) -> Table:
    table = _titled("Processor 处理器, ms a lifecycle", ("", "ms"))
    for name, each in sorted(spent.items(), key=lambda one: -one[1]):
        table.add_row(name, f"{each:.2f}")
    table.add_row("together", f"{sum(spent.values()):.2f}")
    return table


def _titled(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place or column else "left")
    return table


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _until(seconds: float | None) -> str:
    return "never" if seconds is None else _number(seconds, 1)


def lifecycle_aims(found: Mapping[str, Any]) -> list[tuple[str, float | None, float, bool]]:
    """Each aim: what, the figure, the aim, whether it was met."""
    aims: list[tuple[str, float | None, float, bool]] = []
    for name, one in found.items():
        share = 100 * one["succeeded"] / max(1, one["lifecycles"])
        waits = [step["drained"] for step, spiked in zip(one["steps"], _spikes(one["steps"]), strict=True) if spiked]
        longest = None if None in waits else max(waits, default=0.0)
        aims.append((f"{name}: % of lifecycles that succeed", share, 100.0, share >= 100.0))
        met = longest is not None and longest <= AIM_DRAINED
        aims.append((f"{name}: s until all of a spike is over, the longest", longest, AIM_DRAINED, met))
        if "sustained" in one:
            rate = one["sustained"]["rate"]
            aims.append((f"{name}: lifecycles/s held", rate, AIM_RATE, rate >= AIM_RATE))
    rates = [one["sustained"]["rate"] for one in found.values() if "sustained" in one]
    if len(rates) == 2 and rates[0]:
        part = rates[1] / rates[0]
        aims.append(("rate with requests stored, of the empty one", part, AIM_SHARE, part >= AIM_SHARE))
    return aims


def _aims(found: Mapping[str, Any]) -> Table:
    table = _titled("Aims 目标", ("", "figure", "aim", ""))
    for what, figure, aim, met in lifecycle_aims(found):
        table.add_row(what, "never" if figure is None else f"{figure:,.2f}", f"{aim:g}", MET[met])
    return table


def draw(found: Mapping[str, Any], on: Mapping[str, Any], beside: Path) -> list[Path]:
    """Write a picture of each state of the database beside the figures; gives the files."""
    written = []
    for name, one in found.items():
        place = beside.with_name(f"lifecycles-{re.sub('[^a-z0-9]+', '-', name)}.svg")
        place.write_text(svg(f"Lifecycles, {name}; {on['cores']} cores, {on['date']}", one), encoding="utf-8")
        written.append(place)
    return written
