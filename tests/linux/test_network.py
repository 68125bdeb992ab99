"""Egress, names and routes of private-only servers, and what they survive."""

from functools import partial

import pytest

from hk3s_lab.errors import LabError
from hk3s_lab.linux.fabric import LEASE_SECONDS, RENEWAL_SECONDS
from lab.machines.clusters import eventually
from linux.clusters import BOOT_SECONDS, WORKERS, LinuxCluster, all_of

pytestmark = [pytest.mark.linux, pytest.mark.asyncio(loop_scope="session")]

NETWORKD = ("demo-w-enp7s0", "demo-w-old")
EGRESS = (
    "python3 -c 'import urllib.request as u;"
    ' u.urlopen("https://github.com/k3s-io/k3s/releases/download/v1/k3s", timeout=5)\''
)
RENEWALS = 3
RENEWED_SECONDS = 300.0


async def has_egress(cluster: LinuxCluster, name: str) -> bool:
    try:
        status, _ = await cluster.container(name).execute("sh", "-c", EGRESS)
    except LabError:
        return False  # it is rebooting, or too busy to answer
    return status == 0


async def egress(cluster: LinuxCluster, name: str, seconds: float = 60.0) -> None:
    await eventually(f"{name} has egress", partial(has_egress, cluster, name), seconds)


@pytest.mark.parametrize("name", WORKERS)
async def test_a_private_server_has_an_address_a_route_names_and_egress(
    cluster: LinuxCluster, name: str
) -> None:
    _, nic, address = WORKERS[name]

    routes = await cluster.run(name, "ip -4 route show")

    assert f"default via 10.4.0.1 dev {nic}" in routes
    assert f"{address}/32" in await cluster.run(name, f"ip -4 address show dev {nic}")
    assert "198.51.100.20" in await cluster.run(name, "getent ahostsv4 github.com")
    await egress(cluster, name)


@pytest.mark.parametrize("name", WORKERS)
async def test_the_network_has_no_neighbours_and_an_mtu_of_1450(
    cluster: LinuxCluster, name: str
) -> None:
    await cluster.run(name, "ping -c1 -W2 10.4.0.3")
    await cluster.run(name, "ping -c1 -W2 -M do -s 1422 10.4.0.3")
    too_long, _ = await cluster.container(name).execute(
        "ping", "-c1", "-W2", "-M", "do", "-s", "1423", "10.4.0.3"
    )

    neighbours = await cluster.run(name, "ip -4 neighbour show")

    assert too_long != 0
    assert {line.split()[0] for line in neighbours.splitlines()} <= {"10.4.0.1"}


async def test_a_server_may_not_send_from_an_address_that_is_not_its_own(
    cluster: LinuxCluster,
) -> None:
    name = "demo-w-enp7s0"
    await cluster.run(name, "ip address add 10.4.1.99/32 dev lo")

    status, _ = await cluster.container(name).execute(
        "ping", "-c1", "-W1", "-I", "10.4.1.99", "10.4.0.3"
    )

    await cluster.run(name, "ip address del 10.4.1.99/32 dev lo")
    assert status != 0


@pytest.mark.parametrize("name", ["demo-w-ens10", "demo-w-eth0"])
async def test_one_dhcp_client_serves_the_private_nic(cluster: LinuxCluster, name: str) -> None:
    """hc-utils' own would undo routes at its renewals."""
    nic = WORKERS[name][1]

    clients = await cluster.run(name, f"pgrep -af '^(/sbin/)?dhclient.* {nic}$|^dhcpcd: {nic} '")

    assert len(clients.splitlines()) == 1, clients
    assert "/hc-" not in clients
    assert "inactive" in await cluster.run(
        name, f"systemctl is-active 'hc-net-ifup@{nic}.service' || :"
    )


@pytest.mark.parametrize("name", NETWORKD)
@pytest.mark.parametrize(
    "change",
    [
        "networkctl reload",
        "networkctl reconfigure NIC",
        "networkctl renew NIC",
        "systemctl restart systemd-networkd",
        "ip link set NIC down && ip link set NIC up",
        "netplan apply",
    ],
)
async def test_egress_survives_changes_of_networkd(
    cluster: LinuxCluster, name: str, change: str
) -> None:
    await cluster.run(name, change.replace("NIC", WORKERS[name][1]))

    await egress(cluster, name)
    assert "10.4.0.1 onlink" in (await cluster.run(name, "ip route show default")).replace(
        f"dev {WORKERS[name][1]} proto static ", ""
    )


