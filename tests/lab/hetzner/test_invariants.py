"""Random lives of a project: whatever is called in whatever order, some things always hold."""

from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hk3s_lab.hetzner import bill
from hk3s_lab.hetzner.model import transitions
from hk3s_lab.hetzner.model.records import ActionStatus
from lab.hetzner.direct import Direct
from lab.hetzner.support import PRIVATE, Json, server_body

SLOWEST = transitions.RESCUE_SECONDS + 60
PICK = st.integers(0, 5)
SERVER_ACTIONS = (
    "poweron",
    "poweroff",
    "shutdown",
    "reboot",
    "reset",
    "enable_backup",
    "disable_backup",
    "enable_rescue",
    "create_image",
    "remove_from_placement_group",
)
SERVER_BODIES: dict[str, Json] = {
    "rebuild": {"image": "debian-13"},
    "change_type": {"server_type": "cx33", "upgrade_disk": False},
}
TABLES = (
    "servers",
    "networks",
    "volumes",
    "floating_ips",
    "primary_ips",
    "load_balancers",
    "firewalls",
    "placement_groups",
    "images",
)
NAMED = tuple(plural for plural in TABLES if plural != "images")


class Cloud(RuleBasedStateMachine):
    """Calls of a careless user, with clock and limits small enough to be met."""

    @initialize(seed=st.integers(0, 3), patience=st.sampled_from([0.0, 0.4, 8.0]))
    def begin(self, seed: int, patience: float) -> None:
        self.direct = Direct(seed)
        self.patience = patience
        self.spent = Decimal(0)
        limits = {"servers": 4, "members_per_network": 3, "servers_per_placement_group": 2}
        self.direct.world.set_limits(limits)
        subnet = {"type": "cloud", "network_zone": "eu-central"}
        for number in (4, 5):
            body = {"name": f"n{number}", "ip_range": f"10.{number}.0.0/16", "subnets": [subnet]}
            assert self.direct.call("POST", "/networks", body)[0] == 201
        group = {"name": "g", "type": "spread"}
        assert self.direct.call("POST", "/placement_groups", group)[0] == 201
        assert self.call("POST", "/servers", server_body("first")) == 201
        assert self.call("POST", "/volumes", {"name": "v", "size": 10, "location": "fsn1"}) == 201

    def call(self, method: str, path: str, body: Json = None) -> int:
        """Call after the time that this user waits for actions to end."""
        if self.patience:
            self.direct.advance(self.patience)
        return self.direct.call(method, path, body)[0]

    def one(self, plural: str, pick: int) -> int:
        """Return the id of some resource; one that does not exist when there are none."""
        numbers = sorted(getattr(self.direct.project, plural))
        return int(numbers[pick % len(numbers)]) if numbers else 1

    @rule(pick=PICK, private=st.booleans(), networked=st.booleans(), grouped=st.booleans())
    def create_server(self, pick: int, private: bool, networked: bool, grouped: bool) -> None:  # noqa: FBT001 - drawn
        body = server_body(f"s{pick}", labels={"n": str(pick)})
        if private:
            body |= {"public_net": PRIVATE, "start_after_create": networked}
        if networked:
            body["networks"] = [self.one("networks", pick)]
        if grouped:
            body["placement_group"] = self.one("placement_groups", 0)
        self.call("POST", "/servers", body)

    @rule(pick=PICK, name=st.sampled_from((*SERVER_ACTIONS, *SERVER_BODIES)))
    def act_on_server(self, pick: int, name: str) -> None:
        path = f"/servers/{self.one('servers', pick)}/actions/{name}"
        self.call("POST", path, SERVER_BODIES.get(name))

    @rule(pick=PICK, other=PICK, attach=st.booleans())
    def change_network(self, pick: int, other: int, attach: bool) -> None:  # noqa: FBT001 - drawn
        verb = "attach_to" if attach else "detach_from"
        path = f"/servers/{self.one('servers', pick)}/actions/{verb}_network"
        self.call("POST", path, {"network": self.one("networks", other)})

    @rule(pick=PICK, other=PICK)
    def create_volume(self, pick: int, other: int) -> None:
        body = {"name": f"v{pick}", "size": 10 + pick, "server": self.one("servers", other)}
        self.call("POST", "/volumes", body)

    @rule(pick=PICK, other=PICK, verb=st.sampled_from(["attach", "detach", "resize"]))
    def change_volume(self, pick: int, other: int, verb: str) -> None:
        body = {"attach": {"server": self.one("servers", other)}, "resize": {"size": 30 + other}}
        path = f"/volumes/{self.one('volumes', pick)}/actions/{verb}"
        self.call("POST", path, body.get(verb))

    @rule(pick=PICK, other=PICK, verb=st.sampled_from(["create", "assign", "unassign"]))
    def float_address(self, pick: int, other: int, verb: str) -> None:
        if verb == "create":
            body = {"type": "ipv4", "home_location": "fsn1", "name": f"f{pick}"}
            self.call("POST", "/floating_ips", body)
            return
        server = {"server": self.one("servers", other)} if verb == "assign" else None
        path = f"/floating_ips/{self.one('floating_ips', pick)}/actions/{verb}"
        self.call("POST", path, server)

    @rule(pick=PICK, other=PICK, networked=st.booleans())
    def create_balancer(self, pick: int, other: int, networked: bool) -> None:  # noqa: FBT001 - drawn
        target: Json = {"type": "server", "server": {"id": self.one("servers", other)}}
        body: Json = {"name": f"b{pick}", "load_balancer_type": "lb11", "location": "fsn1"}
        if networked:
            body["network"] = self.one("networks", other)
            target["use_private_ip"] = True
        status = self.call("POST", "/load_balancers", {**body, "targets": [target]})
        if status >= 400:
            self.call("POST", "/load_balancers", body)

    @rule(pick=PICK, other=PICK, verb=st.sampled_from(["attach_to", "detach_from"]))
    def network_of_balancer(self, pick: int, other: int, verb: str) -> None:
        path = f"/load_balancers/{self.one('load_balancers', pick)}/actions/{verb}_network"
        self.call("POST", path, {"network": self.one("networks", other)})

    @rule(pick=PICK, other=PICK)
    def firewall(self, pick: int, other: int) -> None:
        target = {"type": "server", "server": {"id": self.one("servers", other)}}
        body = {"name": f"w{pick}", "apply_to": [target]}
        self.call("POST", "/firewalls", body)

    @rule(pick=PICK, plural=st.sampled_from(TABLES))
    def delete(self, pick: int, plural: str) -> None:
        self.call("DELETE", f"/{plural}/{self.one(plural, pick)}")

    @rule(pick=PICK)
    def vanish(self, pick: int) -> None:
        project = self.direct.project
        self.direct.world.vanish(project, self.one("servers", pick))

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0, 20.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.direct.advance(seconds)

    @invariant()
    def names_are_unique(self) -> None:
        for plural in NAMED:
            records = getattr(self.direct.project, plural).values()
            names = [r.name for r in records if not getattr(r, "deleted", None)]
            assert len(names) == len(set(names)), plural

    @invariant()
    def addresses_are_unique(self) -> None:
        project = self.direct.project
        public = [ip.ip for ip in project.primary_ips.values()]
        public += [ip.ip for ip in project.floating_ips.values()]
        public += [lb.ipv4 for lb in project.load_balancers.values() if lb.ipv4]
        assert len(public) == len(set(public))
        for number in project.networks:
            private = [nic.ip for _, nic in project.members(number)]
            private += [str(lb.private_ip) for lb in project.balancers_in(number)]
            assert len(private) == len(set(private))

    @invariant()
    def capacities_hold(self) -> None:
        project, limits = self.direct.project, self.direct.project.limits
        assert len(list(project.live_servers())) <= limits["servers"]
        for number in project.networks:
            assert project.member_count(number) <= limits["members_per_network"]
        for number in project.placement_groups:
            assert len(project.group_members(number)) <= limits["servers_per_placement_group"]

    @invariant()
    def nothing_is_attached_to_what_is_gone(self) -> None:
        project = self.direct.project
        servers = set(project.servers)
        held = {ip.assignee_id for ip in project.primary_ips.values()}
        assert held <= servers | set(project.load_balancers) | {None}
        assert {v.server_id for v in project.volumes.values()} <= servers | {None}
        assert {ip.server_id for ip in project.floating_ips.values()} <= servers | {None}
        assert {i.bound_to for i in project.images.values()} <= servers | {None}
        for server in project.servers.values():
            assert {nic.network_id for nic in server.nics} <= set(project.networks)
            assert server.placement_group in {*project.placement_groups, None}
        for firewall in project.firewalls.values():
            assert {a.server_id for a in firewall.applied_to} <= servers | {None}
        for balancer in project.load_balancers.values():
            assert balancer.network_id in {*project.networks, None}
            assert {t.server_id for t in balancer.targets} <= servers | {None}

    @invariant()
    def costs_never_fall(self) -> None:
        catalog, now = self.direct.world.catalog, self.direct.clock.now()
        lines = bill.bill(catalog, self.direct.project, now)
        total = Decimal(bill.totals(lines)["total"])
        assert total >= self.spent
        self.spent = total

    def teardown(self) -> None:
        """Everything that was started ends, and everything can be deleted."""
        self.direct.advance(SLOWEST)
        project = self.direct.project
        assert not project.running
        assert all(a.status is not ActionStatus.RUNNING for a in project.actions.values())
        for plural in ("load_balancers", "servers", *TABLES):
            for number in list(getattr(project, plural)):
                self.unhand(plural, number)
                status, body = self.direct.call("DELETE", f"/{plural}/{number}")
                assert status in (200, 201, 204, 404), (plural, body)
                self.direct.advance(10)
        assert not any(getattr(project, plural) for plural in TABLES)

    def unhand(self, plural: str, number: int) -> None:
        if plural == "floating_ips":
            self.direct.call("POST", f"/floating_ips/{number}/actions/unassign")
            self.direct.advance(10)


Cloud.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCloud = Cloud.TestCase
