"""The demonstration on a terminal: what happens to the record, line by line, in Chinese and English."""

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from doorstep.contracts.codes import DEPARTMENT_NAMES, Department
from doorstep.local.front_door import Body
from doorstep.local.story import Outcome

_STATES = {
    "accepted": ("已受理", "accepted"),
    "in-progress": ("办理中", "in progress"),
    "completed": ("已办结", "completed"),
    "rejected": ("不予受理", "rejected"),
    "failed": ("未能办成", "failed"),
    "cancelled": ("已取消", "cancelled"),
}
_OUTCOMES = {
    "granted": ("已批准", "granted"),
    "service-provided": ("已提供服务", "service provided"),
    "advice-given": ("已提供咨询", "advice given"),
    "hazard-removed": ("隐患已排除", "hazard removed"),
}
_SUBJECTS = {"person": ("居民", "person"), "dwelling": ("住所", "dwelling"), "place": ("公共场所", "place")}


class DemoView:
    """Prints each thing that happened with the milliseconds since the record was handed in."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self._console = console
        self._began = time.monotonic()
        self._requests: dict[str, str] = {}

    def __call__(self, happened: str, what: Body) -> None:
        """Show that something `happened`."""
        show = getattr(self, "_" + happened.replace("-", "_"), None)
        if show is not None:
            show(what)

    def _line(self, zh: str, en: str, said: str = "", colour: str = "cyan") -> None:
        after = (time.monotonic() - self._began) * 1000
        head = f"[dim]{after:7.0f} ms[/dim]  [{colour}]{zh}[/{colour}] [dim]{en}[/dim]"
        self._console.print(f"{head}  {said}", highlight=False, soft_wrap=True)

    def _handed_in(self, what: Body) -> None:
        self._began = time.monotonic()
        self._line("已登记", "record taken", what["record_id"], "bold")

    def _facts_asserted(self, step: Body) -> None:
        said = " · ".join(f"{fact['zh']} {fact['en']} = {_value(fact['value'])}" for fact in step.get("facts", ()))
        if said:
            zh, en = _SUBJECTS[step["subject_kind"]]
            self._line("事实", f"facts ({en})", f"{zh}: {said}")

    def _need_handed_on(self, step: Body) -> None:
        self._need("本人意愿，直接转办", "wanted, handed on", step, "green")

    def _need_suggested(self, step: Body) -> None:
        self._need("规则建议，待审核", "suggested, waits for a reviewer", step, "yellow")

    def _need_decided(self, step: Body) -> None:
        self._need("审核员确认", "confirmed by a reviewer", step, "green")

    def _need(self, zh: str, en: str, step: Body, colour: str) -> None:
        need = step["need"]
        facts = "、".join(fact["code"] for fact in step.get("facts", ()))
        self._line(zh, en, f"{need['zh']} {need['en']}  [dim]{step['rule']} ← {facts}[/dim]", colour)

    def _request_opened(self, step: Body) -> None:
        who, need = step["department"], step["need"]
        self._requests[step["detail"]["request_id"]] = f"{who['zh']} {who['en']}: {need['zh']}"
        self._line("已转", "sent to", f"[bold]{who['zh']} {who['en']}[/bold]  {need['zh']} {need['en']}", "magenta")

    def _task_transitioned(self, step: Body) -> None:
        detail = step["detail"]
        zh, en = _STATES.get(detail["to"], (detail["to"], ""))
        outcome = _OUTCOMES.get(detail.get("outcome", ""), ("", ""))
        colour = "green" if detail["to"] == "completed" else "blue"
        self._line(zh, en, f"{self._requests.get(detail['request_id'], '')}  {' '.join(outcome)}", colour)

    def _request_rated(self, step: Body) -> None:
        if "step_id" not in step:  # told by the resident; the journey's own step comes later
            self._line("居民评价", "rated by the resident", "★" * step["detail"]["stars"], "yellow")

    def _log(self, what: Body) -> None:
        if what["verified"]:
            self._line("审计日志验证通过", "the log verifies", f"{what['entries']} 条 entries", "green")
        else:
            self._line("审计日志验证失败", "the log does not verify", what["failure"] or "", "bold red")

    def end(self, outcome: Outcome, page: str, openapi: str, log: str) -> None:
        """The table at the end, and where to look."""
        table = Table(show_edge=False, pad_edge=False)
        for title in ("部门 department", "到达 visible", "状态 state"):
            table.add_column(title)
        for name, shown in sorted(outcome.report()["departments"].items()):
            zh, en = DEPARTMENT_NAMES[Department(name)]
            state = " ".join(_STATES.get(shown["state"], (shown["state"],)))
            visible = "–" if shown["visible_ms"] is None else f"{shown['visible_ms']:.0f} ms"
            table.add_row(f"{zh} {en}", visible, state)
        self._console.print()
        self._console.print(table)
        self._console.print()
        for title, value in (("去向页面 journey", page), ("接口文档 OpenAPI", openapi), ("审计日志 log", log)):
            self._console.print(f"  {title}: {value}", highlight=False, markup=False, soft_wrap=True)


def _value(value: Any) -> str:
    return {True: "是 yes", False: "否 no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
