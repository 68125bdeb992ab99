"""What is applied to the cluster: deploy/base with this cluster's settings. Pure."""

import base64
import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from hk3s_autoscaler import config as daemon
from hk3s_bootstrap import addons
from hk3s_bootstrap.config import ClusterConfig, PoolSection
from hk3s_bootstrap.desired import Desired
from hk3s_bootstrap.state import State
from hk3s_kube import nodepool

Manifest = dict[str, Any]
BASE = ("namespace.yaml", "crd.yaml", "rbac.yaml", "admission.yaml", "deployment.yaml")
APPLIED = "hk3s.dev/applied"
"""Annotation: the hash of what was applied, so that a second run can tell that nothing changed."""
CONFIG_HASH = "hk3s.dev/config"
"""Annotation of the daemon's pods: they are replaced when their settings change."""
NAMESPACE = "hk3s-system"
DEPLOYMENT = "hk3s-autoscaler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known only once Hetzner's side exists. `token` is the API token."""

    endpoint: str
    token: str = field(repr=False)
    network_id: int
    ssh_key_ids: tuple[int, ...]


def base() -> tuple[Manifest, ...]:
    """Return the documents of deploy/base, in order."""
    folder = resources.files(__package__).joinpath("manifests")
    texts = (folder.joinpath(name).read_text(encoding="utf-8") for name in BASE)
    return tuple(
        document for text in texts for document in yaml.safe_load_all(text) if document is not None
    )


def manifests(
    config: ClusterConfig, desired: Desired, state: State, facts: Facts
) -> tuple[Manifest, ...]:
    """Return everything but the NodePools, marked with its hash, in the order to apply it in."""
    settings = daemon.dump(_daemon_config(config, desired, state, facts))
    wanted: list[Manifest] = []
    for manifest in copy.deepcopy(base()):
        if manifest["kind"] == "Deployment":
            wanted += [_settings(settings), _secret(facts, state)]
            manifest = _deployment(manifest, config, settings, facts)  # noqa: PLW2901 - its final form
        wanted.append(manifest)
        if manifest["kind"] == "Namespace":
            wanted.append(_hcloud_secret(facts))
            wanted += addons.helm_charts(config, facts.endpoint)
    return tuple(map(marked, wanted))


def pools(config: ClusterConfig) -> tuple[Manifest, ...]:
    """Return the NodePools of the file."""
    return tuple(nodepool.manifest(pool.name, pool.spec) for pool in config.node_pools)


def marked(manifest: Manifest) -> Manifest:
    """Return the manifest with its own hash as an annotation."""
    text = json.dumps(manifest, sort_keys=True)
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations", {}) | {
        APPLIED: hashlib.sha256(text.encode()).hexdigest()
    }
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def is_applied(live: Mapping[str, Any] | None, manifest: Manifest) -> bool:
    """Return whether applying the manifest would change nothing.

    The hash tells of keys that we no longer set; the comparison of what others changed.
    """
    return live is not None and _contains(live, manifest)


def _contains(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON
    match wanted:
        case dict():
            return isinstance(live, Mapping) and all(
                key in live and _contains(live[key], value) for key, value in wanted.items()
            )
        case list():
            return (
                isinstance(live, list)
                and len(live) == len(wanted)
                and all(map(_contains, live, wanted))
            )
        case _:
            return bool(live == wanted)


def describe(manifest: Mapping[str, Any]) -> str:
    """Return `Kind namespace/name`."""
    metadata = manifest["metadata"]
    namespace = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {namespace}{metadata['name']}"


def _daemon_config(
    config: ClusterConfig, desired: Desired, state: State, facts: Facts
) -> daemon.Config:
    network, k3s = config.network, config.k3s
    return daemon.Config(
        cluster=config.cluster,
        hetzner=daemon.HetznerSection(endpoint=facts.endpoint),
        network=daemon.NetworkSection(
            id=facts.network_id,
            range=network.range,
            master_subnet=network.master_subnet,
            worker_subnet=network.worker_subnet,
            dns=network.dns,
        ),
        api=daemon.ApiSection(address=network.master_address, ca_hash=state.ca_hash),
        k3s=daemon.K3sSection(
            version=k3s.version,
            artifacts_url=k3s.artifacts_url,
            sha256=daemon.ChecksumSection(amd64=k3s.sha256.amd64, arm64=k3s.sha256.arm64),
            embedded_registry=k3s.embedded_registry,
        ),
        image=config.master.image,
        ssh=daemon.SshSection(
            key_ids=facts.ssh_key_ids,
            authorized_keys=tuple(key.line for key in desired.ssh_keys),
        ),
        limits=daemon.LimitsSection(
            max_servers=config.autoscaler.max_servers,
            max_euro_per_hour=config.autoscaler.max_euro_per_hour,
        ),
        paused=config.autoscaler.paused,
        namespace=NAMESPACE,
    )


def _settings(settings: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "hk3s-autoscaler-config", "namespace": NAMESPACE},
        "data": {"config.yaml": settings},
    }


def _secret(facts: Facts, state: State) -> Manifest:
    values = {"token": facts.token, "ssh-ca": state.ssh_host_ca.private}
    return _opaque("hk3s-autoscaler", NAMESPACE, values)


def _hcloud_secret(facts: Facts) -> Manifest:
    values = {"token": facts.token, "network": str(facts.network_id)}
    return _opaque("hcloud", "kube-system", values)


def _opaque(name: str, namespace: str, values: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def _deployment(manifest: Manifest, config: ClusterConfig, settings: str, facts: Facts) -> Manifest:
    spec = manifest["spec"]
    spec["replicas"] = config.autoscaler.replicas
    template = spec["template"]
    # A new token, like new settings, must reach the process.
    digest = hashlib.sha256(f"{settings}\0{facts.token}".encode()).hexdigest()
    template["metadata"]["annotations"] = {CONFIG_HASH: digest[:16]}
    template["spec"]["containers"][0]["image"] = config.autoscaler.image
    return manifest


def pool_differences(
    wanted: Iterable[PoolSection], live: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the names of the pools that exist and differ from the file."""
    return tuple(
        pool.name
        for pool in wanted
        if pool.name in live
        and nodepool.NodePoolSpec.model_validate(live[pool.name]["spec"]) != pool.spec
    )
