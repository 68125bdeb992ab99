from dataclasses import replace

from autoscaler import fakes
from hk3s_autoscaler.adapters.sharing import SharedPods
from hk3s_autoscaler.model.pod import Owner, Pod


def web(number: int) -> Pod:
    pod = fakes.pod(f"web-{number}")
    labels = (("app", "web"), ("tier", "front"))
    return replace(pod, labels=labels, owner=Owner(kind="ReplicaSet", name="web", uid="1"))


def test_pods_of_a_workload_share_what_is_equal_and_stay_what_they_are() -> None:
    pods: dict[str, Pod] = {}
    shared = SharedPods(pods)

    first, second = shared.share(web(1)), shared.share(web(2))

    assert (first, second) == (web(1), web(2))
    assert first.spec is second.spec
    assert first.labels is second.labels
    assert first.owner is second.owner


def test_what_no_pod_has_any_more_is_forgotten() -> None:
    pods: dict[str, Pod] = {}
    shared = SharedPods(pods)

    for number in range(10_000):
        job = replace(web(number), labels=(("job", str(number)),))
        pods["job"] = shared.share(job)

    assert len(shared._known) < 2500
    assert shared.share(web(1)).spec is pods["job"].spec
