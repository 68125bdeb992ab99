"""k3s as data: versions and what they can do, images, refused combinations, reserved resources.

Each table names its source. The functions only look things up.
"""

import dataclasses
import enum
import re
from typing import Self

DEFAULT_VERSION = "v1.36.5+k3s1"
ARTIFACTS_URL = "https://github.com/k3s-io/k3s/releases/download"
"""The binary is `<ARTIFACTS_URL>/<version>/k3s` (`k3s-arm64`), beside `sha256sum-<arch>.txt`."""

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:-rc(\d+))?\+k3s(\d+)")
_NOT_A_CANDIDATE = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class K3sVersion:
    """A k3s version, ordered; a release candidate comes before its release."""

    major: int
    minor: int
    patch: int
    candidate: int
    revision: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `v1.36.5+k3s1` or `v1.36.5-rc1+k3s1`; raises ValueError on anything else."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"not a k3s version such as {DEFAULT_VERSION}: {text!r}")
        major, minor, patch, candidate, revision = match.groups()
        return cls(
            int(major),
            int(minor),
            int(patch),
            _NOT_A_CANDIDATE if candidate is None else int(candidate),
            int(revision),
        )

    def __str__(self) -> str:
        candidate = "" if self.candidate == _NOT_A_CANDIDATE else f"-rc{self.candidate}"
        return f"v{self.major}.{self.minor}.{self.patch}{candidate}+k3s{self.revision}"


# The first patch of each minor that removes node-password secrets together with their Node, so
# that a deleted server's name cannot stay blocked (k3s-io/k3s#13072, backports #13112 to #13115).
# Later minors have it from their first release; earlier ones never got it.
_MINIMUM_PATCHES = {31: 14, 32: 10, 33: 6, 34: 2}


def unsupported_reason(version: K3sVersion) -> str | None:
    """Say why hk3s refuses this version, or return None when it does not."""
    oldest = min(_MINIMUM_PATCHES)
    if (version.major, version.minor) < (1, oldest):
        return f"hk3s needs k3s v1.{oldest}.{_MINIMUM_PATCHES[oldest]}+k3s1 or later"
    patch = _MINIMUM_PATCHES.get(version.minor, 0)
    if version.patch < patch:
        return (
            f"v1.{version.minor} is supported from v1.{version.minor}.{patch}+k3s1: earlier ones"
            " can leave a deleted node's name blocked (k3s-io/k3s#13072)"
        )
    return None


class RegistrySupport(enum.StrEnum):
    """How far a version supports the embedded registry mirror."""

    NONE = "none"
    EXPERIMENTAL = "experimental"
    STABLE = "stable"


# First patches by minor. Source: https://docs.k3s.io/installation/registry-mirror (version gates).
# A minor above the last key has the feature from its first release; one below the first key never.
_REGISTRY_EXPERIMENTAL = {26: 13, 27: 10, 28: 6, 29: 1}
_REGISTRY_STABLE = {29: 12, 30: 8, 31: 4}
_REGISTRY_WILDCARD = {26: 15, 27: 12, 28: 8, 29: 3}


def registry_support(version: K3sVersion) -> RegistrySupport:
    """Return how far the version supports `embedded-registry`; without it k3s may not start."""
    if _has(version, _REGISTRY_STABLE):
        return RegistrySupport.STABLE
    if _has(version, _REGISTRY_EXPERIMENTAL):
        return RegistrySupport.EXPERIMENTAL
    return RegistrySupport.NONE


def registry_wildcard(version: K3sVersion) -> bool:
    """Tell whether `mirrors: {"*": {}}` works; otherwise each registry must be listed."""
    return _has(version, _REGISTRY_WILDCARD)


def _has(version: K3sVersion, first_patches: dict[int, int]) -> bool:
    if version.minor > max(first_patches):
        return True
    patch = first_patches.get(version.minor)
    return patch is not None and version.patch >= patch


COMMON_REGISTRIES = ("docker.io", "gcr.io", "ghcr.io", "quay.io", "registry.k8s.io")
"""What `registries.yaml` lists where the wildcard does not work."""


class OsFamily(enum.StrEnum):
    """Operating systems that set up their network alike."""

    UBUNTU = "ubuntu"
    DEBIAN = "debian"
    REDHAT = "redhat"
    SUSE = "suse"


