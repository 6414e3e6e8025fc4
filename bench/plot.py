"""A run of lifecycles as a picture: an SVG file that needs nothing to be looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, PANEL, GAP, TOP = 960, 64, 150, 170, 46, 58
_TICKS = 4
_BLUE, _ORANGE, _GREY, _RED = "#0072b2", "#e69f00", "#999999", "#d55e00"
_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999", "#332288", "#117733",
    "#882255", "#44aa99",
)  # fmt: skip
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A named line, or what a layer of a stack adds."""

    name: str
    colour: str
    points: Sequence[Point]


def svg(title: str, found: dict[str, Any]) -> str:
    """Three panels over the same seconds: due and over, under way and its time, processor time process by process."""
    timeline, shares = found["timeline"], found["shares"]
    until = max([1.0, *(one["second"] + 1 for one in timeline), *(one["second"] for one in shares)])

    def of(key: str) -> list[Point]:
        return [(one["second"] + 0.5, one[key]) for one in timeline if key in one]

    panels = [
        _panel(0, until, "每秒 lifecycles a second", [Line("due", _GREY, of("due")), Line("over", _BLUE, of("over"))]),
        _panel(1, until, "在办 under way", [Line("under way", _ORANGE, of("under_way"))]),
        _panel(2, until, "中位毫秒 ms, median", [Line("whole lifecycle", _RED, of("p50"))]),
        _stack(3, until, "处理器 cores by process", shares),
    ]
    height = TOP + 4 * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="26" font-size="16">{escape(title)}</text>',
        *_shaded(found["steps"], until),
        *panels,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _shaded(steps: Sequence[dict[str, Any]], until: float) -> list[str]:
    """Every other step darker, with its rate above."""
    x, found = _scale(0, until, LEFT, WIDTH - RIGHT), []
    for place, step in enumerate(steps):
        began, ended = x(step["began"]), x(step["began"] + step["seconds"])
        height = 4 * (PANEL + GAP) - GAP
        shade = "#f4f4f4" if place % 2 else "#ffffff"
        found.append(f'<rect x="{began:.1f}" y="{TOP}" width="{ended - began:.1f}" height="{height}" fill="{shade}"/>')
        found.append(
            f'<text x="{(began + ended) / 2:.1f}" y="{TOP - 6}" text-anchor="middle">{step["rate"]:g}/s</text>'
        )
    return found


def _panel(place: int, until: float, name: str, lines: Sequence[Line]) -> str:
    most = max([1.0, *(value for line in lines for _, value in line.points)])
    frame, x, y = _frame(place, until, most, name)
    for number, line in enumerate(lines):
        path = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in line.points)
        frame.append(f'<polyline fill="none" stroke="{line.colour}" stroke-width="1.6" points="{path}"/>')
        frame.append(_legend(place, number, line.name, line.colour))
    return "\n".join(frame)


def _stack(place: int, until: float, name: str, shares: Sequence[dict[str, float]]) -> str:
    """What each process took of the cores, one upon the other."""
    names = [one for one in (shares[0] if shares else {}) if one != "second"]
    most = max([0.1, *(sum(one[each] for each in names) for one in shares)])
    frame, x, y = _frame(place, until, most, name)
    below = [0.0] * len(shares)
    for number, each in enumerate(names):
        above = [low + one[each] for low, one in zip(below, shares, strict=True)]
        edge = [f"{x(one['second']):.1f},{y(value):.1f}" for one, value in zip(shares, above, strict=True)]
        back = [f"{x(one['second']):.1f},{y(value):.1f}" for one, value in zip(shares, below, strict=True)]
        colour = _COLOURS[number % len(_COLOURS)]
        frame.append(f'<polygon fill="{colour}" points="{" ".join([*edge, *reversed(back)])}"/>')
        frame.append(_legend(place, number, each, colour))
        below = above
    return "\n".join(frame)


def _frame(place: int, until: float, most: float, name: str) -> tuple[list[str], Callable[[float], float], Any]:
    top = TOP + place * (PANEL + GAP)
    x, y = _scale(0, until, LEFT, WIDTH - RIGHT), _scale(0, most, top + PANEL, top + 18)
    found = [f'<text x="{LEFT}" y="{top + 12}">{escape(name)}</text>']
    for tick in range(_TICKS + 1):
        value = most * tick / _TICKS
        found.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#dddddd"/>'
        )
        found.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{_number(value)}</text>')
        second = until * tick / _TICKS
        found.append(f'<text x="{x(second):.1f}" y="{top + PANEL + 16}" text-anchor="middle">{second:.0f} s</text>')
    return found, x, y


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _legend(place: int, number: int, name: str, colour: str) -> str:
    top, left = TOP + place * (PANEL + GAP) + 14 + 14 * number, WIDTH - RIGHT + 12
    return (
        f'<rect x="{left}" y="{top}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{left + 15}" y="{top + 9}">{escape(name)}</text>'
    )


def _scale(least: float, most: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - least) / ((most - least) or 1.0)
