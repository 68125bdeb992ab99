"""Claims as rules about nodes."""

from dataclasses import replace

import pytest

from autoscaler.builders import pod
from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.model.selectors import NodeTerm, Requirement
from hk3s_autoscaler.model.volumes import Claim, Storage, StorageClass, Volume
from hk3s_autoscaler.scheduling.volumes import ATTACHABLE, Volumes, both

DRIVER = "csi.hetzner.cloud"
KEY = PodKey("default", "data")


def within(location: str, key: str = "csi.hetzner.cloud/location") -> NodeTerm:
    return NodeTerm(expressions=(Requirement(key=key, operator="In", values=(location,)),))


HCLOUD = StorageClass(name="hcloud", provisioner=DRIVER, waits=True)
LOCAL = StorageClass(name="local", provisioner="kubernetes.io/no-provisioner", waits=True)
BOUND = Claim(key=KEY, volume="pv-1", storage_class="hcloud", modes=("ReadWriteOnce",))
VOLUME = Volume(name="pv-1", terms=(within("fsn1"),), driver=DRIVER, claim=KEY)


def claiming(name: str = "p", *claims: str) -> Pod:
    made = pod(name)
    wanted = tuple((claim, claim) for claim in claims or ("data",))
    return replace(made, spec=replace(made.spec, claims=wanted))


def resolved(storage: Storage, users: tuple[Pod, ...] = ()) -> Pod:
    return Volumes(storage=storage, users=users).resolved(claiming())


def test_a_bound_volume_ties_its_pod_to_where_it_is_and_is_attached() -> None:
    spec = resolved(Storage(claims=(BOUND,), volumes=(VOLUME,), classes=(HCLOUD,))).spec

    assert spec.volume_terms == (within("fsn1"),)
    assert spec.requests.extended == ((f"{ATTACHABLE}{DRIVER}", 1),)
    assert spec.unsupported == ()


def test_a_volume_that_waits_for_its_first_pod_may_be_made_anywhere() -> None:
    claim = replace(BOUND, volume="")

    spec = resolved(Storage(claims=(claim,), classes=(HCLOUD,))).spec

    assert spec.volume_terms is None
    assert spec.requests.extended == ((f"{ATTACHABLE}{DRIVER}", 1),)


def test_allowed_topologies_and_a_chosen_node_bind() -> None:
    claim = replace(BOUND, volume="")
    narrow = replace(HCLOUD, terms=(within("hel1"),))
    chosen = replace(claim, node="n-1")

    somewhere = resolved(Storage(claims=(claim,), classes=(narrow,))).spec
    there = resolved(Storage(claims=(chosen,), classes=(HCLOUD,))).spec

    assert somewhere.volume_terms == (within("hel1"),)
    assert there.volume_terms is not None
    assert there.volume_terms[0].matches("n-1", {})
    assert not there.volume_terms[0].matches("n-2", {})


def test_local_volumes_that_are_free_and_large_enough_are_the_choice() -> None:
    claim = replace(BOUND, volume="", storage_class="local", bytes=10)
    free = Volume(
        name="a",
        terms=(within("n-1", "kubernetes.io/hostname"),),
        storage_class="local",
        modes=("ReadWriteOnce",),
        bytes=10,
    )
    small = replace(free, name="b", bytes=9, terms=(within("n-2"),))
    taken = replace(free, name="c", claim=PodKey("default", "other"), terms=(within("n-3"),))

    spec = resolved(Storage(claims=(claim,), volumes=(free, small, taken), classes=(LOCAL,))).spec

    assert spec.volume_terms == free.terms
    assert spec.requests.extended == ()


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        pytest.param(Storage(), "does not exist", id="no claim"),
        pytest.param(Storage(claims=(BOUND,)), "which is gone", id="volume lost"),
        pytest.param(
            Storage(claims=(replace(BOUND, volume=""),)), "no StorageClass", id="no class"
        ),
        pytest.param(
            Storage(claims=(replace(BOUND, volume=""),), classes=(replace(HCLOUD, waits=False),)),
            "is not bound yet",
            id="immediate",
        ),
        pytest.param(
            Storage(claims=(replace(BOUND, volume="", storage_class="local"),), classes=(LOCAL,)),
            "finds no volume",
            id="no local volume",
        ),
    ],
)
def test_what_keeps_a_pod_off_every_node_is_named(storage: Storage, words: str) -> None:
    (problem,) = resolved(storage).spec.unsupported

    assert words in problem


def test_a_claim_for_one_pod_is_for_one_pod() -> None:
    claim = replace(BOUND, modes=("ReadWriteOncePod",))
    storage = Storage(claims=(claim,), volumes=(VOLUME,), classes=(HCLOUD,))

    assert resolved(storage).spec.unsupported == ()
    assert resolved(storage, users=(claiming("q"),)).spec.unsupported


def test_a_volume_that_two_pods_share_is_attached_once() -> None:
    volumes = Volumes(storage=Storage(claims=(BOUND,), volumes=(VOLUME,)))

    assert volumes.attached([claiming("p"), claiming("q")]) == {DRIVER: 1}


def test_alternatives_of_both_must_match_and_an_empty_term_matches_nothing() -> None:
    zone, rack = within("fsn1", "zone"), within("r1", "rack")

    joined = both((zone, NodeTerm()), (rack,))

    assert joined is not None
    assert len(joined) == 1
    assert joined[0].matches("n", {"zone": "fsn1", "rack": "r1"})
    assert not joined[0].matches("n", {"zone": "fsn1"})
    assert both(None, (rack,)) == (rack,)
    assert both((zone,), None) == (zone,)