# Names as `GET /images?type=system` gives them. openSUSE (MicroOS, Leap Micro) has no system
# image: those are snapshots, whose family the user names.
IMAGES = {
    "ubuntu-22.04": OsFamily.UBUNTU,
    "ubuntu-24.04": OsFamily.UBUNTU,
    "ubuntu-26.04": OsFamily.UBUNTU,
    "debian-12": OsFamily.DEBIAN,
    "debian-13": OsFamily.DEBIAN,
    "rocky-9": OsFamily.REDHAT,
    "rocky-10": OsFamily.REDHAT,
    "alma-9": OsFamily.REDHAT,
    "alma-10": OsFamily.REDHAT,
}
DEFAULT_IMAGE = "ubuntu-24.04"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A combination that is known to break, and what to take instead."""

    cni: str
    image: str
    reason: str
    choices: tuple[str, ...]


# Sources: cilium/cilium#18706, systemd/systemd#19287 (networkd drops foreign rules since v248);
# on 22.04 every networkd restart, unattended upgrades included, cut the node off.
REFUSALS = (
    Refusal(
        cni="cilium",
        image="ubuntu-22.04",
        reason="systemd-networkd 249 removes Cilium's routing rules whenever it restarts,"
        " which cuts the node off (cilium/cilium#18706)",
        choices=("image ubuntu-24.04", "image debian-12", "cni flannel"),
    ),
)


def refusal(cni: str, image: str) -> Refusal | None:
    """Return why this CNI must not run on this image, or None."""
    return next((row for row in REFUSALS if (row.cni, row.image) == (cni, image)), None)


_MIB = 1 << 20

# A k3s agent takes 3 to 10 % of a core and 275 MB, a server with embedded etcd 6 to 30 % and
# 1606 MB in all (https://docs.k3s.io/reference/resource-profiling). Container shims and the page
# cache of the runtime grow with the number of pods, hence the share of memory.
_KUBE_CPU_MILLI = 60
_KUBE_CPU_MILLI_PER_CORE = 10
_KUBE_MEMORY_MIB = 300
_KUBE_MEMORY_PERCENT = 2
_CONTROL_PLANE_CPU_MILLI = 200
_CONTROL_PLANE_MEMORY_MIB = 1200
_SYSTEM_CPU_MILLI = 100
_SYSTEM_MEMORY_MIB = 150
_EVICTION_MEMORY_MIB = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What a node keeps from its pods. Allocatable is capacity minus `cpu_milli`, `memory_bytes`.

    Memory values are whole MiB, so that the kubelet's arguments state them exactly.
    """

    kube_cpu_milli: int
    kube_memory_bytes: int
    system_cpu_milli: int
    system_memory_bytes: int
    eviction_memory_bytes: int

    @property
    def cpu_milli(self) -> int:
        """All reserved CPU, in thousandths of a core."""
        return self.kube_cpu_milli + self.system_cpu_milli

    @property
    def memory_bytes(self) -> int:
        """All reserved memory, the eviction threshold included."""
        return self.kube_memory_bytes + self.system_memory_bytes + self.eviction_memory_bytes


def reserved(cores: int, memory_bytes: int, *, control_plane: bool = False) -> Reserved:
    """Return what a server with so many cores and so much memory reserves."""
    memory_mib = memory_bytes // _MIB
    kube_cpu = _KUBE_CPU_MILLI + _KUBE_CPU_MILLI_PER_CORE * cores
    kube_memory = _KUBE_MEMORY_MIB + memory_mib * _KUBE_MEMORY_PERCENT // 100
    if control_plane:
        kube_cpu += _CONTROL_PLANE_CPU_MILLI
        kube_memory += _CONTROL_PLANE_MEMORY_MIB
    return Reserved(
        kube_cpu_milli=kube_cpu,
        kube_memory_bytes=kube_memory * _MIB,
        system_cpu_milli=_SYSTEM_CPU_MILLI,
        system_memory_bytes=_SYSTEM_MEMORY_MIB * _MIB,
        eviction_memory_bytes=_EVICTION_MEMORY_MIB * _MIB,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class JournalError:
    """An error of the step `join`, recognized by what k3s or its kubelet wrote to the journal."""

    code: str
    pattern: str
    """An extended regular expression."""
    message: str


# First match wins. Sources: k3s pkg/clientaccess/token.go (CA hash), pkg/agent/config/config.go
# (node password), k3s-io/k3s#7797 (what an expired token looks like), kubernetes
# cmd/kubelet/app/options (labels), plugin/pkg/admission/noderestriction, urfave/cli (flags).
JOURNAL_ERRORS = (
    JournalError(
        "ca-hash-mismatch",
        "token CA hash does not match",
        "the API's CA does not have the expected hash",
    ),
    JournalError(
        "name-taken",
        "[Nn]ode password rejected",
        "another machine registered under this name",
    ),
    JournalError(
        "token-rejected",
        "401 Unauthorized|[Nn]ot authorized",
        "the API does not accept the join token",
    ),
    JournalError(
        "label-forbidden",
        "labels specified with --node-labels|is not allowed to (set|modify)",
        "the node may not give itself one of its labels",
    ),
    JournalError(
        "bad-config",
        "flag provided but not defined|unknown flag|failed to parse",
        "k3s does not accept its configuration",
    ),
    JournalError(
        "api-unreachable",
        "connection refused|no route to host|i/o timeout|deadline exceeded|connection reset",
        "the API does not answer",
    ),
)
