"""k3s's own files: config.yaml, registries.yaml, the scheduler's profile, the unit."""

import yaml

from hk3s_cloudinit.files import ETC, LIB, File
from hk3s_cloudinit.node import KubernetesParams, MasterParams, WorkerParams
from hk3s_data.k3s import (
    COMMON_REGISTRIES,
    JOURNAL_ERRORS,
    K3sVersion,
    Reserved,
    registry_wildcard,
    reserved,
)

__all__ = ["Reserved", "kubernetes_files", "master_config", "reserved", "worker_config"]

CONFIG = "/etc/rancher/k3s/config.yaml"
REGISTRIES = "/etc/rancher/k3s/registries.yaml"
SCHEDULER = "/etc/rancher/k3s/scheduler.yaml"
TLS = "/var/lib/rancher/k3s/server/tls"
RESOLV_CONF = f"{ETC}/resolv.conf"

_FLANNEL_BACKENDS = {"flannel": "vxlan", "wireguard": "wireguard-native", "cilium": "none"}
_MIB = 1 << 20


def worker_config(params: WorkerParams) -> dict[str, object]:
    """Return a worker's config.yaml. An unknown key would stop the agent, so there are few."""
    return {
        "server": f"https://{params.api_address}:{params.api_port}",
        "token": params.join_token,
        **_node_config(params),
    }


def master_config(params: MasterParams) -> dict[str, object]:
    """Return a first master's config.yaml."""
    config: dict[str, object] = {
        "cluster-init": True,
        "token": params.token,
        **_node_config(params),
        "advertise-address": params.api_address,
        "tls-san": [params.api_address, *params.tls_sans],
        "cluster-cidr": params.pod_cidr,
        "service-cidr": params.service_cidr,
        "cluster-dns": params.cluster_dns,
        "cluster-domain": params.cluster_domain,
        "flannel-backend": _FLANNEL_BACKENDS[params.cni],
        "disable": list(params.disable),
        "disable-cloud-controller": True,
        "secrets-encryption": True,
    }
    if params.cni == "cilium":
        config |= {"disable-network-policy": True, "disable-kube-proxy": True}
    if params.embedded_registry:
        config["embedded-registry"] = True
    if params.apiserver_args:
        config["kube-apiserver-arg"] = list(params.apiserver_args)
    if params.controller_manager_args:
        config["kube-controller-manager-arg"] = list(params.controller_manager_args)
    if params.scheduler == "packing":
        config["kube-scheduler-arg"] = [f"config={SCHEDULER}"]
    return config


def _node_config(params: KubernetesParams) -> dict[str, object]:
    return {
        "node-name": params.name,
        "node-label": [f"{key}={value}" for key, value in sorted(params.labels.items())],
        "node-taint": list(params.taints),
        "kubelet-arg": _kubelet_args(params),
    }


def _kubelet_args(params: KubernetesParams) -> list[str]:
    kept = reserved(
        params.cores, params.memory_bytes, control_plane=isinstance(params, MasterParams)
    )
    eviction = (
        f"memory.available<{kept.eviction_memory_bytes // _MIB}Mi",
        # k3s's own two thresholds: naming any threshold drops all others.
        "nodefs.available<5%",
        "imagefs.available<5%",
    )
    return [
        # k3s says this only while its own cloud controller runs.
        "cloud-provider=external",
        # k3s falls back to a public resolver when the system's is a stub on loopback.
        f"resolv-conf={RESOLV_CONF}",
        f"kube-reserved=cpu={kept.kube_cpu_milli}m,memory={kept.kube_memory_bytes // _MIB}Mi",
        f"system-reserved=cpu={kept.system_cpu_milli}m,memory={kept.system_memory_bytes // _MIB}Mi",
        f"eviction-hard={','.join(eviction)}",
    ]


def scheduler_profile() -> dict[str, object]:
    """Return the KubeSchedulerConfiguration that packs pods tightly instead of spreading them.

    With a configuration file the scheduler ignores `--kubeconfig`, so the file names k3s's.
    The weight lifts packing above the default spreading of a workload's pods, which stays as a
    tie-breaker; balanced allocation would pull the other way.
    """
    resources = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": "/var/lib/rancher/k3s/server/cred/scheduler.kubeconfig"},
        "profiles": [
            {
                "schedulerName": "default-scheduler",
                "plugins": {
                    "score": {
                        "disabled": [{"name": "NodeResourcesBalancedAllocation"}],
                        "enabled": [{"name": "NodeResourcesFit", "weight": 10}],
                    }
                },
                "pluginConfig": [
                    {
                        "name": "NodeResourcesFit",
                        "args": {
                            "scoringStrategy": {"type": "MostAllocated", "resources": resources}
                        },
                    }
                ],
            }
        ],
    }


def registries(version: str) -> dict[str, object]:
    """Return registries.yaml: all registries where the version knows `*`, else the common ones."""
    wildcard = registry_wildcard(K3sVersion.parse(version))
    names = ("*",) if wildcard else COMMON_REGISTRIES
    return {"mirrors": {name: {} for name in names}}


def kubernetes_files(params: MasterParams | WorkerParams) -> list[File]:
    """Return everything that k3s reads, and its unit."""
    master = isinstance(params, MasterParams)
    config = master_config(params) if isinstance(params, MasterParams) else worker_config(params)
    files = [_yaml_file(CONFIG, config, "0600")]
    if params.embedded_registry:
        files.append(_yaml_file(REGISTRIES, registries(params.k3s.version), "0600"))
    if isinstance(params, MasterParams):
        if params.scheduler == "packing":
            files.append(_yaml_file(SCHEDULER, scheduler_profile(), "0600"))
        files += [
            File(path=f"{TLS}/{name}", content=content.decode(), permissions="0600")
            for name, content in params.pki.tls_files().items()
        ]
    return [
        *files,
        File(path=RESOLV_CONF, content=resolv_conf(params.network.dns)),
        File(path=f"{LIB}/journal-errors", content=_journal_errors()),
        File(
            path=f"/etc/systemd/system/{'k3s' if master else 'k3s-agent'}.service",
            content=_UNIT.format(command="server" if master else "agent"),
        ),
    ]


def resolv_conf(dns: tuple[str, ...]) -> str:
    """Return a resolv.conf with these name servers."""
    return "".join(f"nameserver {address}\n" for address in dns)


def _journal_errors() -> str:
    rows = ((error.code, error.pattern, error.message) for error in JOURNAL_ERRORS)
    return "".join("\t".join(row) + "\n" for row in rows)


def _yaml_file(path: str, content: dict[str, object], permissions: str) -> File:
    text = yaml.safe_dump(content, sort_keys=False, width=1000)
    return File(path=path, content=text, permissions=permissions)


# As k3s's installer writes it (install.sh, create_systemd_service_file), and never without the
# guard that keeps pods away from this very user-data.
_UNIT = """\
[Unit]
Description=k3s {command}
Wants=network-online.target
Requires=hk3s-guard.service
After=network-online.target hk3s-guard.service

[Service]
Type=notify
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s {command}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
"""
