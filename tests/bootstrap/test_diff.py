from dataclasses import replace

import pytest

from bootstrap.support import NOW, config
from hk3s_bootstrap import steps as todo
from hk3s_bootstrap.desired import Desired, desire
from hk3s_bootstrap.diff import refusals, steps
from hk3s_bootstrap.observed import Foreign, Observed
from hk3s_hetzner import domain

CA_HASH = "c" * 64
WANTED = desire(config(), CA_HASH, "eu-central")


def server(name: str, role: str, *, status: domain.ServerStatus = "running") -> domain.Server:
    machine = WANTED.bastion if role == "bastion" else WANTED.master
    return domain.Server(
        id=11 if role == "bastion" else 12,
        name=name,
        status=status,
        created=NOW,
        server_type=machine.server_type,
        location="fsn1",
        image="ubuntu-24.04",
        labels=dict(machine.labels) if role != "worker" else {"hk3s.dev/role": "worker"},
        public_ipv4="203.0.113.9" if role == "bastion" else None,
        public_ipv6=None,
        private_nets=(domain.PrivateNet(network_id=5, ip=machine.private_address),),
        volume_ids=(),
        locked=False,
        protected=False,
    )


NETWORK = domain.Network(
    id=5,
    name="demo",
    ip_range="10.4.0.0/16",
    subnets=WANTED.subnets,
    routes=(WANTED.route,),
    server_ids=(11, 12),
    load_balancer_ids=(),
    labels=dict(WANTED.labels),
)
FIREWALL = domain.Firewall(
    id=6,
    name="demo-bastion",
    rules=WANTED.firewall_rules,
    applied_to_server_ids=(11,),
    labels=dict(WANTED.labels),
)
ADDRESS = domain.PrimaryIp(
    id=7,
    name="demo-bastion",
    ip="203.0.113.9",
    type="ipv4",
    location="fsn1",
    assignee_id=11,
    auto_delete=False,
    protected=False,
    labels=dict(WANTED.labels),
)
KEY = domain.SshKey(
    id=8,
    name="somebody's laptop",
    fingerprint=WANTED.ssh_keys[0].fingerprint,
    public_key=WANTED.ssh_keys[0].line,
    labels={},
)
BASTION = server("demo-bastion", "bastion")
MASTER = server("demo-master-1", "master")
COMPLETE = Observed(
    ssh_keys=(KEY,),
    network=NETWORK,
    firewall=FIREWALL,
    primary_ip=ADDRESS,
    bastion=BASTION,
    master=MASTER,
)


def kinds(found: tuple[todo.Step, ...]) -> list[str]:
    return [type(step).__name__ for step in found]


def test_nothing_is_missing_from_a_complete_cluster() -> None:
    assert steps(WANTED, COMPLETE) == ()


def test_everything_is_made_in_an_order_that_works() -> None:
    assert kinds(steps(WANTED, Observed())) == [
        "CreateSshKey",
        "CreateNetwork",
        "CreateFirewall",
        "CreatePrimaryIp",
        "CreateServer",
        "AttachServer",
        "PowerOn",
        "CreateServer",
        "AttachServer",
        "PowerOn",
    ]


def test_a_key_is_known_by_its_fingerprint_whatever_its_name() -> None:
    other = replace(KEY, fingerprint="00:11")

    assert kinds(steps(WANTED, replace(COMPLETE, ssh_keys=(other,)))) == ["CreateSshKey"]
    assert kinds(steps(WANTED, replace(COMPLETE, ssh_keys=(other, KEY)))) == []


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        pytest.param(replace(NETWORK, subnets=WANTED.subnets[:1]), ["AddSubnet"], id="a subnet"),
        pytest.param(replace(NETWORK, routes=()), ["AddRoute"], id="the route"),
        pytest.param(
            replace(NETWORK, routes=(domain.Route(destination="0.0.0.0/0", gateway="10.4.0.9"),)),
            ["DeleteRoute", "AddRoute"],
            id="a route that leads elsewhere",
        ),
        pytest.param(
            replace(
                NETWORK,
                routes=(
                    WANTED.route,
                    domain.Route(destination="10.99.0.0/16", gateway="10.4.0.9"),
                ),
            ),
            [],
            id="somebody's own route stays",
        ),
    ],
)
def test_what_the_network_lost_comes_back(network: domain.Network, expected: list[str]) -> None:
    assert kinds(steps(WANTED, replace(COMPLETE, network=network))) == expected


