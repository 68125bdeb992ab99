"""Pods that compete for volumes, or share them, in one plan."""

from dataclasses import replace

import pytest

from autoscaler.builders import CONFIG, CX23, NOW, elsewhere, node, pod, snapshot
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.model.relations import PodTerm, Relations, Spread
from hk3s_autoscaler.model.selectors import LabelSelector, NodeTerm, Requirement
from hk3s_autoscaler.model.volumes import Claim, Storage, StorageClass, Volume
from hk3s_autoscaler.planning.scale_up import Growth, plan_scale_up
from hk3s_autoscaler.planning.world import World

RWO, RWOP = ("ReadWriteOnce",), ("ReadWriteOncePod",)
LOCATION, HOST = "csi.hetzner.cloud/location", "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
HCLOUD = StorageClass(name="hcloud", provisioner="csi.hetzner.cloud", waits=True)
LOCAL = StorageClass(name="local", provisioner="kubernetes.io/no-provisioner", waits=True)


def within(key: str, *values: str) -> tuple[NodeTerm, ...]:
    return (NodeTerm(expressions=(Requirement(key=key, operator="In", values=values),)),)


def disk(name: str, host: str, size: int = 1) -> Volume:
    return Volume(name=name, terms=within(HOST, host), storage_class="local", modes=RWO, bytes=size)


def unbound(name: str, kind: StorageClass, size: int = 1, modes: tuple[str, ...] = RWO) -> Claim:
    return Claim(key=PodKey("default", name), storage_class=kind.name, modes=modes, bytes=size)


def claiming(name: str, *claims: str, relations: Relations | None = None) -> Pod:
    made = pod(name, cpu="100m")
    spec = replace(made.spec, claims=tuple((claim, claim) for claim in claims))
    return replace(made, spec=spec if relations is None else replace(spec, relations=relations))


def plan(
    *pods: Pod,
    claims: tuple[Claim, ...],
    volumes: tuple[Volume, ...] = (),
    nodes: tuple[Node, ...] = (),
    locations: tuple[str, ...] = ("fsn1", "nbg1"),
    limits: tuple[tuple[str, str, int], ...] = (),
) -> Growth:
    storage = Storage(claims=claims, volumes=volumes, classes=(HCLOUD, LOCAL), limits=limits)
    sold = [elsewhere(CX23, location) for location in locations]
    world = snapshot(pods=pods, nodes=nodes, offerings=sold, storage=storage)
    return plan_scale_up(World(snapshot=world, config=CONFIG, now=NOW), doomed=())


def served(growth: Growth) -> dict[str, str]:
    return {report.pod.name: report.target for report in growth.pods if report.target}


def test_one_disk_serves_one_claim() -> None:
    growth = plan(
        claiming("a", "of-a"),
        claiming("b", "of-b"),
        claims=(unbound("of-a", LOCAL), unbound("of-b", LOCAL)),
        volumes=(disk("d", "n-1"),),
        nodes=(node(name="n-1"),),
    )

    assert list(served(growth).values()) == ["n-1"]


def test_small_claims_leave_the_large_disks_to_large_ones() -> None:
    sizes = {"a": 5, "b": 1, "c": 1}
    claims = tuple(unbound(f"of-{name}", LOCAL, size) for name, size in sizes.items())
    growth = plan(
        *(claiming(name, f"of-{name}") for name in sizes),
        claims=claims,
        volumes=(disk("large", "n-1", 5), disk("small", "n-1", 1)),
        nodes=(node(name="n-1"),),
    )

    assert len(served(growth)) == 2


def test_two_claims_of_one_pod_need_two_disks_of_one_node() -> None:
    claims = (unbound("x", LOCAL), unbound("y", LOCAL))
    nodes = (node(name="n-1"), node(name="n-2"))
    apart = (disk("d", "n-1"), disk("e", "n-2"))
    together = (disk("d", "n-2"), disk("e", "n-2"))

    assert not served(plan(claiming("a", "x", "y"), claims=claims, volumes=apart, nodes=nodes))
    growth = plan(claiming("a", "x", "y"), claims=claims, volumes=together, nodes=nodes)
    assert served(growth) == {"a": "n-2"}


