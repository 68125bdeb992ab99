"""Reasons that a world has to be made for, and that there is none which nothing gives."""

import re
from dataclasses import replace
from pathlib import Path

from autoscaler.builders import CONFIG, CX23, LONG_AGO, NOW, node, pod, pool, server, snapshot
from hk3s_autoscaler.model.nodepool import Disruption
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.relations import PodTerm, Relations
from hk3s_autoscaler.model.selectors import LabelSelector
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code

PRODUCT = Path(__file__).parents[3] / "autoscaler/hk3s_autoscaler"
TESTS = Path(__file__).parents[1]
ZONE = "topology.kubernetes.io/zone"


def nodes(world: Snapshot) -> dict[str, tuple[Code, str]]:
    return {r.node: (r.reason.code, r.reason.message) for r in plan(world, CONFIG, NOW).nodes}


def test_a_node_whose_server_is_not_listed_waits_for_it() -> None:
    machine = server("s")
    alone = replace(node(machine), created_at=LONG_AGO, ready=True)
    frozen = replace(snapshot(nodes=[alone]), healthy_since=None)

    assert nodes(frozen)["s"] == (Code.NOT_READY, "no server is known for it")


def test_moving_pods_for_less_than_the_pool_wants_to_save_is_not_worth_it() -> None:
    thrifty = pool(disruption=Disruption(min_savings_micro_eur_per_month=50_000_000))
    machines = [server("a"), server("b")]
    running = [pod("x", node="a", cpu="200m"), pod("y", node="b", cpu="200m")]
    world = snapshot(
        servers=machines, nodes=[node(m) for m in machines], pods=running, pools=[thrifty]
    )

    told = nodes(world)

    assert {code for code, _ in told.values()} == {Code.SAVES_TOO_LITTLE}
    assert "less than 50" in told["a"][1]


def test_a_rule_about_others_that_no_new_server_meets_is_named() -> None:
    def shy(name: str) -> Pod:
        term = PodTerm(topology_key=ZONE, selector=LabelSelector(), namespaces=("default",))
        made = pod(name)
        apart = Relations(anti_affinity=(term,))
        return replace(made, labels=(("app", "shy"),), spec=replace(made.spec, relations=apart))

    found = plan(snapshot(pods=[shy("first"), shy("second")], offerings=[CX23]), CONFIG, NOW)

    codes = sorted(report.reason.code for report in found.pods)
    assert codes == [Code.POD_RULES, Code.WAITING_FOR_SERVER]
    (refused,) = [r.reason.message for r in found.pods if r.reason.code is Code.POD_RULES]
    assert "required pod anti-affinity" in refused


def test_every_reason_is_given_somewhere_and_asserted_somewhere() -> None:
    given = _texts(PRODUCT, but="reasons.py")
    asserted = _texts(TESTS)

    for code in Code:
        assert re.search(rf"Code\.{code.name}\b", given), code
        assert re.search(rf"Code\.{code.name}\b|\b{code.value}\b", asserted), code


def _texts(folder: Path, *, but: str = "") -> str:
    return "".join(path.read_text() for path in folder.rglob("*.py") if path.name != but)
