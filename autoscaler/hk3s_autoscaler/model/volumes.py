"""Volumes, and the claims to them, as far as they bind pods to nodes."""

from dataclasses import dataclass

from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.selectors import NodeTerm

HCLOUD_DRIVER = "csi.hetzner.cloud"
HCLOUD_VOLUMES_A_SERVER = 16
"""Hetzner attaches no more to one server (docs.hetzner.com, Volumes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A PersistentVolumeClaim; `volume` is empty until it is bound.

    `node` is the node that kube-scheduler has chosen for a volume that is being made, if any.
    """

    key: PodKey
    volume: str = ""
    storage_class: str = ""
    modes: tuple[str, ...] = ()
    bytes: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume. `terms`: only these nodes reach it, `None` for all.

    `claim` is who has it, `None` while it is free.
    """

    name: str
    terms: tuple[NodeTerm, ...] | None = None
    driver: str = ""
    storage_class: str = ""
    claim: PodKey | None = None
    modes: tuple[str, ...] = ()
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageClass:
    """How claims become volumes: `waits` for the first pod, within `terms` (`None`: anywhere).

    `provisioner` is `kubernetes.io/no-provisioner` where volumes are made by hand.
    """

    name: str
    provisioner: str
    waits: bool = False
    terms: tuple[NodeTerm, ...] | None = None

    @property
    def makes_volumes(self) -> bool:
        """Whether it makes a volume for a claim that finds none."""
        return self.provisioner != "kubernetes.io/no-provisioner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """All of it. `limits` are (node, driver, number): how many volumes a node takes."""

    claims: tuple[Claim, ...] = ()
    volumes: tuple[Volume, ...] = ()
    classes: tuple[StorageClass, ...] = ()
    limits: tuple[tuple[str, str, int], ...] = ()


NO_STORAGE = Storage()
