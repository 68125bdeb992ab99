"""Ways in and ways out: ports, metadata, SSH, the API through the bastion."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hk3s_lab.linux import internet
from lab.machines.clusters import eventually
from linux import scan
from linux.clusters import WORKERS, LinuxCluster, attempt

pytestmark = [pytest.mark.linux, pytest.mark.asyncio(loop_scope="session")]

METADATA = "http://169.254.169.254/hetzner/v1/userdata"
ASK = f"python3 -c 'import urllib.request as u; u.urlopen(\"{METADATA}\", timeout=3)'"
NODES = ("demo-master-1", *WORKERS)
POD = """
ip netns add pod
ip link add pod0 type veth peer name eth0 netns pod
ip address add 10.42.9.1/24 dev pod0; ip link set pod0 up
ip -n pod address add 10.42.9.2/24 dev eth0; ip -n pod link set eth0 up
ip -n pod route add default via 10.42.9.1
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'table ip pods { chain post { type nat hook postrouting priority 100;
ip saddr 10.42.9.0/24 ip daddr != 10.42.9.0/24 masquerade
}
}'
"""
"""A pod as a CNI makes one: a namespace behind the node, masqueraded."""


async def test_only_ssh_and_the_api_answer_those_who_are_allowed(cluster: LinuxCluster) -> None:
    address = cluster.addresses["demo-bastion"]

    found = await scan.answering(internet.LAPTOP, (address,))

    assert found == {(address, 22), (address, 6443)}


async def test_a_stranger_gets_no_answer_at_all(cluster: LinuxCluster) -> None:
    addresses = tuple(cluster.addresses.values())
    async with routed_through_the_bastion(cluster):
        assert await scan.answering(internet.STRANGER, addresses) == set()


async def test_private_addresses_answer_nobody_outside(cluster: LinuxCluster) -> None:
    """Not even those who are allowed in and have made themselves a route there."""
    private = ("10.4.0.2", *(cluster.addresses[name] for name in NODES))
    status, output = await attempt("ip", "route", "get", private[0])
    assert (status != 0, "unreachable" in output) == (True, True)

    async with routed_through_the_bastion(cluster):
        assert await scan.answering(internet.LAPTOP, private) == set()


@asynccontextmanager
async def routed_through_the_bastion(cluster: LinuxCluster) -> AsyncIterator[None]:
    """Send what is for private addresses to the bastion, as nobody on the Internet could."""
    via = cluster.addresses["demo-bastion"]
    route = ("10.4.0.0/16", "via", via, "dev", f"p-{cluster.ids['demo-bastion']}", "onlink")
    assert (await attempt("ip", "route", "add", *route))[0] == 0
    try:
        yield
    finally:
        await attempt("ip", "route", "del", *route)


@pytest.mark.parametrize("name", ["demo-bastion", *NODES])
async def test_metadata_answers_root_and_nobody_else(cluster: LinuxCluster, name: str) -> None:
    container = cluster.container(name)
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", ASK)

    await cluster.run(name, ASK)
    status, _ = await container.execute(*as_nobody)

    assert status != 0


@pytest.mark.parametrize("name", NODES)
async def test_metadata_is_out_of_reach_for_a_pod_whose_egress_works(
    cluster: LinuxCluster, name: str
) -> None:
    container = cluster.container(name)
    await cluster.run(name, POD)
    try:
        await cluster.run(name, "ip netns exec pod ping -c1 -W3 198.51.100.20")
        status, _ = await container.execute("ip", "netns", "exec", "pod", "sh", "-c", ASK)
    finally:
        await container.execute("sh", "-c", "ip netns del pod; nft delete table ip pods")

    assert status != 0


async def test_the_api_answers_through_the_bastion_without_the_masters_default_route(
    cluster: LinuxCluster,
) -> None:
    route = (await cluster.run("demo-master-1", "ip route show default")).strip()
    await cluster.run("demo-master-1", "ip route del default")
    try:
        await cluster.kubernetes.get("/api/v1/namespaces/kube-system")
    finally:
        await cluster.run("demo-master-1", f"ip route replace {route}")


@pytest.mark.parametrize("name", ["demo-bastion", *NODES])
async def test_a_user_gets_in_by_key_without_being_asked_anything(
    cluster: LinuxCluster, name: str
) -> None:
    """Strict checking with the CA's line alone: the host's certificate must verify."""
    status, output = await attempt(*cluster.ssh_command(name, "hostname"))

    assert (status, output.strip()) == (0, name), output


@pytest.mark.parametrize("name", ["demo-bastion", *NODES])
@pytest.mark.parametrize("user", ["root", "somebody"])
async def test_passwords_are_refused_for_root_and_users(
    cluster: LinuxCluster, name: str, user: str
) -> None:
    options = ("-l", user, "-o", "PubkeyAuthentication=no", "-o", "BatchMode=no")
    status, output = await attempt(
        *cluster.ssh_command(name, "true", options=(*options, "-o", "NumberOfPasswordPrompts=0"))
    )

    assert status != 0
    assert "Permission denied (publickey)" in output


async def test_roots_password_hash_differs_on_each_server(cluster: LinuxCluster) -> None:
    names = ("demo-bastion", *NODES)
    hashes = {await cluster.run(name, "getent shadow root | cut -d: -f2") for name in names}

    assert len(hashes) == len(names)
    assert all(one.startswith("$6$") for one in hashes)


async def test_the_status_port_answers_masters_only(cluster: LinuxCluster) -> None:
    name = "demo-w-enp7s0"
    url = f"http://{cluster.addresses[name]}:9101/status"
    ask = f"python3 -c 'import urllib.request as u; u.urlopen(\"{url}\", timeout=3)'"

    async def answers() -> bool:
        return bool(await cluster.status(name))

    await eventually("the master gets an answer", answers, 60)
    status, _ = await cluster.container("demo-w-ens10").execute("sh", "-c", ask)

    assert status != 0
