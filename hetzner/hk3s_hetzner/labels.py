"""Every label that hk3s puts on Hetzner objects: the truth that survives a restart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

PREFIX = "hk3s.dev/"
CLUSTER = f"{PREFIX}cluster"
ROLE = f"{PREFIX}role"
POOL = f"{PREFIX}pool"
CLUSTER_UID = f"{PREFIX}cluster-uid"
"""UID of the kube-system namespace: tells clusters of one name apart."""
PRICE = f"{PREFIX}price"
"""Micro-euro an hour, net, at which the server was bought: list prices change, it does not."""
TOKEN_EXPIRES = f"{PREFIX}token-expires"
"""Unix seconds after which the join token in the server's user-data is worthless."""
TEMPLATE = f"{PREFIX}template"
"""What the pool asked of its nodes when the server was made, as its maker wrote it; may lack."""
CA = f"{PREFIX}ca"
"""First 32 hex digits of the cluster's CA hash, on the bastion and the master."""

Role = Literal["bastion", "master", "worker"]

CA_DIGITS = 32

_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLabels:
    """What a worker's labels say. `price_micro_eur_hour` is what it was bought for.

    `template` is a record of what its pool asked for then, empty on servers made without one.
    """

    cluster: str
    cluster_uid: str
    pool: str
    price_micro_eur_hour: int
    token_expires: datetime
    template: str = ""


def is_value(text: str) -> bool:
    """Return whether Hetzner takes the text as a label value."""
    return _VALUE.fullmatch(text) is not None


def for_cluster(cluster: str) -> dict[str, str]:
    """Return the labels of what belongs to the whole cluster: network, firewall, key."""
    return {CLUSTER: _checked(CLUSTER, cluster)}


def for_infrastructure(
    cluster: str, role: Literal["bastion", "master"], ca_hash: str
) -> dict[str, str]:
    """Return the labels of a bastion or master; `ca_hash` is the full hash in hex."""
    return {**for_cluster(cluster), ROLE: role, CA: ca_hash[:CA_DIGITS]}


def for_worker(worker: WorkerLabels) -> dict[str, str]:
    """Return the labels of a worker."""
    return {
        **for_cluster(worker.cluster),
        ROLE: "worker",
        POOL: _checked(POOL, worker.pool),
        CLUSTER_UID: _checked(CLUSTER_UID, worker.cluster_uid),
        PRICE: str(worker.price_micro_eur_hour),
        TOKEN_EXPIRES: str(int(worker.token_expires.timestamp())),
        **({TEMPLATE: _checked(TEMPLATE, worker.template)} if worker.template else {}),
    }


def read_worker(labels: Mapping[str, str]) -> WorkerLabels | None:
    """Return what a worker's labels say, None when they are not a worker's of ours.

    A worker that lacks a number is not ours to touch either: someone edited it.
    """
    if labels.get(ROLE) != "worker":
        return None
    try:
        return WorkerLabels(
            cluster=labels[CLUSTER],
            cluster_uid=labels[CLUSTER_UID],
            pool=labels[POOL],
            price_micro_eur_hour=int(labels[PRICE]),
            token_expires=datetime.fromtimestamp(int(labels[TOKEN_EXPIRES]), UTC),
            template=labels.get(TEMPLATE, ""),
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def role_of(labels: Mapping[str, str]) -> Role | None:
    """Return the role that the labels name, None for anything else."""
    match labels.get(ROLE):
        case "bastion":
            return "bastion"
        case "master":
            return "master"
        case "worker":
            return "worker"
        case _:
            return None


def select_cluster(cluster: str) -> str:
    """Return the selector of everything that belongs to the cluster."""
    return f"{CLUSTER}={cluster}"


def select_role(cluster: str, role: Role) -> str:
    """Return the selector of the cluster's machines of one role."""
    return f"{CLUSTER}={cluster},{ROLE}={role}"


def _checked(key: str, value: str) -> str:
    if not value or not is_value(value):
        raise ValueError(f"{value!r} is no value for the label {key}")
    return value
