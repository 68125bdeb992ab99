"""A trace as a list of what happens when."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from hk3s_autoscaler.simulation.trace import Stock, Trace, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A workload is wanted at another number."""

    workload: Workload
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrive:
    """A pod appears that will run for `lifetime` once it is bound."""

    workload: Workload
    lifetime: timedelta


Happening = Scale | Arrive | Stock


def script(trace: Trace, chance: random.Random) -> tuple[tuple[timedelta, Happening], ...]:
    """Return everything that a trace brings before its end, in order of time."""
    found: list[tuple[timedelta, Happening]] = [(item.at, item) for item in trace.stock]
    for workload in trace.workloads:
        for shift in _shifts(workload, trace.duration):
            found += [
                (shift + level.at, Scale(workload=workload, count=level.count))
                for level in workload.levels
            ]
            found += [(shift + at, arrival) for at, arrival in _arrivals(workload, chance)]
    return tuple(
        sorted((item for item in found if item[0] < trace.duration), key=lambda item: item[0])
    )


def _shifts(workload: Workload, duration: timedelta) -> Iterator[timedelta]:
    shift = timedelta()
    while shift < duration:
        yield shift
        if workload.repeat is None:
            return
        shift += workload.repeat


def _arrivals(workload: Workload, chance: random.Random) -> Iterator[tuple[timedelta, Arrive]]:
    for series in workload.arrivals:
        at = series.start
        while at < series.until:
            for _ in range(series.pods):
                spare = (series.longest - series.shortest).total_seconds()
                lifetime = series.shortest + timedelta(seconds=round(chance.random() * spare))
                yield at, Arrive(workload=workload, lifetime=lifetime)
            at += series.every
