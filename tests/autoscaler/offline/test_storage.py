"""`plan -f` with volumes: claims count if they are described, and are named if they are not."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from hk3s_autoscaler.offline.plan import Answer, plan_command_core
from hk3s_autoscaler.offline.question import OfflineError, Question
from hk3s_autoscaler.planning.reasons import Code

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def claim(name: str = "data", **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": wanted | spec,
    }


def volume(location: str) -> dict[str, Any]:
    here = {"key": "csi.hetzner.cloud/location", "operator": "In", "values": [location]}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": "pv-1"},
        "spec": {
            "csi": {"driver": "csi.hetzner.cloud", "volumeHandle": "1"},
            "claimRef": {"namespace": "shop", "name": "data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def pod(name: str = "db", claims: tuple[str, ...] = ("data",)) -> dict[str, Any]:
    volumes = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
    requests = {"cpu": "100m", "memory": "64Mi"}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [{"resources": {"requests": requests}}], "volumes": volumes},
    }


def answer(folder: Path, *documents: dict[str, Any], locations: tuple[str, ...] = ()) -> Answer:
    path = folder / "workload.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    asked = Question(workload=path, locations=locations, architectures=("amd64",))
    ticks = count(0.0, 0.25)
    return plan_command_core(
        replace(asked, ignore_stock=True), now=NOW, monotonic=lambda: next(ticks)
    )


def reasons(found: Answer) -> list[tuple[Code, str]]:
    return [(one.reason, one.message) for one in found.unschedulable]


def test_a_claim_that_waits_for_its_pod_is_served_anywhere(tmp_path: Path) -> None:
    found = answer(tmp_path, pod(), claim())

    assert found.unschedulable == ()
    assert [line.count for line in found.servers] == [1]


def test_a_claim_that_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    found = answer(tmp_path, pod())

    words = "cannot be judged yet: claim shop/data is not in the file"
    assert reasons(found) == [(Code.UNSUPPORTED_CONSTRAINT, words)]


def test_a_class_that_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    fast = claim(storageClassName="fast")
    made = {"kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "example.com/fast"}
    waiting = {**made, "volumeBindingMode": "WaitForFirstConsumer"}

    (_, words), *_ = reasons(answer(tmp_path, pod(), fast))

    assert words.endswith("claim shop/data is of StorageClass fast, which is not in the file")
    assert reasons(answer(tmp_path, pod(), fast, waiting)) == []


def test_a_server_is_bought_where_the_volume_is(tmp_path: Path) -> None:
    for location in ("nbg1", "hel1"):
        found = answer(tmp_path, pod(), claim(volumeName="pv-1"), volume(location))

        assert [line.location for line in found.servers] == [location]


def test_a_volume_elsewhere_keeps_its_pod_waiting(tmp_path: Path) -> None:
    bound = claim(volumeName="pv-1")
    found = answer(tmp_path, pod(), bound, volume("hel1"), locations=("fsn1",))

    assert [one.pod for one in found.unschedulable] == ["shop/db"]


def test_a_bound_volume_that_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    (_, words), *_ = reasons(answer(tmp_path, pod(), claim(volumeName="pv-1")))

    assert words.endswith("bound to volume pv-1, which is not in the file")


def stateful_set(replicas: int) -> dict[str, Any]:
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": pod()["spec"]["containers"]}},
            "volumeClaimTemplates": [claim()],
        },
    }


@pytest.mark.parametrize("claim_first", [True, False])
def test_a_pod_of_a_stateful_set_goes_where_its_volume_is(
    tmp_path: Path, *, claim_first: bool
) -> None:
    bound = claim("data-db-0", volumeName="pv-1")
    both = (bound, stateful_set(1)) if claim_first else (stateful_set(1), bound)

    found = answer(tmp_path, *both, volume("hel1"))

    assert [line.location for line in found.servers] == ["hel1"]


def test_every_pod_of_a_stateful_set_has_a_volume_and_a_server_takes_sixteen(
    tmp_path: Path,
) -> None:
    found = answer(tmp_path, stateful_set(17))

    assert found.unschedulable == ()
    assert max(line.pods for line in found.servers) <= 16
    assert sum(line.count for line in found.servers) == 2


def test_an_ephemeral_volume_brings_its_claim_along(tmp_path: Path) -> None:
    scratch = pod(claims=())
    scratch["spec"]["volumes"] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]

    assert answer(tmp_path, scratch).unschedulable == ()


def test_a_claim_that_cannot_be_read_is_a_problem_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="PersistentVolumeClaim shop/data"):
        answer(tmp_path, pod(), claim(accessModes="ReadWriteOnce"))


def test_a_claim_that_wants_no_class_gets_no_volume_made(tmp_path: Path) -> None:
    found = answer(tmp_path, pod(), claim(storageClassName=""))

    assert found.servers == ()
    assert "claim shop/data has no StorageClass" in found.unschedulable[0].message
