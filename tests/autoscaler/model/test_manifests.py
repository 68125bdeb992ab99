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


def test_a_cronjob_is_one_run_of_its_job() -> None:
    def cronjob(suspend: str) -> str:
        inner = TEMPLATE.replace("\n", "\n    ")
        head = "kind: CronJob\nmetadata: {name: night}\nspec:\n"
        return f"{head}  suspend: {suspend}\n  jobTemplate:\n    spec:\n      parallelism: 3{inner}"

    assert [str(pod.key) for pod in read(cronjob("false"), NOW).pods] == [
        "default/night-0",
        "default/night-1",
        "default/night-2",
    ]
    assert read(cronjob("true"), NOW).pods == ()


def test_a_daemonset_is_overhead_and_other_kinds_are_counted() -> None:
    others = "---\nkind: Namespace\n---\nkind: Rollout\n---\nkind: Rollout\n"
    text = f"kind: DaemonSet\nmetadata: {{name: agent}}\nspec:{TEMPLATE}{others}"

    workload = read(text, NOW)

    assert workload.pods == ()
    assert [str(d.key) for d in workload.daemonsets] == ["default/agent"]
    assert workload.passed_over == (("Namespace", 1), ("Rollout", 2))
    assert workload.problems == ()


def test_what_belongs_to_something_that_is_there_counts_once() -> None:
    """As `kubectl get all -o json` has it."""
    containers: dict[str, object] = {"containers": []}

    def item(kind: str, name: str, *owner: str) -> dict[str, object]:
        owners = [{"kind": owner[0], "name": owner[1]}] if owner else []
        return {
            "kind": kind,
            "metadata": {"name": name, "ownerReferences": owners},
            "spec": {"template": {"spec": containers}, **containers},
        }

    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    items = [
        item("Deployment", "web"),
        item("ReplicaSet", "web-1", "Deployment", "web"),
        item("Pod", "web-1-a", "ReplicaSet", "web-1"),
        item("Pod", "alone", "ReplicaSet", "elsewhere"),
        item("Job", "done") | {"status": ended},
        item("Pod", "mirror", "Node", "master"),
    ]

    workload = read(json.dumps({"kind": "List", "items": items}), NOW)

    assert [pod.key.name for pod in workload.pods] == ["web-0", "alone"]
    assert workload.passed_over == (
        ("Job that has ended", 1),
        ("Pod of a Node", 1),
        ("Pod of a ReplicaSet that is priced", 1),
        ("ReplicaSet of a Deployment that is priced", 1),
    )


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

    workload = read(text, NOW)

    assert [pod.key.name for pod in workload.pods] == ["a", "d", "e"]
    assert workload.passed_over == (
        ("Pod of a DaemonSet that is not in the file", 1),
        ("Pod that has ended", 1),
    )


def test_a_kind_that_only_ends_like_a_list_is_an_object() -> None:
    workload = read("kind: AllowList\nmetadata: {name: a}\nspec: {ips: []}\n", NOW)

    assert (workload.passed_over, workload.problems) == ((("AllowList", 1),), ())


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
