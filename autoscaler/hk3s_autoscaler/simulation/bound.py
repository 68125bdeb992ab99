"""What the pods that ran could not have cost less than, over time."""

from dataclasses import replace
from datetime import timedelta

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.planning.lower_bound import lower_bound
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.simulation.result import Sample
from hk3s_autoscaler.simulation.trace import Market, Trace

_SPANS = 120
_WORK = 50_000
_HOUR = timedelta(hours=1)

Counts = tuple[int, ...]


def bound_over_time(trace: Trace, market: Market, world: World, samples: tuple[Sample, ...]) -> int:
    """Return micro-euro: the bound for the pods that ran, second by second, added up.

    The trace is cut into spans, and of each workload the fewest pods within a span count, so that
    the sum is a bound whatever happens between two samples. Offerings count as if all could be had.
    """
    sale = offers(replace(world, snapshot=replace(world.snapshot, pools=market.pools)))
    known: dict[Counts, int] = {}
    total = 0
    for length, counts in _spans(trace.duration, samples):
        if counts not in known:
            known[counts] = lower_bound(_pods(trace, counts), sale, work=_WORK)
        total += known[counts] * round(length.total_seconds())
    return total // round(_HOUR.total_seconds())


def _spans(duration: timedelta, samples: tuple[Sample, ...]) -> list[tuple[timedelta, Counts]]:
    """Spans of equal length with the least of each workload in them."""
    length = max(timedelta(seconds=1), timedelta(seconds=-(-duration.total_seconds() // _SPANS)))
    found = []
    begin, index = timedelta(), 0
    while begin < duration and samples:
        end = min(duration, begin + length)
        # The state at the begin of a span is that of the last sample before it.
        while index + 1 < len(samples) and samples[index + 1].at <= begin:
            index += 1
        here = [samples[index].by_workload if samples[index].at <= begin else _none(samples)]
        ahead = index
        while ahead + 1 < len(samples) and samples[ahead + 1].at < end:
            ahead += 1
            here.append(samples[ahead].by_workload)
        found.append((end - begin, tuple(min(column) for column in zip(*here, strict=True))))
        begin = end
    return found


def _none(samples: tuple[Sample, ...]) -> Counts:
    return (0,) * len(samples[0].by_workload)


def _pods(trace: Trace, counts: Counts) -> list[Pod]:
    return [
        replace(workload.pod, key=PodKey(workload.name, str(number)))
        for workload, count in zip(trace.workloads, counts, strict=True)
        for number in range(count)
    ]