def test_pods_that_share_a_volume_to_be_made_go_to_one_location() -> None:
    apart = Relations(
        spread=(
            Spread(
                topology_key=HOST,
                max_skew=1,
                selector=LabelSelector(
                    requirements=(Requirement(key="app", operator="Exists", values=()),)
                ),
            ),
        )
    )
    pods = [
        replace(claiming(name, "data", relations=apart), labels=(("app", "x"),)) for name in "abc"
    ]
    growth = plan(*pods, claims=(unbound("data", HCLOUD),))

    assert len(served(growth)) == 3
    assert len({create.offering.location for create in growth.creates}) == 1


def test_a_claim_for_one_pod_is_reserved_for_one_of_those_that_wait() -> None:
    growth = plan(
        claiming("a", "data"),
        claiming("b", "data"),
        claims=(unbound("data", HCLOUD, modes=RWOP),),
    )

    assert list(served(growth)) == ["a"]


def test_volumes_do_not_narrow_the_domains_of_a_spread() -> None:
    """Nodes elsewhere count, even if the volume cannot be reached from there."""
    even = Relations(
        spread=(
            Spread(
                topology_key=ZONE,
                max_skew=1,
                selector=LabelSelector(
                    requirements=(Requirement(key="app", operator="Exists", values=()),)
                ),
            ),
        )
    )
    here = Volume(
        name="v", terms=within(LOCATION, "fsn1"), driver="csi.hetzner.cloud", storage_class="hcloud"
    )
    volumes = tuple(replace(here, name=f"v{n}", claim=PodKey("default", f"c{n}")) for n in range(3))
    claims = tuple(replace(unbound(f"c{n}", HCLOUD), volume=f"v{n}") for n in range(3))
    far = node(name="n-1")
    far = replace(far, labels=tuple({**dict(far.labels), ZONE: "nbg1"}.items()))
    pods = [
        replace(claiming(f"p{n}", f"c{n}", relations=even), labels=(("app", "x"),))
        for n in range(3)
    ]

    growth = plan(*pods, claims=claims, volumes=volumes, nodes=(far,))

    assert len(served(growth)) == 1


def by_hand(name: str, location: str) -> Volume:
    made = disk(name, "")
    return replace(made, terms=within(LOCATION, location))


def test_a_volume_made_by_hand_is_reached_by_servers_still_to_be_bought() -> None:
    growth = plan(
        claiming("a", "of-a"),
        claims=(unbound("of-a", LOCAL),),
        volumes=(by_hand("v", "nbg1"),),
    )

    assert served(growth) == {"a": "cx23/nbg1"}


def test_who_has_no_place_does_not_keep_a_volume_from_others() -> None:
    lost = claiming("a", "of-a")
    nowhere = replace(lost.spec, node_selector=(("no", "such"),))
    growth = plan(
        replace(lost, spec=nowhere),
        claiming("b", "of-b"),
        claims=(unbound("of-a", LOCAL), unbound("of-b", LOCAL)),
        volumes=(by_hand("v", "nbg1"),),
    )

    assert served(growth) == {"b": "cx23/nbg1"}


def test_a_volume_is_not_left_to_a_pod_whose_other_volume_is_elsewhere() -> None:
    far = replace(by_hand("far", "hel1"), claim=PodKey("default", "of-a-far"))
    bound = replace(unbound("of-a-far", LOCAL), volume="far")
    growth = plan(
        claiming("a", "of-a", "of-a-far"),
        claiming("b", "of-b"),
        claims=(unbound("of-a", LOCAL), unbound("of-b", LOCAL), bound),
        volumes=(by_hand("v", "nbg1"), far),
    )

    assert served(growth) == {"b": "cx23/nbg1"}


def test_a_claim_for_one_pod_is_not_reserved_for_one_that_finds_no_other_volume() -> None:
    growth = plan(
        claiming("a", "data", "large"),
        claiming("b", "data", "small"),
        claims=(
            unbound("data", HCLOUD, modes=RWOP),
            unbound("large", LOCAL, 5),
            unbound("small", LOCAL, 1),
        ),
        volumes=(by_hand("v", "nbg1"),),
    )

    assert served(growth) == {"b": "cx23/nbg1"}


