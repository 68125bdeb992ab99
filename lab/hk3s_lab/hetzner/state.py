"""The whole state of a lab as one JSON document, to be continued another day.

Moments of the monotonic clock are moved to the clock that loads them: time in which no lab ran
does not pass for actions, while the bill goes by the time of day.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from hk3s_lab.hetzner.faults import Faults
from hk3s_lab.hetzner.model.catalog import Supply
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.ratelimit import Bucket
from hk3s_lab.hetzner.world import Due, World

VERSION = 1


class StateError(ValueError):
    """The file holds no state that this lab can load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is written; `now` and `monotonic` are those of the moment of saving."""

    version: int
    now: datetime
    monotonic: float
    projects: dict[str, Project]
    limits: dict[str, int]
    stock: dict[str, Supply]
    last_id: int
    last_due: int
    due: list[Due]
    timeline: dict[int, dict[str, Any]]
    nat_lost: set[int]
    chances: dict[str, tuple[int, list[int], float | None]]
    faults: list[dict[str, Any]] = field(default_factory=list)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    """Rate limits by project; the empty name is that of callers without a valid token."""


def save(world: World, faults: Faults, buckets: Mapping[str | None, Bucket]) -> bytes:
    """Return the state as JSON; it holds user data, so keep it to yourself."""
    chances = {}
    for name, stream in world.chances.streams().items():
        version, numbers, gauss = stream.getstate()
        chances[name] = (version, list(numbers), gauss)
    state = State(
        version=VERSION,
        now=world.clock.now(),
        monotonic=world.clock.monotonic(),
        projects=world.projects,
        limits=world.limits,
        stock=world.catalog.overrides,
        last_id=world.last_id,
        last_due=world.last_due,
        due=world.due,
        timeline={number: dict(step) for number, step in world.timeline.items()},
        nat_lost=world.nat_lost,
        chances=chances,
        faults=[fault.state() for fault in faults.active],
        buckets={name or "": bucket for name, bucket in buckets.items()},
    )
    return msgspec.json.encode(state)


def load(content: bytes) -> State:
    """Read a state; raises `StateError`."""
    try:
        state = msgspec.json.decode(content, type=State)
    except (msgspec.DecodeError, ValueError) as error:
        raise StateError(f"not a state of this lab: {error}") from error
    if state.version != VERSION:
        raise StateError(f"state of version {state.version}, this lab reads {VERSION}")
    return state


def restore(state: State, world: World, faults: Faults, buckets: dict[str | None, Bucket]) -> None:
    """Give a fresh world a state; what was due is due after the same time as before."""
    later = world.clock.monotonic() - state.monotonic
    world.projects.update(state.projects)
    world.limits.update(state.limits)
    world.catalog.overrides.update(state.stock)
    world.last_id, world.last_due = state.last_id, state.last_due
    world.timeline.update(state.timeline)
    world.nat_lost.update(state.nat_lost)
    for name, stream in world.chances.streams().items():
        version, numbers, gauss = state.chances[name]
        stream.setstate((version, tuple(numbers), gauss))
    for project in world.projects.values():
        for action in list(project.running.values()):
            begun = None if action.begun is None else action.begun + later
            project.put_action(replace(action, begun=begun))
        world.taken_addresses |= project.addresses()
    faults.restore(state.faults)
    for name, bucket in state.buckets.items():
        buckets[name or None] = replace(bucket, updated=bucket.updated + later)
    for due in state.due:
        world.put_due(due._replace(at=due.at + later))


def write(path: Path, content: bytes) -> None:
    """Write a state file that only its owner reads, whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
