import pytest
import yaml
from structlog.testing import capture_logs

from hk3s_lab.machines import k3s_config, node_object
from hk3s_lab.machines.k3s_config import NETWORK_DROP_IN, PATH, AgentConfig
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.userdata import File
from lab.machines import sites

WORKER = {
    "server": "https://10.4.0.3:6443",
    "token": "abcdef.0123456789abcdef",
    "node-name": "demo",
    "node-label": ["a=b"],
    "node-taint": ["dedicated=batch:NoSchedule"],
    "kubelet-arg": ["cloud-provider=external", "max-pods=50"],
}
NETWORK = {"node-ip": "10.4.1.1", "kubelet-arg+": ["provider-id=hcloud://7"]}


def files(config: object, mode: int = 0o600) -> dict[str, File]:
    return {
        PATH: File(content=yaml.safe_dump(config).encode(), mode=mode),
        NETWORK_DROP_IN: File(content=yaml.safe_dump(NETWORK).encode(), mode=0o600),
    }


def agent(**changes: object) -> AgentConfig:
    config = k3s_config.load(files({**WORKER, **changes}), server=False)
    return k3s_config.agent_config(config, server=False)


def test_drop_ins_replace_and_append() -> None:
    told = agent()
    assert told.node_ip == "10.4.1.1"
    assert told.kubelet == {
        "cloud-provider": "external",
        "max-pods": "50",
        "provider-id": "hcloud://7",
    }
    assert told.taints == ({"key": "dedicated", "value": "batch", "effect": "NoSchedule"},)
    assert "abcdef" not in repr(told)


def test_an_agent_exits_on_a_key_that_it_does_not_know() -> None:
    with pytest.raises(StepError, match=r"bad-config.*embedded-registry"):
        agent(**{"embedded-registry": True})


def test_a_server_skips_a_key_that_it_does_not_know() -> None:
    with capture_logs() as logs:
        config = k3s_config.load(files({**WORKER, "no-such-flag": 1}), server=True)
    assert "no-such-flag" not in config
    assert {"no-such-flag", "server"} == {
        log["key"] for log in logs if log["event"] == "k3s.unknown_key_skipped"
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"token": 3},
        {"token": ""},
        {"node-name": None},
        {"server": None},
        {"node-label": [1]},
        {"node-label": ["no-value"]},
        {"node-taint": ["a=b"]},
        {"node-taint": ["a=b:Sometimes"]},
        {"kubelet-arg": ["flag"]},
    ],
)
def test_values_of_the_wrong_form_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StepError, match="bad-config"):
        agent(**changes)


def test_the_file_with_the_token_must_be_private() -> None:
    with pytest.raises(StepError, match="0600"):
        k3s_config.load(files(WORKER, mode=0o644), server=False)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"flannel-backend": "geneve"}, "flannel-backend"),
        ({"disable": ["nothing"]}, "disable names"),
        ({"cluster-cidr": ["10.42.0.0/16", "fd00::/56"]}, "IPv4 alone"),
        ({"kube-apiserver-arg": ["flag"]}, "name=value"),
    ],
)
def test_a_server_refuses_what_it_cannot_carry_out(config: dict[str, object], reason: str) -> None:
    loaded = k3s_config.load(files({**WORKER, **config}), server=True)
    with pytest.raises(StepError, match=reason):
        k3s_config.server_config(loaded)


def test_a_node_has_its_labels_taints_and_provider() -> None:
    node = node_object.node(sites.facts(7, "demo", "10.4.1.1"), agent())
    assert node["metadata"]["labels"]["kubernetes.io/arch"] == "amd64"
    assert node["metadata"]["labels"]["a"] == "b"
    assert node["spec"]["providerID"] == "hcloud://7"
    assert [taint["key"] for taint in node["spec"]["taints"]] == [
        "dedicated",
        "node.cloudprovider.kubernetes.io/uninitialized",
    ]


def test_without_an_external_cloud_provider_nothing_is_uninitialized() -> None:
    node = node_object.node(sites.facts(7, "demo", "10.4.1.1"), agent(**{"kubelet-arg": []}))
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["dedicated"]


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("hk3s.dev/pool", True),
        ("node.kubernetes.io/pool", True),
        ("x.kubelet.kubernetes.io/y", True),
        ("topology.kubernetes.io/zone", True),
        ("node-role.kubernetes.io/worker", False),
        ("node-restriction.kubernetes.io/x", False),
        ("kubernetes.io/pool", False),
        ("k8s.io/x", False),
    ],
)
def test_labels_that_a_kubelet_may_set_on_itself(label: str, *, allowed: bool) -> None:
    facts, told = sites.facts(7, "demo", "10.4.1.1"), agent(**{"node-label": [f"{label}=x"]})
    if allowed:
        node_object.node(facts, told)
    else:
        with pytest.raises(StepError, match="label-forbidden"):
            node_object.node(facts, told)


def test_allocatable_is_what_reservations_and_eviction_leave() -> None:
    facts = sites.facts(7, "demo", "10.4.1.1")
    whole = node_object.capacity(facts, {})
    left = node_object.allocatable(
        whole,
        {
            "kube-reserved": "cpu=100m,memory=300Mi",
            "system-reserved": "cpu=1,ephemeral-storage=1Gi",
            "eviction-hard": "memory.available<100Mi,nodefs.available<10%",
        },
    )
    assert whole.memory < facts.memory_bytes
    assert left.cpu_milli == whole.cpu_milli - 1100
    assert left.memory == whole.memory - (400 << 20)
    assert left.disk == whole.disk - (1 << 30) - whole.disk // 10


def test_k3s_own_eviction_default_has_no_memory_threshold() -> None:
    whole = node_object.capacity(sites.facts(7, "demo", "10.4.1.1"), {})
    assert node_object.allocatable(whole, {}).memory == whole.memory


@pytest.mark.parametrize(
    "kubelet", [{"kube-reserved": "cpu"}, {"kube-reserved": "cpu=x"}, {"kube-reserved": "cpu=64"}]
)
def test_reservations_that_make_no_sense_are_refused(kubelet: dict[str, str]) -> None:
    whole = node_object.capacity(sites.facts(7, "demo", "10.4.1.1"), {})
    with pytest.raises(StepError, match="bad-config"):
        node_object.allocatable(whole, kubelet)
