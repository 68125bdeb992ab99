"""The phases of a worker."""

from dataclasses import replace

import pytest

from autoscaler.builders import NOW, minutes, node, seconds, server
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.planning.lifecycle import BLIP, FIRST, LAST, MOVES, Phase, diagram, phase

SERVER = server()
NODE = node(SERVER)
JOINED = NOW - minutes(3)
YOUNG = replace(NODE, created_at=JOINED, ready=False, not_ready_since=JOINED)


@pytest.mark.parametrize(
    ("of", "joined", "expected"),
    [
        (server(status="requested", attached=False), None, Phase.REQUESTED),
        (server(status="off", attached=False), None, Phase.LAUNCHED),
        (server(status="off"), None, Phase.LAUNCHED),
        (server(attached=False), None, Phase.LAUNCHED),
        (SERVER, None, Phase.BOOTING),
        (SERVER, YOUNG, Phase.REGISTERED),
        (SERVER, NODE, Phase.READY),
        (SERVER, replace(NODE, unneeded_since=NOW), Phase.UNNEEDED),
        (SERVER, replace(NODE, unneeded_since=NOW, draining_since=NOW), Phase.DRAINING),
        (None, replace(NODE, draining_since=NOW), Phase.DRAINING),
        (None, NODE, Phase.LOST),
    ],
)
def test_a_phase_follows_from_server_and_node(
    of: Server | None, joined: Node | None, expected: Phase
) -> None:
    assert phase(of, joined, NOW) is expected


def test_a_blip_is_no_loss() -> None:
    silent = replace(NODE, ready=False, not_ready_since=NOW - BLIP)

    assert phase(SERVER, silent, NOW - seconds(1)) is Phase.READY
    assert phase(SERVER, silent, NOW) is Phase.LOST


def test_a_worker_is_something() -> None:
    with pytest.raises(ValueError, match="server or a Node"):
        phase(None, None, NOW)


def test_every_phase_can_be_reached_and_left() -> None:
    reached = set(FIRST)
    while more := {after for before in reached for after in MOVES[before]} - reached:
        reached |= more

    assert reached == set(Phase) == set(MOVES)
    assert all(MOVES[p] or p in LAST for p in Phase)


def test_the_diagram_shows_every_move() -> None:
    drawn = diagram()

    assert drawn.startswith("stateDiagram-v2\n")
    assert drawn.count("-->") == len(FIRST) + len(LAST) + sum(map(len, MOVES.values()))
    assert "    Unneeded --> Draining\n" in drawn
