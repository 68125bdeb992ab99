"""A pool drops a label: its nodes are replaced, those of a pool that stays are not."""

from dataclasses import replace

import pytest

from autoscaler import fakes
from autoscaler.daemon.test_with_planner import POOL, Planned
from hk3s_autoscaler.model.pod import Owner

LABELS = (("disk", "fast"),)


class Labelled(Planned):
    """Nodes register with the label that the pool asked for at first."""

    def _boot(self) -> None:
        super()._boot()
        for name, node in self.cluster.node_objects.items():
            self.cluster.node_objects[name] = replace(node, labels=LABELS)


@pytest.mark.parametrize("wanted", [LABELS, ()])
async def test_a_node_with_a_label_that_was_dropped_is_replaced(
    wanted: tuple[tuple[str, str], ...],
) -> None:
    world = Labelled()
    world.cluster.add(replace(POOL, labels=LABELS))
    owner = Owner(kind="ReplicaSet", name="web", uid="uid-web")
    world.cluster.add(replace(fakes.pod(unschedulable=True), owner=owner))
    await world.live(20)
    (first,) = world.cloud.requests

    world.cluster.add(replace(POOL, labels=wanted))
    await world.live(60)

    drifted = wanted != LABELS
    assert (len(world.cloud.requests) > 1) is drifted
    node = world.cluster.node_objects.get(first.name)
    assert (node is None or node.replacing_since is not None) is drifted
