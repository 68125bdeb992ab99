"""A result as an SVG: pods that wait, nodes, and euro an hour, over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape

from hk3s_autoscaler.simulation.result import Result, Sample

_WIDTH, _HEIGHT = 960, 150
_LEFT, _RIGHT, _TOP, _GAP = 70, 20, 34, 44
_PLOT = _WIDTH - _LEFT - _RIGHT
_STEPS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 96)
_MOST_MARKS = 13
_FONT = 'font-family="sans-serif" font-size="12"'
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One quantity over time."""

    title: str
    colour: str
    value: Callable[[Sample], float]


_PANELS = (
    _Panel(title="pods waiting", colour="#b3261e", value=lambda s: s.waiting),
    _Panel(title="nodes ready", colour="#1a5fb4", value=lambda s: s.nodes),
    _Panel(
        title="euro per hour",
        colour="#1e7a34",
        value=lambda s: s.micro_eur_per_hour / 1_000_000,
    ),
)


def draw(result: Result) -> str:
    """Return the SVG document."""
    height = _TOP + len(_PANELS) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(_headline(result))}</text>',
    ]
    for number, panel in enumerate(_PANELS):
        top = _TOP + 20 + number * (_HEIGHT + _GAP)
        parts += _draw_panel(panel, result, top)
    return "\n".join([*parts, "</svg>", ""])


def _headline(result: Result) -> str:
    paid, bound = result.micro_eur / 1_000_000, result.bound_micro_eur / 1_000_000
    return (
        f"{paid:.2f} EUR paid (bound {bound:.2f}), {result.servers_bought} servers bought,"
        f" half of the pods waited {result.wait(50).total_seconds():.0f} s or less"
    )


def _draw_panel(panel: _Panel, result: Result, top: int) -> list[str]:
    most = max((panel.value(sample) for sample in result.samples), default=0) or 1
    floor = top + _HEIGHT
    parts = [
        f'<text x="{_LEFT}" y="{top - 6}" fill="{panel.colour}">{panel.title}</text>',
        f'<text x="{_LEFT - 6}" y="{top + 4}" text-anchor="end">{most:.4g}</text>',
        f'<text x="{_LEFT - 6}" y="{floor + 4}" text-anchor="end">0</text>',
        f'<path d="M{_LEFT} {top}V{floor}H{_WIDTH - _RIGHT}" fill="none" stroke="#888888"/>',
    ]
    for hours in _marks(result.duration):
        x = _x(hours * _HOUR, result.duration)
        parts.append(f'<path d="M{x:.1f} {top}V{floor}" stroke="#e4e4e4"/>')
        clock = (result.start + hours * _HOUR).strftime("%H:%M")
        label = clock if result.duration <= 48 * _HOUR else f"{hours}h"
        parts.append(f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{label}</text>')
    points = " ".join(_points(panel, result, floor, most))
    parts.append(
        f'<polyline points="{points}" fill="none" stroke="{panel.colour}" stroke-width="1.5"/>'
    )
    return parts


def _points(panel: _Panel, result: Result, floor: int, most: float) -> list[str]:
    """Steps, with the extremes of each pixel kept: a peak of seconds is not lost in a week."""
    columns: dict[int, list[float]] = {}
    for sample in result.samples:
        columns.setdefault(round(_x(sample.at, result.duration)), []).append(panel.value(sample))
    found: list[str] = []
    last: float | None = None
    for x in sorted(columns):
        values = columns[x]
        steps = [] if last is None else [last]
        found += [f"{x},{_y(value, floor, most):.1f}" for value in _outline([*steps, *values])]
        last = values[-1]
    if last is not None:
        found.append(f"{_WIDTH - _RIGHT},{_y(last, floor, most):.1f}")
    return found


def _outline(values: Sequence[float]) -> list[float]:
    """First, least, most and last of the values within one pixel."""
    inner = [values[0], min(values), max(values), values[-1]]
    return [v for n, v in enumerate(inner) if n == 0 or v != inner[n - 1]]


def _marks(duration: timedelta) -> range:
    hours = int(duration / _HOUR)
    step = next((s for s in _STEPS if hours / s <= _MOST_MARKS), _STEPS[-1])
    return range(0, hours + 1, step)


def _x(at: timedelta, duration: timedelta) -> float:
    return _LEFT + _PLOT * (at / duration)


def _y(value: float, floor: int, most: float) -> float:
    return floor - _HEIGHT * value / most
