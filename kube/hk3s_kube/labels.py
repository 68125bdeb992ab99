"""Every node label, annotation and taint that hk3s writes or obeys."""

from typing import Final

CLUSTER: Final = "hk3s.dev/cluster"
POOL: Final = "hk3s.dev/pool"
"""Ownership: workers register with it; a node that lacks it is never touched."""

ARCH: Final = "kubernetes.io/arch"
OS: Final = "kubernetes.io/os"
HOSTNAME: Final = "kubernetes.io/hostname"
REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"
INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"
EXCLUDE_FROM_LOAD_BALANCERS: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Set before a drain, so that load balancers stop sending."""

UNNEEDED_SINCE: Final = "hk3s.dev/unneeded-since"
"""RFC 3339 time since which a node could go; on the Node, so that a restart forgets nothing."""
DRAIN_REASON: Final = "hk3s.dev/drain-reason"
"""Why hk3s cordoned the node; a cordon without it is somebody else's."""
REPLACING_SINCE: Final = "hk3s.dev/replacing-since"
"""RFC 3339 time since which another server is there to take over, or on its way."""
REPLACING_REASON: Final = "hk3s.dev/replacing-reason"
OPENING_SINCE: Final = "hk3s.dev/opening-since"
"""RFC 3339 time since which the pods planned for a new node are let in before all others."""

KARPENTER_DO_NOT_DISRUPT: Final = "karpenter.sh/do-not-disrupt"
SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
SAFE_TO_EVICT_LOCAL_VOLUMES: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
SCALE_DOWN_DISABLED: Final = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
DAEMONSET_POD: Final = "cluster-autoscaler.kubernetes.io/daemonset-pod"
MIRROR_POD: Final = "kubernetes.io/config.mirror"
