"""May this pod go there?"""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.builders import (
    CX23,
    daemonset,
    node,
    offering,
    pool,
    resources,
    server,
    spec,
    tainted,
    tolerating,
)
from hk3s_autoscaler.model.pod import Taint, Toleration
from hk3s_autoscaler.model.podspec import ANY_ADDRESS
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import NodeTerm, Requirement
from hk3s_autoscaler.scheduling.place import (
    Place,
    conflicts,
    fits,
    mismatch,
    new_place,
    node_place,
    runs_daemon,
    with_daemons,
)

ANY = ANY_ADDRESS
ROOM = resources(cpu="2", memory="4Gi", pods=10)


def place(**changes: Any) -> Place:  # noqa: ANN401 - the facts themselves check it
    made = Place(name="n", labels={"zone": "fsn1"}, taints=(), room=ROOM)
    return replace(made, **changes)


def test_a_pod_fits_up_to_the_last_milli() -> None:
    assert fits(spec(cpu="2"), place())
    assert not fits(spec(cpu="2001m"), place())


def test_rules_are_named_when_they_keep_a_pod_away() -> None:
    zone = Requirement(key="zone", operator="In", values=("nbg1",))

    assert mismatch(spec(), place(taints=(tainted(),))) == (
        "taint dedicated=batch:NoSchedule is not tolerated"
    )
    assert mismatch(spec(node_selector={"zone": "nbg1"}), place()) == (
        "nodeSelector zone=nbg1 does not match"
    )
    assert mismatch(spec(affinity_terms=(NodeTerm(expressions=(zone,)),)), place()) == (
        "required node affinity does not match"
    )
    assert mismatch(spec(tolerations=(tolerating(tainted()),)), place(taints=(tainted(),))) == ""


def test_any_term_of_the_affinity_is_enough_and_none_is_never() -> None:
    here = NodeTerm(expressions=(Requirement(key="zone", operator="In", values=("fsn1",)),))
    away = NodeTerm(expressions=(Requirement(key="zone", operator="In", values=("nbg1",)),))

    assert fits(spec(affinity_terms=(away, here)), place())
    assert not fits(spec(affinity_terms=()), place())


@pytest.mark.parametrize(
    ("wanted", "taken", "expected"),
    [
        ((ANY, "TCP", 80), (ANY, "TCP", 80), True),
        (("10.0.0.1", "TCP", 80), (ANY, "TCP", 80), True),
        (("10.0.0.1", "TCP", 80), ("10.0.0.2", "TCP", 80), False),
        ((ANY, "UDP", 80), (ANY, "TCP", 80), False),
        ((ANY, "TCP", 81), (ANY, "TCP", 80), False),
    ],
)
def test_a_host_port_is_taken_once(
    wanted: tuple[str, str, int], taken: tuple[str, str, int], *, expected: bool
) -> None:
    assert conflicts([wanted], [taken]) is expected


def test_a_new_server_has_the_labels_and_taints_of_its_pool_and_place() -> None:
    workers = pool(labels=(("disk", "ssd"),), taints=(tainted(),))
    arm = offering("cax11", "hel1", architecture="arm")

    made = new_place(workers, arm, name="new", allocatable=arm.allocatable)

    assert made.taints == (tainted(),)
    assert made.labels == {
        "kubernetes.io/arch": "arm64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": "new",
        "node.kubernetes.io/instance-type": "cax11",
        "topology.kubernetes.io/region": "hel1",
        "topology.kubernetes.io/zone": "hel1",
        "csi.hetzner.cloud/location": "hel1",
        "instance.hetzner.cloud/provided-by": "cloud",
        "disk": "ssd",
        "hk3s.dev/pool": "workers",
    }


def test_a_cordoned_node_takes_only_who_tolerates_that() -> None:
    cordoned = node_place(node(server(), unschedulable=True), room=ROOM)
    tolerant = Toleration(key="node.kubernetes.io/unschedulable", operator="Exists")

    assert not fits(spec(), cordoned)
    assert fits(spec(tolerations=(tolerant,)), cordoned)


def test_daemonsets_take_room_and_ports_where_they_run() -> None:
    agent = daemonset(cpu="200m", memory="1Gi", host_ports=((ANY, "TCP", 9100),))
    picky = daemonset("picky", cpu="1", node_selector={"zone": "nbg1"})

    left = with_daemons(place(), (agent, picky))

    assert left.room == ROOM - Resources(cpu_milli=200, memory_bytes=1 << 30, pods=1)
    assert left.ports == {(ANY, "TCP", 9100)}


def test_a_daemonset_runs_on_young_nodes_and_not_on_foreign_taints() -> None:
    not_ready = Taint(key="node.kubernetes.io/not-ready", effect="NoExecute")

    assert runs_daemon(daemonset(), place(taints=(not_ready,)))
    assert not runs_daemon(daemonset(), place(taints=(tainted(),)))


def test_the_offering_decides_the_room() -> None:
    made = new_place(pool(), CX23, name="new", allocatable=CX23.allocatable)

    assert fits(spec(cpu="1900m", memory="3Gi"), made)
    assert not fits(spec(cpu="1901m", memory="3Gi"), made)
