"""What starts and stops, as it is shown on a terminal; into a file, one line each."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

TITLES = {
    "postgres": "PostgreSQL 数据库",
    "kafka": "Kafka 消息代理",
    "migrations": "数据库升级 migrations",
    "services": "服务 services",
    "keystore": "keystore 密钥库",
    "intake": "intake 受理",
    "registry": "registry 档案",
    "risk": "risk 研判",
    "referral": "referral 转办",
    "audit": "audit 审计",
    "gateway": "gateway 网关",
}
_DONE = {"ready": "就绪 ready", "stopped": "已停止 stopped"}


class Progress:
    """A table of steps; call it with (step, state) as running_stack does."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: dict[str, float] = {}
        self._rows: dict[str, Text | Spinner] = {}
        self._live = self._new_live()

    def __enter__(self) -> Self:
        """Show nothing until the first step."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the table as it is."""
        self.pause()

    def pause(self) -> None:
        """Leave the table as it is, so that other things can be printed; the next step begins a new one."""
        self._live.stop()
        self._live = self._new_live()
        self._rows.clear()

    def __call__(self, step: str, state: str) -> None:
        """Show that a step is "starting", "ready", "stopping" or "stopped"."""
        if state in _DONE:
            seconds = time.monotonic() - self._began.get(step, time.monotonic())
            row = Text.assemble(("✓ ", "green"), f"{self._title(step)}  {_DONE[state]}  {seconds:.1f} s")
            self._rows[step] = row
            if not self._console.is_terminal:
                self._console.print(row)
        else:
            self._began[step] = time.monotonic()
            self._rows[step] = Spinner("dots", Text(f"{self._title(step)} …"))
        if self._console.is_terminal:
            self._live.start()
            self._live.update(self._table())

    def _new_live(self) -> Live:
        return Live(console=self._console, refresh_per_second=10)

    def _table(self) -> Table:
        table = Table.grid()
        for row in self._rows.values():
            table.add_row(row)
        return table

    @staticmethod
    def _title(step: str) -> str:
        return TITLES.get(step, step)
