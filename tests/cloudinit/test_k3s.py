import dataclasses

import pytest
import yaml

from cloudinit.examples import GIB, master, worker
from hk3s_cloudinit import k3s
from hk3s_data.k3s import (
    DEFAULT_IMAGE,
    DEFAULT_VERSION,
    IMAGES,
    REFUSALS,
    K3sVersion,
    RegistrySupport,
    refusal,
    registry_support,
    registry_wildcard,
    reserved,
    unsupported_reason,
)


def version(text: str) -> K3sVersion:
    return K3sVersion.parse(text)


def test_versions_are_ordered_with_candidates_before_releases() -> None:
    texts = [
        "v1.34.9+k3s1",
        "v1.36.5-rc1+k3s1",
        "v1.36.5-rc2+k3s1",
        "v1.36.5+k3s1",
        "v1.36.5+k3s2",
        "v1.36.10+k3s1",
    ]

    assert [str(item) for item in sorted(map(version, reversed(texts)))] == texts


@pytest.mark.parametrize("text", ["1.36.5+k3s1", "v1.36.5", "v1.36+k3s1", "v1.36.5+rke2r1", ""])
def test_what_is_no_k3s_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a k3s version"):
        version(text)


@pytest.mark.parametrize(
    ("text", "support", "wildcard"),
    [
        ("v1.26.4+k3s1", RegistrySupport.NONE, False),
        ("v1.26.13+k3s1", RegistrySupport.EXPERIMENTAL, False),
        ("v1.26.15+k3s1", RegistrySupport.EXPERIMENTAL, True),
        ("v1.25.99+k3s1", RegistrySupport.NONE, False),
        ("v1.29.0+k3s1", RegistrySupport.NONE, False),
        ("v1.29.1+k3s1", RegistrySupport.EXPERIMENTAL, False),
        ("v1.29.3+k3s1", RegistrySupport.EXPERIMENTAL, True),
        ("v1.29.12+k3s1", RegistrySupport.STABLE, True),
        ("v1.30.0+k3s1", RegistrySupport.EXPERIMENTAL, True),
        ("v1.31.3+k3s1", RegistrySupport.EXPERIMENTAL, True),
        ("v1.31.4+k3s1", RegistrySupport.STABLE, True),
        (DEFAULT_VERSION, RegistrySupport.STABLE, True),
    ],
)
def test_the_embedded_registry_by_version(
    text: str, support: RegistrySupport, *, wildcard: bool
) -> None:
    assert registry_support(version(text)) is support
    assert registry_wildcard(version(text)) is wildcard


@pytest.mark.parametrize("text", ["v1.31.14+k3s1", "v1.34.2+k3s1", "v1.35.0+k3s1", DEFAULT_VERSION])
def test_supported_versions(text: str) -> None:
    assert unsupported_reason(version(text)) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("v1.34.1+k3s1", "v1.34.2+k3s1"), ("v1.30.8+k3s1", "v1.31.14+k3s1")],
)
def test_an_unsupported_version_is_told_what_to_take(text: str, wanted: str) -> None:
    reason = unsupported_reason(version(text))

    assert reason is not None
    assert wanted in reason


def test_cilium_is_refused_on_ubuntu_2204_with_choices_that_are_allowed() -> None:
    refused = refusal("cilium", "ubuntu-22.04")

    assert refused is not None
    assert refused.choices
    assert refusal("flannel", "ubuntu-22.04") is None
    assert refusal("cilium", DEFAULT_IMAGE) is None
    assert {row.image for row in REFUSALS} <= set(IMAGES)


def test_the_kubelet_is_told_what_the_planner_counts() -> None:
    params = worker()
    kept = reserved(params.cores, params.memory_bytes)

    arguments = k3s.worker_config(params)["kubelet-arg"]

    assert isinstance(arguments, list)
    values = dict(argument.split("=", 1) for argument in arguments)
    parts = [
        dict(item.split("=") for item in values[key].split(","))
        for key in ("kube-reserved", "system-reserved")
    ]
    eviction = dict(item.split("<") for item in values["eviction-hard"].split(","))
    memory = [part["memory"] for part in parts] + [eviction["memory.available"]]
    assert sum(int(part["cpu"].removesuffix("m")) for part in parts) == kept.cpu_milli
    assert sum(int(text.removesuffix("Mi")) for text in memory) << 20 == kept.memory_bytes


@pytest.mark.parametrize(("cores", "memory"), [(1, 2), (2, 4), (4, 8), (16, 32), (48, 192)])
def test_a_node_keeps_most_of_itself_for_pods(cores: int, memory: int) -> None:
    kept = reserved(cores, memory * GIB)

    assert 150 <= kept.cpu_milli < cores * 1000 * 0.2
    assert kept.memory_bytes < memory * GIB * 0.3
    assert reserved(cores, memory * GIB, control_plane=True).memory_bytes > kept.memory_bytes


def test_pods_are_packed_by_the_default_scheduler() -> None:
    profile = yaml.safe_load(yaml.safe_dump(k3s.scheduler_profile()))["profiles"][0]

    assert profile["schedulerName"] == "default-scheduler"
    fit = profile["pluginConfig"][0]
    assert fit["name"] == "NodeResourcesFit"
    assert fit["args"]["scoringStrategy"]["type"] == "MostAllocated"
    assert k3s.master_config(master())["kube-scheduler-arg"] == [
        "config=/etc/rancher/k3s/scheduler.yaml"
    ]


def test_with_the_default_scheduler_there_is_no_profile() -> None:
    params = dataclasses.replace(master(), scheduler="default")

    assert "kube-scheduler-arg" not in k3s.master_config(params)
    assert k3s.SCHEDULER not in {file.path for file in k3s.kubernetes_files(params)}


def test_cilium_replaces_what_k3s_brings() -> None:
    config = k3s.master_config(dataclasses.replace(master(), cni="cilium"))

    assert config["flannel-backend"] == "none"
    assert config["disable-network-policy"] is True
    assert config["disable-kube-proxy"] is True


def test_the_registry_flag_is_the_masters_alone() -> None:
    assert k3s.master_config(dataclasses.replace(master(), embedded_registry=True))[
        "embedded-registry"
    ]
    assert "embedded-registry" not in k3s.worker_config(
        dataclasses.replace(worker(), embedded_registry=True)
    )


def test_registries_are_listed_where_the_wildcard_is_unknown() -> None:
    assert k3s.registries(DEFAULT_VERSION) == {"mirrors": {"*": {}}}
    mirrors = k3s.registries("v1.29.1+k3s1")["mirrors"]
    assert isinstance(mirrors, dict)
    assert "docker.io" in mirrors
    assert "*" not in mirrors
