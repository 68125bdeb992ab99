"""What a plan buys, and why a pod waits."""

from datetime import datetime

from autoscaler.builders import (
    CONFIG,
    NOW,
)
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code


def creates(world: Snapshot, now: datetime = NOW) -> list[CreateServer]:
    return [a for a in plan(world, CONFIG, now).actions if isinstance(a, CreateServer)]


def bought(world: Snapshot, now: datetime = NOW) -> list[str]:
    return sorted(str(create.offering) for create in creates(world, now))


def reason_of(world: Snapshot, name: str = "p", now: datetime = NOW) -> Code:
    reports = {r.pod: r.reason.code for r in plan(world, CONFIG, now).pods}
    return reports[PodKey("default", name)]