NEAR_NOBODY = Relations(
    affinity=(
        PodTerm(
            topology_key=ZONE,
            selector=LabelSelector(requirements=(Requirement(key="no", operator="Exists"),)),
            namespaces=("default",),
        ),
    )
)


def test_a_claim_for_one_pod_goes_to_another_if_the_first_is_not_served() -> None:
    """What keeps the first one off is a rule about pods, which no place tells by itself."""
    growth = plan(
        claiming("a", "data", relations=NEAR_NOBODY),
        claiming("b", "data"),
        claims=(unbound("data", HCLOUD, modes=RWOP),),
    )

    assert list(served(growth)) == ["b"]


def test_a_claim_leaves_a_large_volume_when_a_small_one_turns_out_to_be_free() -> None:
    """`a` is thought to take the small one at first, but has no place."""
    growth = plan(
        claiming("a", "of-a", relations=NEAR_NOBODY),
        claiming("b", "of-b"),
        claiming("c", "of-c"),
        claims=(unbound("of-a", LOCAL), unbound("of-b", LOCAL), unbound("of-c", LOCAL, 5)),
        volumes=(by_hand("small", "nbg1"), replace(by_hand("large", "nbg1"), bytes=5)),
    )

    assert served(growth) == {"b": "cx23/nbg1", "c": "cx23/nbg1"}


def attached(name: str, location: str) -> tuple[Claim, Volume]:
    volume = Volume(
        name=f"v-{name}",
        terms=within(LOCATION, location),
        storage_class="hcloud",
        modes=RWO,
        bytes=1,
        driver="csi.hetzner.cloud",
        claim=PodKey("default", name),
    )
    return replace(unbound(name, HCLOUD), volume=volume.name), volume


def located(name: str, location: str) -> Node:
    made = node(name=name)
    return replace(made, labels=(*made.labels, (LOCATION, location)))


@pytest.mark.parametrize(("limit", "fitting"), [(3, ["a", "b"]), (2, ["a"]), (1, [])])
def test_a_volume_that_pods_share_is_attached_to_a_node_once(
    limit: int, fitting: list[str]
) -> None:
    """Three volumes for two pods: one for both, and one for each."""
    held = [attached(name, "fsn1") for name in ("shared", "of-a", "of-b")]
    growth = plan(
        claiming("a", "shared", "of-a"),
        claiming("b", "shared", "of-b"),
        claims=tuple(claim for claim, _ in held),
        volumes=tuple(volume for _, volume in held),
        nodes=(located("n-1", "fsn1"),),
        locations=(),
        limits=(("n-1", "csi.hetzner.cloud", limit),),
    )

    assert list(served(growth)) == fitting


@pytest.mark.parametrize(("limit", "fitting"), [(1, ["a"]), (0, [])])
def test_a_volume_of_a_pod_that_runs_there_takes_no_further_place(
    limit: int, fitting: list[str]
) -> None:
    held, volume = attached("shared", "fsn1")
    runs = replace(claiming("r", "shared"), node="n-1", phase="Running")
    growth = plan(
        *([runs] if limit else []),
        claiming("a", "shared"),
        claims=(held,),
        volumes=(volume,),
        nodes=(located("n-1", "fsn1"),),
        locations=(),
        limits=(("n-1", "csi.hetzner.cloud", limit),),
    )

    assert list(served(growth)) == fitting


def test_a_full_node_attaches_no_volume_that_pods_share() -> None:
    (mine, first), (ours, second) = attached("mine", "fsn1"), attached("ours", "fsn1")
    growth = plan(
        replace(claiming("r", "mine"), node="n-1", phase="Running"),
        claiming("a", "ours"),
        claiming("b", "ours"),
        claims=(mine, ours),
        volumes=(first, second),
        nodes=(located("n-1", "fsn1"),),
        locations=(),
        limits=(("n-1", "csi.hetzner.cloud", 1),),
    )

    assert not served(growth)


def test_a_shared_volume_may_be_made_on_a_node_that_says_no_location() -> None:
    """kube-scheduler lets it; nodes of another kind have it only where they say one."""
    growth = plan(
        claiming("a", "data"),
        claiming("b", "data"),
        claims=(unbound("data", HCLOUD),),
        nodes=(node(name="n-1"),),
        locations=(),
    )

    assert served(growth) == {"a": "n-1", "b": "n-1"}
