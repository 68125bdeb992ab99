"""Whatever stands in a workload, it is read or it is a problem of the file; nothing else."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.builders import NOW
from hk3s_autoscaler.model.manifests import objects, read
from hk3s_autoscaler.offline.storage import with_storage

EXAMPLE = Path(__file__).parents[3] / "examples/workload.yaml"
CONTAINERS = [{"name": "c", "resources": {"requests": {"cpu": 1}}, "ports": [{"hostPort": 1}]}]
TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {
        "containers": CONTAINERS,
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "volumes": [
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
            {"name": "p", "persistentVolumeClaim": {"claimName": "data"}},
        ],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "z", "labelSelector": {"matchLabels": {"app": "a"}}}
        ],
    },
}
META = {"name": "a", "ownerReferences": [{"kind": "CronJob", "name": "b"}]}
SOUND = [
    *yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8")),
    {
        "kind": "CronJob",
        "metadata": META,
        "spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}},
    },
    {"kind": "List", "items": [{"kind": "Pod", "metadata": META, **TEMPLATE}]},
    {
        "kind": "Job",
        "metadata": META,
        "spec": {"parallelism": 2, "template": TEMPLATE},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
    },
    {
        "kind": "StatefulSet",
        "metadata": META,
        "spec": {
            "replicas": 2,
            "template": TEMPLATE,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        },
    },
    {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"volumeName": "v"}},
    {
        "kind": "PersistentVolume",
        "metadata": {"name": "v"},
        "spec": {"capacity": {"storage": "1Gi"}, "claimRef": {"name": "data"}},
    },
    {
        "kind": "StorageClass",
        "metadata": {"name": "s"},
        "provisioner": "p",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "a", "values": ["b"]}]}],
    },
]
ODD: tuple[object, ...] = (None, 3, -1, True, 1.5, "x", "", [], {}, [3], ["x", None], {"a": 1})


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    if above:
        yield above
    inner = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else inner:
        yield from places(item, (*above, key))


PLACES = tuple(places(SOUND))


@settings(max_examples=600)
@given(place=st.sampled_from(PLACES), odd=st.sampled_from(ODD))
def test_an_odd_value_anywhere_is_read_or_told(place: tuple[Any, ...], odd: object) -> None:
    documents: Any = copy.deepcopy(SOUND)
    parent = documents
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = odd
    items = tuple(objects(documents))

    workload = read(items, NOW)
    problems = list(workload.problems)
    pods, _ = with_storage(items, workload.pods, problems)

    assert len(pods) == len(workload.pods)
    assert all(problem.cause for problem in problems)


def test_the_values_are_sound_before() -> None:
    items = tuple(objects(SOUND))

    workload = read(items, NOW)
    problems = list(workload.problems)
    with_storage(items, workload.pods, problems)

    assert problems == []
