"""Rules about other pods, as kube-scheduler's filters have them."""

from functools import partial
from typing import Any

import pytest

from hk3s_autoscaler.model.podspec import pod_spec
from hk3s_autoscaler.scheduling.board import Board, Site
from hk3s_autoscaler.scheduling.matching import Matchers, Role

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
WEB, DB = {"app": "web"}, {"app": "db"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def term(labels: dict[str, str], key: str = ZONE, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"labelSelector": {"matchLabels": labels}, "topologyKey": key, **more}


def near(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAffinity": {REQUIRED: list(terms)}}}


def far(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: list(terms)}}}


def spread(labels: dict[str, str] | None, key: str = ZONE, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    selector = None if labels is None else {"matchLabels": labels}
    rule = {
        "labelSelector": selector,
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        **more,
    }
    return {"topologySpreadConstraints": [rule]}


def site(name: str, zone: str = "", **labels: str) -> Site:
    zoned = {ZONE: zone} if zone else {}
    return Site(name=name, labels={HOST: name, **zoned, **labels})


class World:
    """Sites, and pods that are put on them by name."""

    def __init__(self, *sites: Site, **pods: tuple[dict[str, Any], dict[str, str]]) -> None:
        self._matchers = Matchers(
            namespaces={"default": {"team": "a"}, "other": {"team": "b"}},
        )
        self._roles: dict[str, partial[Role]] = {}
        for name, (rules, labels) in pods.items():
            namespace = "other" if name.startswith("other") else "default"
            spec = pod_spec(rules, namespace=namespace, labels=labels)
            self._matchers.add(spec, namespace)
            self._roles[name] = partial(self._matchers.role, spec, namespace, tuple(labels.items()))
        self.board = Board(self._matchers, sites)
        self._numbers = {each.name: number for number, each in enumerate(sites)}

    def role(self, pod: str) -> Role:
        return self._roles[pod]()

    def put(self, pod: str, name: str, number: int = 1) -> None:
        self.board.put(self.role(pod), self._numbers[name], number)

    def open_to(self, pod: str) -> set[str]:
        role = self.role(pod)
        return {name for name, n in self._numbers.items() if self.board.allows(role, n)}


SITES = (site("a1", "a"), site("a2", "a"), site("b1", "b"), site("bare"))


class TestAffinity:
    def test_a_pod_goes_where_such_pods_are(self) -> None:
        world = World(*SITES, web=({}, WEB), client=(near(term(WEB)), DB))

        assert world.open_to("client") == set()
        world.put("web", "a1")
        assert world.open_to("client") == {"a1", "a2"}

    def test_the_first_of_its_kind_may_go_anywhere_in_a_domain(self) -> None:
        world = World(*SITES, web=(near(term(WEB)), WEB))

        assert world.open_to("web") == {"a1", "a2", "b1"}
        world.put("web", "b1")
        assert world.open_to("web") == {"b1"}

    def test_of_several_terms_one_pod_must_meet_all(self) -> None:
        rules = near(term(WEB), term({"tier": "1"}, HOST))
        tiered = {**WEB, "tier": "1"}
        world = World(
            *SITES, web=({}, WEB), tier=({}, {"tier": "1"}), all=({}, tiered), x=(rules, {})
        )

        world.put("web", "a1")
        world.put("tier", "a1")
        assert world.open_to("x") == set()
        world.put("all", "a2")
        assert world.open_to("x") == {"a2"}

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            pytest.param({}, set(), id="own namespace only"),
            pytest.param({"namespaces": ["other"]}, {"a1", "a2"}, id="named"),
            pytest.param(
                {"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"a1", "a2"}, id="selected"
            ),
            pytest.param({"namespaceSelector": {}}, {"a1", "a2"}, id="all"),
            pytest.param(
                {"namespaceSelector": {"matchLabels": {"team": "c"}}}, set(), id="none selected"
            ),
        ],
    )
    def test_namespaces(self, more: dict[str, Any], expected: set[str]) -> None:
        world = World(*SITES, other_web=({}, WEB), client=(near(term(WEB, **more)), {}))

        world.put("other_web", "a1")

        assert world.open_to("client") == expected

    def test_match_label_keys_narrow_to_the_pods_own_values(self) -> None:
        same = near(term(WEB, matchLabelKeys=["version"]))
        other = near(term(WEB, mismatchLabelKeys=["version"]))
        world = World(
            *SITES,
            old=({}, {**WEB, "version": "1"}),
            same=(same, {"version": "1"}),
            newer=(same, {"version": "2"}),
            unlike=(other, {"version": "2"}),
        )

        world.put("old", "b1")

        assert [world.open_to(p) for p in ("same", "newer", "unlike")] == [{"b1"}, set(), {"b1"}]


