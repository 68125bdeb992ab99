"""What the demo shows while it runs: a live panel in a terminal, plain lines anywhere else."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

KEPT_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLine:
    """One machine: a server, and its Node when there is one."""

    name: str
    role: str
    server_type: str
    location: str
    state: str
    pods: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One moment of the story."""

    seconds: float = 0.0
    phase: str = "starting"
    machines: tuple[NodeLine, ...] = field(default=())
    pods_running: int = 0
    pods_pending: int = 0
    euro_per_hour: float = 0.0


class View(Protocol):
    """Where the story is told."""

    def show(self, scene: Scene) -> None:
        """Show where things stand."""
        ...

    def say(self, line: str) -> None:
        """Tell something that happened."""
        ...


class PlainView:
    """One line for everything that changes: for files, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def show(self, scene: Scene) -> None:
        """Print the totals when they differ from the last ones."""
        ready = sum(1 for m in scene.machines if m.state == "Ready")
        totals = (
            f"machines {len(scene.machines)} (Ready {ready}), "
            f"pods running {scene.pods_running}, pending {scene.pods_pending}, "
            f"{scene.euro_per_hour:.4f} EUR/h"
        )
        if totals != self._last:
            self._last = totals
            self._console.print(
                f"[{scene.seconds:5.1f}s] {scene.phase}: {totals}", markup=False, soft_wrap=True
            )

    def say(self, line: str) -> None:
        """Print it."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveView:
    """A panel that is redrawn in place: machines, totals, the last decisions."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._scene = Scene()

    def show(self, scene: Scene) -> None:
        """Redraw with this scene."""
        self._scene = scene
        self._live.update(self._draw())

    def say(self, line: str) -> None:
        """Add a line below the machines."""
        self._lines.append(line)
        self._live.update(self._draw())

    def _draw(self) -> Panel:
        scene = self._scene
        table = Table(box=None, pad_edge=False, expand=True)
        for column in ("machine", "role", "type", "location", "state"):
            table.add_column(column)
        table.add_column("pods", justify="right")
        for machine in scene.machines:
            style = "green" if machine.state == "Ready" else "yellow"
            table.add_row(
                machine.name,
                machine.role,
                machine.server_type,
                machine.location,
                Text(machine.state, style=style),
                str(machine.pods or ""),
            )
        totals = Text(
            f"\npods: {scene.pods_running} running, {scene.pods_pending} pending"
            f"     {scene.euro_per_hour:.4f} EUR/h\n"
        )
        return Panel(
            Group(table, totals, *(Text(line, overflow="ellipsis") for line in self._lines)),
            title=f"hk3s demo: {scene.phase}",
            subtitle=f"{scene.seconds:.0f} s",
        )


@contextmanager
def open_view(console: Console) -> Iterator[View]:
    """Choose the view that fits where the output goes."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield LiveView(live)
