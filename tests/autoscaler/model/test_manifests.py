"""Workloads as people write them."""

import json
from datetime import datetime

from autoscaler.builders import NOW
from hk3s_autoscaler.model.manifests import Workload, objects
from hk3s_autoscaler.model.manifests import read as read_objects
from hk3s_findings.located import values


def read(text: str, now: datetime) -> Workload:
    return read_objects(objects(values(text)), now)


TEMPLATE = """
  template:
    spec:
      containers: [{name: c, resources: {requests: {cpu: 500m}}}]
"""


def test_replicas_become_pods() -> None:
    text = (
        "kind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  replicas: 3" + TEMPLATE
    )

    pods = read(text, NOW).pods

    assert [str(pod.key) for pod in pods] == ["shop/web-0", "shop/web-1", "shop/web-2"]
    assert {pod.spec.requests.cpu_milli for pod in pods} == {500}
    assert {pod.unschedulable_since for pod in pods} == {NOW}


def test_one_replica_is_the_default_and_none_is_none() -> None:
    one = read(f"kind: StatefulSet\nmetadata: {{name: db}}\nspec:{TEMPLATE}", NOW)
    none = read(f"kind: ReplicaSet\nmetadata: {{name: db}}\nspec:\n  replicas: 0{TEMPLATE}", NOW)

    assert len(one.pods) == 1
    assert none.pods == ()


def test_a_job_runs_as_many_pods_as_it_may_at_once() -> None:
    def job(completions: int) -> str:
        head = "kind: Job\nmetadata: {name: j}\nspec:\n  parallelism: 5\n"
        return f"{head}  completions: {completions}{TEMPLATE}"

    assert len(read(job(3), NOW).pods) == 3
    assert len(read(job(9), NOW).pods) == 5


def test_a_daemonset_is_overhead_and_other_kinds_are_passed_over() -> None:
    text = f"kind: DaemonSet\nmetadata: {{name: agent}}\nspec:{TEMPLATE}---\nkind: Namespace\n"

    workload = read(text, NOW)

    assert workload.pods == ()
    assert [str(d.key) for d in workload.daemonsets] == ["default/agent"]
    assert workload.problems == ()


def test_lists_are_opened_and_pods_that_ended_or_belong_to_a_node_are_left_out() -> None:
    def pod(name: str, phase: str = "Pending", owner: str = "ReplicaSet") -> dict[str, object]:
        return {
            "kind": "Pod",
            "metadata": {"name": name, "ownerReferences": [{"kind": owner}]},
            "spec": {"containers": []},
            "status": {"phase": phase},
        }

    items = [pod("a"), pod("b", "Succeeded"), pod("c", owner="DaemonSet"), pod("d", "Running")]
    text = json.dumps({"kind": "List", "items": [*items, {"kind": "PodList", "items": [pod("e")]}]})

    assert [pod.key.name for pod in read(text, NOW).pods] == ["a", "d", "e"]


def test_items_of_a_typed_list_need_no_kind() -> None:
    text = json.dumps(
        {"kind": "PodList", "items": [{"metadata": {"name": "a"}, "spec": {"containers": []}}]}
    )

    assert len(read(text, NOW).pods) == 1


def test_all_problems_are_told_with_their_place() -> None:
    text = (
        "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: many}\n"
        "---\nkind: Pod\nmetadata: {name: p}\nspec: {containers: nginx}\n"
        "---\njust text\n"
        "---\nkind: List\nitems: {}\n"
    )

    assert [
        (problem.place.document, problem.place.path, problem.place.name, problem.cause)
        for problem in read(text, NOW).problems
    ] == [
        (0, (), "Deployment default/web", "spec.replicas: must be a number from 0 to 100000"),
        (1, (), "Pod default/p", "containers: must be a list"),
        (2, (), "", "is not an object (a list holds `items`)"),
        (3, ("items",), "List", "is not an object (a list holds `items`)"),
    ]