def test_new_sources_change_the_firewall() -> None:
    wanted = desire(config(bastion__allowedCidrs=["198.51.100.0/24"]), CA_HASH, "eu-central")

    assert steps(wanted, COMPLETE) == (todo.SetFirewallRules(rules=wanted.firewall_rules),)


def test_the_order_of_sources_changes_nothing() -> None:
    sources = ["203.0.113.7/32", "198.51.100.0/24"]
    wanted = desire(config(bastion__allowedCidrs=sources), CA_HASH, "eu-central")
    turned = tuple(replace(rule, ips=rule.ips[::-1]) for rule in wanted.firewall_rules)
    found = replace(COMPLETE, firewall=replace(FIREWALL, rules=turned))

    assert steps(wanted, found) == ()


def test_a_bastion_that_lost_its_firewall_gets_it_back() -> None:
    found = replace(COMPLETE, firewall=replace(FIREWALL, applied_to_server_ids=()))

    assert kinds(steps(WANTED, found)) == ["ApplyFirewall"]


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        pytest.param(replace(MASTER, private_nets=(), status="off"), ["AttachServer", "PowerOn"]),
        pytest.param(replace(MASTER, status="off"), ["PowerOn"]),
        pytest.param(replace(MASTER, status="starting"), []),
        pytest.param(None, ["CreateServer", "AttachServer", "PowerOn"]),
    ],
)
def test_a_half_made_master_is_finished(master: domain.Server | None, expected: list[str]) -> None:
    assert kinds(steps(WANTED, replace(COMPLETE, master=master))) == expected


def refused(
    found: Observed,
    wanted: Desired = WANTED,
    *,
    state_found: bool = True,
    cluster_known: bool = True,
    replace_master: bool = False,
) -> str:
    return " | ".join(
        refusals(
            wanted,
            found,
            state_found=state_found,
            cluster_known=cluster_known,
            replace_master=replace_master,
        )
    )


def test_a_complete_cluster_and_an_empty_project_are_not_refused() -> None:
    assert refused(COMPLETE) == ""
    assert refused(Observed(), state_found=False, cluster_known=False) == ""


def test_a_lost_state_directory_is_refused_with_the_way_out() -> None:
    assert "--state-dir" in refused(COMPLETE, state_found=False)


def test_a_foreign_ca_is_refused_with_the_way_out() -> None:
    wanted = desire(config(), "d" * 64, "eu-central")

    assert "another CA" in refused(COMPLETE, wanted)


def test_a_foreign_name_is_refused() -> None:
    found = replace(COMPLETE, foreign=(Foreign(kind="server", name="demo-bastion"),))

    assert "does not carry the label" in refused(found)


def test_a_network_of_another_range_is_refused() -> None:
    found = replace(COMPLETE, network=replace(NETWORK, ip_range="10.8.0.0/16"))

    assert "10.8.0.0/16" in refused(found)


def test_a_vanished_master_is_refused_unless_it_is_to_be_replaced() -> None:
    found = replace(COMPLETE, master=None)

    assert "--replace-master" in refused(found)
    assert refused(found, replace_master=True) == ""


def test_a_master_that_never_answered_is_made_again() -> None:
    assert refused(replace(COMPLETE, master=None), cluster_known=False) == ""


def test_workers_without_a_master_are_refused() -> None:
    found = replace(COMPLETE, master=None, workers=(server("demo-general-abcde", "worker"),))

    assert "demo-general-abcde" in refused(found, cluster_known=False)


def test_the_bastion_is_the_only_public_machine() -> None:
    assert WANTED.bastion.public
    assert not WANTED.master.public


def test_labels_name_cluster_role_and_ca() -> None:
    assert dict(WANTED.master.labels) == {
        "hk3s.dev/cluster": "demo",
        "hk3s.dev/role": "master",
        "hk3s.dev/ca": "c" * 32,
    }
