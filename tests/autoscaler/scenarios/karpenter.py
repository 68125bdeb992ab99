"""Worlds and questions that the files of Karpenter's contexts share."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from autoscaler.builders import (
    CONFIG,
    CX53,
    NOW,
    minutes,
    node,
    seconds,
    server,
    snapshot,
)
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
)
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.result import Plan

# Minute 45: a server that is bought now is Ready when the paid hour ends.
BUY_TIME = NOW - timedelta(days=2, minutes=45)
LEAVE_TIME = NOW - timedelta(days=2, minutes=52)
LONG = NOW - minutes(30)
SECONDS_20, MINUTES_10 = seconds(20), minutes(10)
T = TypeVar("T", bound=Action)


def planned(world: Snapshot, config: PlanConfig = CONFIG, now: datetime = NOW) -> Plan:
    return plan(world, config, now)


def of_kind(found: Plan, kind: type[T]) -> list[T]:
    return [action for action in found.actions if isinstance(action, kind)]


def why(found: Plan, name: str) -> Code:
    return next(report.reason.code for report in found.nodes if report.node == name)


def dear(**changes: object) -> tuple[Server, Node]:
    """A large server that was unneeded for long, at the time to buy in its stead."""
    machine = replace(server("dear", sold=CX53, created_at=BUY_TIME), **changes)  # type: ignore[arg-type]
    return machine, replace(node(machine, sold=CX53), unneeded_since=LONG)


def aged_world(workers: NodePool, *pods: Pod, **changes: object) -> Snapshot:
    """One worker in minute 45 of its hour."""
    machine = server("old", created_at=BUY_TIME, image="ubuntu-24.04")
    joined = replace(node(machine), **changes)  # type: ignore[arg-type]
    return snapshot(servers=[machine], nodes=[joined], pods=pods, pools=[workers])
