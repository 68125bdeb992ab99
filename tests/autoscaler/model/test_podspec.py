"""What a pod asks of a node, from the JSON of its spec."""

import pytest

from hk3s_autoscaler.model.pod import Toleration
from hk3s_autoscaler.model.podspec import ANY_ADDRESS, pod_spec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import NodeTerm, Requirement
from hk3s_autoscaler.model.shapes import PodSpecError

MIB = 1 << 20


def container(**requests: str) -> dict[str, object]:
    return {"resources": {"requests": requests}}


def test_containers_add_up() -> None:
    spec = pod_spec({"containers": [container(cpu="100m", memory="64Mi"), container(cpu="1")]})

    assert spec.requests == Resources(cpu_milli=1100, memory_bytes=64 * MIB, pods=1)


def test_an_init_container_counts_where_it_asks_for_more_than_all_containers() -> None:
    spec = pod_spec(
        {
            "initContainers": [container(cpu="2", memory="10Mi")],
            "containers": [container(cpu="500m", memory="64Mi")],
        }
    )

    assert spec.requests == Resources(cpu_milli=2000, memory_bytes=64 * MIB, pods=1)


def test_init_containers_run_one_after_another() -> None:
    spec = pod_spec({"initContainers": [container(cpu="1"), container(cpu="1")], "containers": []})

    assert spec.requests.cpu_milli == 1000


def test_a_sidecar_runs_beside_the_containers_and_later_init_containers() -> None:
    sidecar = {**container(cpu="300m"), "restartPolicy": "Always"}

    beside_containers = pod_spec({"initContainers": [sidecar], "containers": [container(cpu="1")]})
    beside_init = pod_spec({"initContainers": [sidecar, container(cpu="2")], "containers": []})
    after_init = pod_spec({"initContainers": [container(cpu="2"), sidecar], "containers": []})

    assert beside_containers.requests.cpu_milli == 1300
    assert beside_init.requests.cpu_milli == 2300
    assert after_init.requests.cpu_milli == 2000


def test_overhead_comes_on_top_and_pod_level_requests_replace_the_sum() -> None:
    spec = pod_spec(
        {
            "overhead": {"cpu": "50m"},
            "resources": {"requests": {"cpu": "750m"}},
            "containers": [container(cpu="1", memory="64Mi")],
        }
    )

    assert spec.requests == Resources(cpu_milli=800, memory_bytes=64 * MIB, pods=1)


def test_a_limit_stands_in_for_a_missing_request() -> None:
    spec = pod_spec(
        {"containers": [{"resources": {"limits": {"cpu": "2"}, "requests": {"memory": "1Mi"}}}]}
    )

    assert spec.requests == Resources(cpu_milli=2000, memory_bytes=MIB, pods=1)


def test_other_resources_are_counted_by_name() -> None:
    spec = pod_spec({"containers": [container(**{"nvidia.com/gpu": "1"}), container(cpu="1")]})

    assert spec.requests.extended == (("nvidia.com/gpu", 1),)


def test_rules_are_read() -> None:
    spec = pod_spec(
        {
            "containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}]}],
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
            "priority": 7,
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "zone", "operator": "In", "values": ["fsn1"]}
                                ]
                            }
                        ]
                    }
                }
            },
        }
    )

    assert spec.node_selector == (("disk", "ssd"),)
    assert spec.host_ports == ((ANY_ADDRESS, "TCP", 8080),)
    assert spec.tolerations == (Toleration(key="a", operator="Exists", effect="NoSchedule"),)
    assert spec.priority == 7
    expression = Requirement(key="zone", operator="In", values=("fsn1",))
    assert spec.affinity_terms == (NodeTerm(expressions=(expression,)),)
    assert spec.unsupported == ()


def test_with_the_hosts_network_every_port_is_a_host_port() -> None:
    spec = pod_spec({"hostNetwork": True, "containers": [{"ports": [{"containerPort": 9100}]}]})

    assert [port for _, _, port in spec.host_ports] == [9100]


def test_an_absent_affinity_matches_all_and_an_empty_one_nothing() -> None:
    required: dict[str, object] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
    }

    assert pod_spec({}).affinity_terms is None
    assert pod_spec({"affinity": {"nodeAffinity": required}}).affinity_terms == ()


def test_a_rule_that_cannot_be_judged_is_named() -> None:
    assert pod_spec({"resourceClaims": [{"name": "gpu"}]}).unsupported == ("resourceClaims",)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(
            {
                "affinity": {
                    "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}
                }
            },
            id="preferred anti-affinity",
        ),
        pytest.param(
            {"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]}, id="spread"
        ),
        pytest.param({"volumes": [{"name": "scratch", "emptyDir": {}}]}, id="emptyDir"),
    ],
)
def test_preferences_do_not_keep_a_pod_from_being_judged(spec: dict[str, object]) -> None:
    assert pod_spec(spec).unsupported == ()


def test_a_nonsensical_value_is_reported_and_not_guessed_at() -> None:
    bad_amount = pod_spec({"containers": [container(cpu="many")]})
    bad_operator = pod_spec({"tolerations": [{"operator": "Near", "key": "a"}]})

    assert bad_amount.unsupported == ("cpu: not a Kubernetes quantity: 'many'",)
    assert bad_operator.unsupported == ("toleration Near",)


def test_a_wrong_shape_is_an_error_that_names_the_field() -> None:
    with pytest.raises(PodSpecError, match="containers: must be a list"):
        pod_spec({"containers": "nginx"})
