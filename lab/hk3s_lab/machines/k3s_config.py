"""k3s's own configuration: config.yaml and its drop-ins, merged and judged as k3s does.

Merging is that of k3s's pkg/configfilearg: files in order, the last value wins, `key+` appends.
`k3s server` drops keys that it does not know with a warning, `k3s agent` exits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
import yaml

from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.userdata import File

log = structlog.get_logger()

PATH = "/etc/rancher/k3s/config.yaml"
DROP_INS = PATH + ".d/"
NETWORK_DROP_IN = DROP_INS + "50-hk3s-network.yaml"

_LISTS = frozenset(
    {
        "node-label",
        "node-taint",
        "kubelet-arg",
        "node-ip",
        "tls-san",
        "cluster-cidr",
        "service-cidr",
        "cluster-dns",
        "disable",
        "kube-apiserver-arg",
        "kube-controller-manager-arg",
        "kube-scheduler-arg",
    }
)
_BOOLEANS = frozenset(
    {
        "cluster-init",
        "disable-cloud-controller",
        "disable-network-policy",
        "disable-kube-proxy",
        "embedded-registry",
        "secrets-encryption",
    }
)
_AGENT = frozenset(
    {
        "server",
        "token",
        "node-name",
        "node-label",
        "node-taint",
        "kubelet-arg",
        "node-ip",
        "flannel-iface",
    }
)
_SERVER = (_AGENT - {"server"}) | {
    "cluster-init",
    "tls-san",
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "cluster-domain",
    "flannel-backend",
    "disable",
    "disable-cloud-controller",
    "disable-network-policy",
    "disable-kube-proxy",
    "embedded-registry",
    "secrets-encryption",
    "advertise-address",
    "kube-apiserver-arg",
    "kube-controller-manager-arg",
    "kube-scheduler-arg",
}
_FLANNEL = ("vxlan", "host-gw", "wireguard-native", "none")
_PACKAGED = ("coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes")
"""What `disable` may name; k3s exits on anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What the kubelet side of k3s is told; `kubelet` maps flag names to values."""

    name: str
    token: str = field(repr=False)
    server: str | None
    node_ip: str
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...]
    kubelet: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What the control plane side of k3s is told; the args are in `name=value` form."""

    tls_sans: tuple[str, ...]
    cluster_cidr: str
    service_cidr: str
    cluster_dns: str
    cluster_domain: str
    advertise_address: str
    embedded_etcd: bool
    secrets_encryption: bool
    disable: tuple[str, ...]
    disable_cloud_controller: bool
    apiserver_args: tuple[str, ...]
    controller_manager_args: tuple[str, ...]
    scheduler_args: tuple[str, ...]


def load(files: Mapping[str, File], *, server: bool) -> dict[str, Any]:
    """Return the merged keys of config.yaml and config.yaml.d, with the types checked.

    Raises:
        StepError: `bad-config`: absent, unreadable, of the wrong type, or unknown to an agent.
    """
    main = files.get(PATH)
    if main is None:
        raise StepError("bad-config", f"{PATH} is not written")
    if not main.is_private:
        raise StepError("bad-config", f"{PATH} must have mode 0600: it holds the token")
    merged: dict[str, Any] = {}
    for path in (PATH, *sorted(path for path in files if path.startswith(DROP_INS))):
        for key, value in _read(path, files[path].content).items():
            name = key.removesuffix("+")
            if name != key and name in merged:
                merged[name] = [*_as_list(merged[name]), *_as_list(value)]
            else:
                merged[name] = value
    return _known(merged, server=server)


def _known(merged: dict[str, Any], *, server: bool) -> dict[str, Any]:
    known = _SERVER if server else _AGENT
    unknown = sorted(merged.keys() - known)
    if unknown and not server:
        raise StepError("bad-config", f"k3s agent does not know {', '.join(unknown)}")
    for key in unknown:
        log.warning("k3s.unknown_key_skipped", key=key)
    return {key: _typed(key, value) for key, value in merged.items() if key in known}


