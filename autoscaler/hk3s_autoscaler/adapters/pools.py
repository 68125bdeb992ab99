"""NodePools as stored to facts, and facts to their status. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import ValidationError

from hk3s_autoscaler.model import quantity
from hk3s_autoscaler.model.nodepool import Budget, Disruption, NodePool, PoolLimits, TypeFilter
from hk3s_autoscaler.model.offering import Architecture, OfferingBlock, OfferingKey
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.ports import PoolStatus
from hk3s_kube import cron
from hk3s_kube import nodepool as api
from hk3s_kube.nodepool_check import NodePoolInvalid, read_object
from hk3s_kube.objects import NodePoolObject

ALL = "*"
"""The offering of the entry in `blockedOfferings` that says that a pool is paused."""

_ARCHITECTURES: dict[str, Architecture] = {"amd64": "x86", "arm64": "arm"}


def nodepool(stored: NodePoolObject, *, architecture: Architecture) -> NodePool:
    """Return a pool as the planner sees it; an invalid one has its `problem` set.

    `architecture` is the masters', for pools that name none.
    """
    try:
        pool = read_object(stored)
    except NodePoolInvalid as error:
        meta = stored.metadata
        return NodePool(
            name=meta.name,
            uid=meta.uid,
            generation=meta.generation,
            max_nodes=0,
            problem=str(error),
        )
    spec, status = pool.spec, pool.status or api.NodePoolStatus()
    wanted, limits = spec.requirements, spec.limits
    blocks = tuple(_block(item) for item in status.blocked_offerings if item.offering != ALL)
    return NodePool(
        name=pool.metadata.name,
        uid=pool.metadata.uid,
        generation=pool.metadata.generation,
        types=TypeFilter(
            names=spec.server_types,
            architectures=tuple(_ARCHITECTURES[arch] for arch in wanted.arch) or (architecture,),
            cpu_types=wanted.cpu_type or ("shared", "dedicated"),
            min_cores=wanted.min_cores or 0,
            max_cores=wanted.max_cores,
            min_memory_bytes=quantity.whole(wanted.min_memory or "0"),
            max_memory_bytes=None
            if wanted.max_memory is None
            else quantity.whole(wanted.max_memory),
        ),
        locations=spec.locations,
        min_nodes=spec.min_nodes,
        max_nodes=spec.max_nodes,
        limits=PoolLimits(
            cpu_milli=None if limits.cpu is None else quantity.milli(limits.cpu),
            memory_bytes=None if limits.memory is None else quantity.whole(limits.memory),
            micro_eur_per_hour=None
            if limits.euro_per_hour is None
            else api.micro_eur(limits.euro_per_hour),
        ),
        weight=spec.weight,
        labels=tuple(sorted(spec.labels.items())),
        taints=_taints(spec.taints),
        startup_taints=_taints(spec.startup_taints),
        image=spec.image,
        disruption=_disruption(spec.disruption),
        expire_after=spec.expire_after,
        termination_grace_period=spec.termination_grace_period,
        join_timeout=spec.join_timeout,
        blocks=tuple(block for block in blocks if block is not None),
        paused_until=next(
            (item.until for item in status.blocked_offerings if item.offering == ALL), None
        ),
    )


def read_status(stored: NodePoolObject) -> api.NodePoolStatus:
    """Return the status as it is stored; one that cannot be read counts as none."""
    try:
        return api.NodePoolStatus.model_validate(stored.status)
    except ValidationError:
        return api.NodePoolStatus()


def pool_status(
    status: PoolStatus, before: api.NodePoolStatus, now: datetime
) -> api.NodePoolStatus:
    """Return the status to write; conditions that did not flip keep their time."""
    pool = status.pool
    blocks = [
        api.BlockedOffering(offering=str(block.key), reason=block.reason, until=block.until)
        for block in pool.blocks
    ]
    if pool.paused_until is not None:
        reason = next((c.reason for c in status.conditions if c.type == "Paused"), "Paused")
        blocks.insert(0, api.BlockedOffering(offering=ALL, reason=reason, until=pool.paused_until))
    decision = status.last_decision
    return api.NodePoolStatus(
        nodes=status.nodes,
        ready=status.ready,
        eur_per_hour=f"{Decimal(status.micro_eur_per_hour) / 1_000_000:.4f}",
        observed_generation=pool.generation,
        conditions=_conditions(status, before, now),
        blocked_offerings=tuple(blocks),
        last_decision=before.last_decision
        if decision is None
        else api.Decision(time=decision.time, reason=decision.reason, message=decision.message),
    )


def _conditions(
    status: PoolStatus, before: api.NodePoolStatus, now: datetime
) -> tuple[api.Condition, ...]:
    old = {condition.type: condition for condition in before.conditions}
    made = []
    for condition in status.conditions:
        value: Literal["True", "False"] = "True" if condition.status else "False"
        known = old.get(condition.type)
        made.append(
            api.Condition(
                type=condition.type,
                status=value,
                reason=condition.reason,
                message=condition.message,
                observed_generation=status.pool.generation,
                last_transition_time=known.last_transition_time
                if known is not None and known.status == value
                else now.replace(microsecond=0),
            )
        )
    return tuple(made)


def _block(item: api.BlockedOffering) -> OfferingBlock | None:
    server_type, separator, location = item.offering.partition("/")
    if not separator:
        return None
    return OfferingBlock(
        key=OfferingKey(server_type, location), reason=item.reason, until=item.until
    )


def _taints(taints: Sequence[api.Taint]) -> tuple[Taint, ...]:
    return tuple(Taint(key=t.key, value=t.value, effect=t.effect) for t in taints)


def _disruption(spec: api.Disruption) -> Disruption:
    return Disruption(
        policy=spec.policy,
        consolidate_after=max(spec.consolidate_after, timedelta()),
        min_savings_micro_eur_per_month=api.micro_eur(spec.min_savings),
        keep_until_hour_end=spec.keep_until_hour_end,
        budgets=tuple(_budget(budget) for budget in spec.budgets),
    )


def _budget(spec: api.Budget) -> Budget:
    share = spec.nodes.endswith("%")
    number = int(spec.nodes.removesuffix("%"))
    return Budget(
        number=None if share else number,
        percent=number if share else None,
        reasons=spec.reasons,
        schedule=None if spec.schedule is None else cron.parse(spec.schedule),
        duration=spec.duration or timedelta(),
    )