class TestAntiAffinity:
    def test_it_holds_both_ways(self) -> None:
        world = World(*SITES, web=({}, WEB), shy=(far(term(WEB)), DB))

        world.put("web", "a1")
        assert world.open_to("shy") == {"b1", "bare"}
        world.put("shy", "b1")
        assert world.open_to("web") == {"a1", "a2", "bare"}

    def test_one_of_a_kind_per_node(self) -> None:
        world = World(*SITES, web=(far(term(WEB, HOST)), WEB))

        world.put("web", "a1")

        assert world.open_to("web") == {"a2", "b1", "bare"}

    def test_a_node_without_the_label_is_no_domain(self) -> None:
        world = World(*SITES, web=(far(term(WEB)), WEB))

        world.put("web", "bare", 3)

        assert world.open_to("web") == {"a1", "a2", "b1", "bare"}


class TestSpread:
    def test_the_skew_is_against_the_emptiest_domain(self) -> None:
        world = World(*SITES, web=(spread(WEB), WEB))

        assert world.open_to("web") == {"a1", "a2", "b1"}
        world.put("web", "a1")
        assert world.open_to("web") == {"b1"}
        world.put("web", "b1")
        assert world.open_to("web") == {"a1", "a2", "b1"}

    def test_a_pod_that_is_not_counted_is_bound_by_the_counts(self) -> None:
        world = World(*SITES, web=({}, WEB), db=(spread(WEB), DB))

        world.put("web", "a1")
        assert world.open_to("db") == {"a1", "a2", "b1"}
        world.put("web", "a1")
        assert world.open_to("db") == {"b1"}

    def test_too_few_domains_count_as_an_empty_one(self) -> None:
        world = World(*SITES, web=(spread(WEB, minDomains=3), WEB))

        world.put("web", "a1")
        world.put("web", "b1")
        assert world.open_to("web") == set()
        assert world.board.allows(world.role("web"), world.board.add(site("c1", "c")))

    def test_a_selector_that_is_empty_counts_nobody(self) -> None:
        world = World(*SITES, web=(spread({}), WEB))

        world.put("web", "a1", 5)

        assert world.open_to("web") == {"a1", "a2", "b1"}

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            pytest.param("Honor", {"a1", "a2", "b1"}, id="only nodes of its own"),
            pytest.param("Ignore", {"b1"}, id="all nodes"),
        ],
    )
    def test_which_nodes_count(self, policy: str, expected: set[str]) -> None:
        sites = (site("a1", "a", mine="1"), site("a2", "a", mine="1"), site("b1", "b"))
        rules = {
            **spread(WEB, nodeAffinityPolicy=policy),
            "nodeSelector": {"mine": "1"},
        }
        world = World(*sites, web=(rules, WEB))

        world.put("web", "a1")

        assert world.open_to("web") == expected

    def test_a_site_that_is_dropped_leaves_nothing_behind(self) -> None:
        world = World(*SITES, web=(spread(WEB), WEB))
        role = world.role("web")
        world.put("web", "a1")
        world.put("web", "b1")
        before = world.open_to("web")

        number = world.board.add(site("c1", "c"))
        assert world.open_to("web") == set()
        world.board.put(role, number)
        world.board.drop(number, role, 1)

        assert world.open_to("web") == before