def _read(path: str, content: bytes) -> dict[str, Any]:
    try:
        data = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StepError("bad-config", f"{path} is not YAML") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise StepError("bad-config", f"{path} is not a mapping")
    return {str(key): value for key, value in data.items()}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _typed(key: str, value: object) -> Any:  # noqa: ANN401 - YAML values
    if key in _LISTS:
        values = _as_list(value)
        if all(isinstance(one, str) for one in values):
            return tuple(values)
        raise StepError("bad-config", f"{key} must be a list of strings")
    if key in _BOOLEANS:
        if isinstance(value, bool):
            return value
        raise StepError("bad-config", f"{key} must be true or false")
    if isinstance(value, str):
        return value
    raise StepError("bad-config", f"{key} must be a string")


def agent_config(config: Mapping[str, Any], *, server: bool) -> AgentConfig:
    """Return the kubelet's part of a merged configuration.

    Raises:
        StepError: `bad-config`.
    """
    for key in ("token", "node-name", *(() if server else ("server",))):
        if not config.get(key):
            raise StepError("bad-config", f"{key} is required")
    if len(config.get("node-ip", ())) != 1:
        raise StepError("bad-config", "node-ip must be one address")
    kubelet = dict(_pair(arg, "kubelet-arg") for arg in config.get("kubelet-arg", ()))
    return AgentConfig(
        name=config["node-name"],
        token=config["token"],
        server=config.get("server"),
        node_ip=config["node-ip"][0],
        labels=dict(_pair(label, "node-label") for label in config.get("node-label", ())),
        taints=tuple(_taint(taint) for taint in config.get("node-taint", ())),
        kubelet=kubelet,
    )


def server_config(config: Mapping[str, Any]) -> ServerConfig:
    """Return the control plane's part of a merged configuration, with k3s's defaults.

    Raises:
        StepError: `bad-config`.
    """
    backend = config.get("flannel-backend", "vxlan")
    if backend not in _FLANNEL:
        raise StepError("bad-config", f"flannel-backend {backend!r} is none of {_FLANNEL}")
    if unknown := sorted(set(config.get("disable", ())) - set(_PACKAGED)):
        raise StepError("bad-config", f"disable names unknown components: {', '.join(unknown)}")
    for key in ("kube-apiserver-arg", "kube-controller-manager-arg", "kube-scheduler-arg"):
        for arg in config.get(key, ()):
            _pair(arg, key)
    return ServerConfig(
        tls_sans=tuple(config.get("tls-san", ())),
        cluster_cidr=_one(config, "cluster-cidr", "10.42.0.0/16"),
        service_cidr=_one(config, "service-cidr", "10.43.0.0/16"),
        cluster_dns=_one(config, "cluster-dns", "10.43.0.10"),
        cluster_domain=config.get("cluster-domain", "cluster.local"),
        advertise_address=config.get("advertise-address") or config["node-ip"][0],
        embedded_etcd=config.get("cluster-init", False),
        secrets_encryption=config.get("secrets-encryption", False),
        disable=tuple(config.get("disable", ())),
        disable_cloud_controller=config.get("disable-cloud-controller", False),
        apiserver_args=tuple(config.get("kube-apiserver-arg", ())),
        controller_manager_args=tuple(config.get("kube-controller-manager-arg", ())),
        scheduler_args=tuple(config.get("kube-scheduler-arg", ())),
    )


def _one(config: Mapping[str, Any], key: str, default: str) -> str:
    values: tuple[str, ...] = config.get(key, (default,))
    if len(values) != 1:
        raise StepError("bad-config", f"{key}: the lab has IPv4 alone, so one value")
    return values[0]


def _pair(text: str, key: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise StepError("bad-config", f"{key}: {text!r} is not name=value")
    return name, value


def _taint(text: str) -> Mapping[str, str]:
    pair, mark, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    if not mark or not key or effect not in {"NoSchedule", "PreferNoSchedule", "NoExecute"}:
        raise StepError("bad-config", f"node-taint: {text!r} is not key=value:Effect")
    return {"key": key, "value": value, "effect": effect}


def forbidden_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that a kubelet refuses to set on itself, as its --node-labels check does."""
    return tuple(key for key in labels if _is_kubernetes(key) and not _is_kubelet(key))


def _is_kubernetes(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    return domain in {"kubernetes.io", "k8s.io"} or domain.endswith((".kubernetes.io", ".k8s.io"))


_KUBELET_LABELS = frozenset(
    {
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)


def _is_kubelet(key: str) -> bool:
    domain = key.partition("/")[0]
    inside = ("kubelet.kubernetes.io", "node.kubernetes.io")
    return key in _KUBELET_LABELS or any(
        domain == name or domain.endswith("." + name) for name in inside
    )