@pytest.mark.parametrize("name", ["demo-w-ens10", "demo-w-eth0"])
async def test_egress_survives_a_restart_of_ifupdown(cluster: LinuxCluster, name: str) -> None:
    nic = WORKERS[name][1]

    await cluster.run(name, f"ifdown --force {nic}; ifup {nic}")

    await egress(cluster, name)


@pytest.mark.parametrize("name", NETWORKD)
async def test_foreign_rules_and_routes_survive_a_restart_of_networkd(
    cluster: LinuxCluster, name: str
) -> None:
    """Cilium's are of this form: rules, routes in tables of its own and on devices of its own."""
    await cluster.run(
        name,
        "ip rule add fwmark 0x200/0xf00 lookup 2004 pref 9;"
        " ip route replace local default dev lo table 2004;"
        " ip link add cilium_host type veth peer name cilium_net;"
        " ip link set cilium_net up; ip link set cilium_host up;"
        " ip address add 10.42.7.1/32 dev cilium_host;"
        " ip route add 10.42.0.0/16 via 10.42.7.1 src 10.42.7.1",
    )
    try:
        await cluster.run(name, "systemctl restart systemd-networkd")
        await egress(cluster, name)

        assert "fwmark 0x200/0xf00 lookup 2004" in await cluster.run(name, "ip rule show")
        assert "dev lo" in await cluster.run(name, "ip route show table 2004")
        assert "10.42.7.1/32" in await cluster.run(name, "ip -4 address show dev cilium_host")
        assert "dev cilium_host" in await cluster.run(name, "ip route show 10.42.0.0/16")
    finally:
        await cluster.run(name, "ip rule del pref 9; ip link del cilium_host")


async def test_egress_is_gone_without_the_internet_and_back_with_it(cluster: LinuxCluster) -> None:
    await cluster.linux.fabric.cut_internet(cut=True)
    try:
        assert not await has_egress(cluster, "demo-w-enp7s0")
    finally:
        await cluster.linux.fabric.cut_internet(cut=False)

    await egress(cluster, "demo-w-enp7s0")


async def test_egress_survives_renewals_and_an_expired_lease(cluster: LinuxCluster) -> None:
    network = cluster.linux.fabric.private(cluster.ids["network"])
    assert network is not None
    before = network.dhcp.leases_given()

    async def renewed() -> bool:
        counts = network.dhcp.leases_given() - before
        return all(counts[address] >= RENEWALS for _, _, address in WORKERS.values())

    async def address_is_gone(name: str) -> bool:
        _, nic, address = WORKERS[name]
        return address not in await cluster.run(name, f"ip -4 address show dev {nic}")

    async def without_address(name: str) -> None:
        gone = partial(address_is_gone, name)
        await eventually(f"{name} loses its address", gone, 2 * LEASE_SECONDS)

    await eventually("three renewals", renewed, RENEWED_SECONDS)
    for name in WORKERS:
        await egress(cluster, name, RENEWAL_SECONDS / 2)

    await all_of(*(network.silence_dhcp(cluster.ids[name], silent=True) for name in WORKERS))
    try:
        await all_of(*(without_address(name) for name in WORKERS))
        for name in WORKERS:
            assert not await has_egress(cluster, name)
    finally:
        await all_of(*(network.silence_dhcp(cluster.ids[name], silent=False) for name in WORKERS))

    await all_of(*(egress(cluster, name, BOOT_SECONDS) for name in WORKERS))


async def test_a_reboot_changes_nothing(cluster: LinuxCluster) -> None:
    async def booted(name: str, before: int | None) -> bool:
        return cluster.container(name).leader not in {None, before}

    async def reboot(name: str) -> None:
        before = cluster.container(name).leader
        await cluster.container(name).execute("systemctl", "reboot")
        await eventually(f"{name} boots again", partial(booted, name, before), BOOT_SECONDS)
        await egress(cluster, name, BOOT_SECONDS)
        await cluster.ready(name)

    await all_of(*(reboot(name) for name in WORKERS))
