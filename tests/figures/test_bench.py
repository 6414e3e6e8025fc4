"""The benchmark works: ceilings are measured on the real engines, and the plain peer passes the product's journey."""

import subprocess
import sys
from pathlib import Path

from bench.ceilings import ceilings
from bench.journey import check_journey
from bench.log import log_figures
from bench.reads import PARTS, read_figures
from bench.report import READS
from bench.site import peer

ROOT = Path(__file__).parents[2]


async def test_the_bare_ceilings_are_measured_on_the_real_engines() -> None:
    found = await ceilings(0.2, lambda what, part: None)
    assert set(found) == {
        "single_row_commits_per_second", "multi_row_inserts_rows_per_second", "produced_per_second",
        "consumed_per_second", "empty_posts_per_second",
    }  # fmt: skip
    assert all(figure > 0 for figure in found.values())


async def test_the_log_alone_is_measured_and_sound() -> None:
    found = await log_figures(0.4, 600, lambda what, part: None)
    assert all(figure > 0 for figure in found.values() if not isinstance(figure, dict))
    for rate in (1000, 5000):
        assert found[f"signed_at_{rate}"]["p50"] > 0


async def test_what_is_careful_about_a_read_is_measured_on_the_real_services() -> None:
    found = await read_figures(0.3, lambda what, part: None)
    asked = found["decisions"]
    assert 0 < asked["anew_per_second"] < asked["remembered_per_second"]
    assert asked["bare_per_second"] > 0
    for name in READS:
        read = found[name]
        assert read["ms"] > sum(read["parts"][part]["ms"] for part in PARTS) / 2 > 0
        assert all(read["parts"][part]["processor_ms"] > 0 for part in PARTS)
        assert 0 < read["together"]["processor_percent"] < 100
    for name in ("request", "file"):
        assert found[name]["parts"]["policy"]["processor_ms"] < found[f"{name}_anew"]["parts"]["policy"]["processor_ms"]


async def test_the_plain_peer_passes_the_same_journey() -> None:
    async with peer() as site:
        assert await check_journey(site) > 0


def test_the_command_says_how_long_it_takes() -> None:
    command = [sys.executable, "-m", "bench", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0
    for option in ("--quick", "--full", "--reads", "--lifecycles", "--requests", "--json"):
        assert option in told.stdout
