"""Asking what would be if workers went: cheaply, and the same as if it were so."""

from dataclasses import replace

from autoscaler.builders import CONFIG, NOW, minutes, node, pod, pool, seconds, server, snapshot
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.candidates import Candidate, candidates
from hk3s_autoscaler.planning.consolidation import in_turn
from hk3s_autoscaler.planning.demand import pending
from hk3s_autoscaler.planning.rehearsal import rehearse
from hk3s_autoscaler.planning.world import World

LONG_AGO = NOW - minutes(24 * 60)


def busy(workers: int, *, marked: int = 0, cpu: str = "500m") -> World:
    """Workers with one pod each, of which the last ones are marked as unneeded."""
    servers = [server(f"s{number:02}", created_at=LONG_AGO) for number in range(workers)]
    nodes = [
        replace(node(s), unneeded_since=NOW - minutes(5) if at >= workers - marked else None)
        for at, s in enumerate(servers)
    ]
    pods = [pod(f"p{s.name}", cpu=cpu, node=s.name) for s in servers]
    facts = snapshot(servers=servers, nodes=nodes, pods=pods, pools=[pool(max_nodes=100)])
    return World(snapshot=facts, config=CONFIG, now=NOW)


def in_order(world: World) -> list[Candidate]:
    return sorted(candidates(world, ()), key=lambda candidate: candidate.name)


def moved(world: World, name: str) -> tuple[Pod, ...]:
    there = world.pods_on(name)
    return tuple(replace(p, node="", phase="Pending", unschedulable_since=NOW) for p in there)


def test_an_imagined_world_is_as_one_that_is_read_anew() -> None:
    real = busy(3)

    imagined = real.without(["s01"], moved(real, "s01"))
    anew = World(snapshot=imagined.snapshot, config=CONFIG, now=NOW)

    assert imagined.pods_by_node == anew.pods_by_node
    assert set(imagined.pods_by_node) == {"s00", "s02"}
    assert [p.key.name for p in pending(imagined)] == ["ps01"]
    assert pending(imagined) == pending(anew)
    assert imagined.shunning == anew.shunning
    assert imagined.workers == anew.workers


def test_without_buying_it_is_told_whether_the_room_that_is_there_is_enough() -> None:
    roomy, full = busy(2, cpu="500m"), busy(2, cpu="1500m")

    assert rehearse(roomy, in_order(roomy)[:1], buy=False).fits
    assert not rehearse(full, in_order(full)[:1], buy=False).fits
    assert not rehearse(full, in_order(full)[:1], buy=False).creates
    assert rehearse(full, in_order(full)[:1]).creates


def test_few_nodes_are_all_looked_at_in_every_loop() -> None:
    few = in_order(busy(24))

    assert in_turn(NOW, few) == {candidate.name for candidate in few}


def test_of_many_nodes_the_first_are_looked_at_always_and_all_in_turn() -> None:
    many = in_order(busy(60))
    turns = [in_turn(NOW + seconds(30 * loop), many) for loop in range(60)]

    assert {len(turn) for turn in turns} == {24}
    assert {candidate.name for candidate in many[:12]} <= frozenset.intersection(*turns)
    assert frozenset.union(*turns) == {candidate.name for candidate in many}
    assert turns == [in_turn(NOW + seconds(30 * loop), many) for loop in range(60)]


def test_what_is_marked_is_looked_at_in_every_loop() -> None:
    many = in_order(busy(60, marked=20))
    marked = {c.name for c in many if c.node.unneeded_since is not None}

    assert len(marked) == 20
    assert all(marked <= in_turn(NOW + seconds(30 * loop), many) for loop in range(20))
