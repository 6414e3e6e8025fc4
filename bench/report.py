"""The figures of a run as a table, with the aims and whether they were met."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.keys import ASKERS, COUNTS
from bench.lifecycle_report import show_lifecycles
from bench.reads import AIM_PERCENT, PARTS

Row = tuple[str, str, str, str]
LATENCIES = ("latency_at_ease", "latency_of_1", "latency_of_4")
READS = {"request": "a request", "request_anew": "all anew", "file": "a file", "file_anew": "all anew"}
_MET = {True: "[green]met[/green]", False: "[red]missed[/red]"}


def show(found: dict[str, Any], console: Console) -> None:
    """Print the tables."""
    on = found["machine"]
    console.print(
        f"\n{on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB, Python {on['python']}, {on['date']};"
        f" before the run {on['busy_before_percent']:.0f}% busy, load {on['load_before'][0]}\n",
        highlight=False,
    )
    if "keys" in found:
        console.print(_keys(found["keys"]))
        return
    if "lifecycles" in found:
        show_lifecycles(found["lifecycles"], console)
        return
    console.print(_reads(found["reads"]))
    if "product" not in found:
        return
    console.print(_table("Ceilings 上限", "a second", _ceilings(found["ceilings"])))
    console.print(_table("Audit log alone 审计日志", "", _log(found["log"])))
    console.print(_figures(found))
    console.print(_processes(found))
    for name in LATENCIES:
        console.print(_histogram(found["product"][name]))


def _table(title: str, unit: str, rows: Iterator[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column(unit, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _ceilings(found: dict[str, float]) -> Iterator[tuple[str, str]]:
    names = {
        "single_row_commits_per_second": "single-row commits, asyncpg, 32 connections",
        "multi_row_inserts_rows_per_second": "rows in inserts of 500, asyncpg",
        "produced_per_second": "messages of 500 bytes produced, aiokafka",
        "consumed_per_second": "messages consumed, aiokafka",
        "empty_posts_per_second": "empty POST, FastAPI, one process",
    }
    for key, name in names.items():
        yield name, f"{found[key]:,.0f}"


def _log(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "entries/s, bare COPY, tiles, signature, one commit per 256", f"{found['ceiling_entries_per_second']:,.0f}"
    yield "entries/s given their place and signed, all waiting", f"{found['sequenced_per_second']:,.0f}"
    for rate in (1000, 5000):
        spread = found[f"signed_at_{rate}"]
        for key in ("p50", "p99"):
            what = f"ms from due to the stored checkpoint, {key}, {spread['achieved_rate']:,.0f} entries/s"
            yield what, f"{spread.get(key, float('nan')):,.1f}"
    size = found["entries"]
    yield f"receipts/s one by one, of {size:,} entries", f"{found['receipts_per_second']:,.0f}"
    yield "details/s gone through by a search", f"{found['details_searched_per_second']:,.0f}"
    yield "entries/s checked by fsck", f"{found['checked_per_second']:,.0f}"
    yield "bytes an entry on disk", f"{found['bytes_per_entry']:,.0f}"


def _keys(found: dict[str, Any]) -> Table:
    table = Table(title="Key store 密钥库, ms of processor a call", title_justify="left")
    for column in ("subjects", *(f"{what}, {asker}" for what in found for asker in ASKERS)):
        table.add_column(column, justify="right")
    for count in COUNTS:
        table.add_row(str(count), *(f"{found[what][str(count)][asker]:.1f}" for what in found for asker in ASKERS))
    return table


def _reads(found: dict[str, Any]) -> Table:
    """Decisions a second, and what is careful about a read in milliseconds and as its share."""
    asked, bare = found["decisions"], found["bare"]
    rates = [f"{asked[f'{kind}_per_second']:,.0f}" for kind in ("bare", "anew", "remembered")]
    table = Table(
        title="Reads 查阅, ms of the clock / of the processor, (share of the clock / of the processor)\n"
        f"policy decisions a second: cedarpy alone {rates[0]}, anew {rates[1]}, remembered {rates[2]}",
        title_justify="left",
    )
    table.add_column("")
    for name in READS.values():
        table.add_column(name, justify="right")
    shown = [found[key] for key in READS]
    table.add_row("a read", *(f"{one['ms']:.2f} / {one['processor_ms']:.2f}" for one in shown))
    table.add_row("FastAPI and one SELECT", *[f"{bare['ms']:.2f} / {bare['processor_ms']:.2f}"] * len(shown))
    for part in (*PARTS, "commit"):
        table.add_row(part, *(_share(one["parts"][part]) for one in shown))
    together = [one["together"] for one in shown]
    table.add_row("together", *(f"{one['percent']:.0f} % / {one['processor_percent']:.0f} %" for one in together))
    met = [_MET[max(one.values()) <= AIM_PERCENT] for one in together]
    table.add_row(f"aim: {AIM_PERCENT:.0f} % of both", *met)
    return table


def _share(part: dict[str, float]) -> str:
    times = f"{part['ms']:.2f} / {part['processor_ms']:.2f}"
    return f"{times} ({part['percent']:.0f} % / {part['processor_percent']:.0f} %)"


def aims(found: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """Each aim: what, the figure, the aim, whether it was met."""
    ours = found["product"]
    through, whole, one, four = (ours[part] for part in ("throughput", "lifecycles", "latency_of_1", "latency_of_4"))
    at_most = [
        (
            "ms of processor a record, all processes of the stack",
            through["milliseconds_of_processor_per_record"],
            12.0,
        ),
        ("ms from 201 to decrypted, p50, 50 records/s of one need", one.get("p50", float("inf")), 80.0),
        ("ms from 201 to decrypted, p99, 50 records/s of one need", one.get("p99", float("inf")), 250.0),
        ("ms from 201 to decrypted, p50, 50 records/s of four needs", four.get("p50", float("inf")), 80.0),
        ("ms from 201 to decrypted, p99, 50 records/s of four needs", four.get("p99", float("inf")), 250.0),
        ("% of a core, whole stack idle", sum(ours["idle"].values()), 10.0),
    ]
    signed = found["log"]["signed_at_5000"]
    at_most.append(
        ("ms from due to the stored checkpoint, p99, 5,000 entries/s", signed.get("p99", float("inf")), 250.0)
    )
    if found.get("demo_seconds"):
        at_most.append(("seconds of the second make demo", found["demo_seconds"], 25.0))
    at_least = [("lifecycles a second", whole["lifecycles_per_second"], 92.0)]
    if "ratios" in found:
        at_least.append(("times the peer's records a second", found["ratios"]["records"], 3.0))
    return [(what, figure, aim, figure <= aim) for what, figure, aim in at_most] + [
        (what, figure, aim, figure >= aim) for what, figure, aim in at_least
    ]


def _figures(found: dict[str, Any]) -> Table:
    table = Table(title="Product and peer 产品与对照", title_justify="left")
    for column in ("", "product", "peer", "aim", ""):
        table.add_column(column, justify="left" if not column or column == "aim" else "right")
    peer = found.get("peer")
    by_what = {what: (aim, met) for what, _, aim, met in aims(found)}
    for what, ours, theirs in _rows(found["product"], peer):
        aim, met = by_what.pop(what, (None, None))
        table.add_row(
            what,
            f"{ours:,.1f}",
            "" if theirs is None else f"{theirs:,.1f}",
            "" if aim is None else f"{aim:g}",
            "" if met is None else _MET[met],
        )
    figures = {what: figure for what, figure, _, _ in aims(found)}
    for what, (aim, met) in by_what.items():
        table.add_row(what, f"{figures[what]:,.1f}", "", f"{aim:g}", _MET[met])
    if "ratios" in found:
        table.add_row("times the peer's lifecycles a second", f"{found['ratios']['lifecycles']:.1f}", "", "", "")
        table.add_row("times less processor a record", f"{found['ratios']['processor']:.1f}", "", "", "")
    return table


def _rows(ours: dict[str, Any], theirs: dict[str, Any] | None) -> Iterator[tuple[str, float, float | None]]:
    def both(what: str, part: str, key: str) -> tuple[str, float, float | None]:
        return what, ours[part][key], None if theirs is None else theirs[part][key]

    yield both("records a second through all services", "throughput", "records_per_second")
    yield both("records a second taken at the door meanwhile", "throughput", "taken_per_second")
    yield both(
        "ms of processor a record, all processes of the stack", "throughput", "milliseconds_of_processor_per_record"
    )
    yield both("ms of processor a record in one consumer", "throughput", "milliseconds_of_a_consumer_per_record")
    yield both("lifecycles a second", "lifecycles", "lifecycles_per_second")
    yield both("% of the machine meanwhile, clients included", "lifecycles", "machine_percent")
    idle_peer = None if theirs is None else sum(theirs["idle"].values())
    yield "% of a core, whole stack idle", sum(ours["idle"].values()), idle_peer
    for spread in (ours[name] for name in LATENCIES):
        name = "four needs" if spread["needs"] > 1 else "one need"
        for key in ("p50", "p95", "p99", "max"):
            yield f"ms from 201 to decrypted, {key}, {spread['rate']:.0f} records/s of {name}", spread[key], None


def _processes(found: dict[str, Any]) -> Table:
    table = Table(title="Processor by process 各进程", title_justify="left")
    table.add_column("")
    for column in ("product, ms a record", "product, idle % of a core", "peer, ms a record", "peer, idle %"):
        table.add_column(column, justify="right")
    ours, theirs = found["product"], found.get("peer")
    for name in ours["idle"]:
        row = [f"{ours['throughput']['by_process'][name]:.2f}", f"{ours['idle'][name]:.1f}"]
        if theirs and name in theirs["idle"]:
            row += [f"{theirs['throughput']['by_process'][name]:.2f}", f"{theirs['idle'][name]:.1f}"]
        table.add_row(name, *row)
    return table


def _histogram(spread: dict[str, Any]) -> Table:
    title = (
        f"{spread['requests']:,} requests, {spread['achieved_rate']:.1f} records/s of {spread['needs']} needs,"
        f" machine {spread['machine_percent']:.0f}% busy"
    )
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    most = max(spread["histogram"].values(), default=0) or 1
    for name, count in spread["histogram"].items():
        table.add_row(f"{name} ms" if name != "more" else name, f"{count:,}", "█" * round(40 * count / most))
    return table
