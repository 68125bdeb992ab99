"""What the watches make of what they hear."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from autoscaler.fakes import ManualClock
from hk3s_autoscaler.adapters.watches import Watches
from hk3s_kube import objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import ChangeKind
from kube.fakes import kubeconfig
from kube.fakes import pod as pod_manifest

OBJECTS = Path(__file__).parent / "objects"


class Heard:
    def __init__(self, kube: Kube) -> None:
        self.kinds: list[str] = []
        self.watches = Watches(
            kube,
            cluster="demo",
            clock=ManualClock(),
            chance=random.random,
            listener=lambda change: self.kinds.append(change.kind),
        )

    def node(self, change: ChangeKind = "MODIFIED", **allocatable: str) -> None:
        manifest = json.loads((OBJECTS / "node.json").read_text())
        manifest["status"]["allocatable"] |= allocatable
        self.watches._on_node(change, msgspec.convert(manifest, objects.Node))

    def pod(self, name: str, change: ChangeKind = "ADDED", **labels: str) -> None:
        manifest = pod_manifest(name, 1)
        manifest["metadata"] |= {"labels": labels, "creationTimestamp": "2026-11-23T12:00:00Z"}
        self.watches._on_pod(change, msgspec.convert(manifest, objects.Pod))

    def budget(self, **labels: str) -> None:
        manifest = {
            "metadata": {"namespace": "default", "name": "web", "resourceVersion": "1"},
            "spec": {"selector": {"matchLabels": labels}},
            "status": {"disruptionsAllowed": 1},
        }
        item = msgspec.convert(manifest, objects.PodDisruptionBudget)
        self.watches._budget_watch._put(item)

    def covered(self) -> list[str]:
        (budget,) = self.watches.budgets()
        return sorted(key.name for key in budget.pods)


@pytest.fixture
async def heard() -> Heard:
    kube = await Kube.from_kubeconfig(kubeconfig("http://127.0.0.1:1"))
    heard = Heard(kube)
    await kube.close()
    return heard


async def test_a_node_that_says_the_same_again_is_no_news(heard: Heard) -> None:
    heard.node("ADDED")
    heard.node()
    heard.node(cpu="1900m")
    heard.node("DELETED")

    assert heard.kinds == ["nodes"] * 3
    assert heard.watches.nodes() == ()


async def test_one_unreadable_object_does_not_stop_the_watch(heard: Heard) -> None:
    heard.node("ADDED")
    heard.node(cpu="much")
    assert heard.watches.nodes() == ()

    heard.node(cpu="2")
    assert heard.watches.nodes()[0].allocatable.cpu_milli == 2000


async def test_nothing_is_synced_before_the_first_list(heard: Heard) -> None:
    assert not heard.watches.synced()
    assert heard.watches.oldest_contact() == float("-inf")


async def test_budgets_follow_pods_and_their_labels(heard: Heard) -> None:
    heard.budget(app="web")
    heard.pod("a", app="web")
    heard.pod("b", app="db")
    assert heard.covered() == ["a"]

    unchanged = heard.watches.budgets()
    heard.pod("b", "MODIFIED", app="db")
    assert heard.watches.budgets() is unchanged

    heard.pod("b", "MODIFIED", app="web")
    assert heard.covered() == ["a", "b"]
    heard.pod("a", "DELETED", app="web")
    assert heard.covered() == ["b"]
