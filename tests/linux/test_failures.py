"""A server that cannot join tells why, and gets on by itself once it can."""

import pytest

from hk3s_cloudinit import userdata
from linux.clusters import LinuxCluster, all_of

pytestmark = [pytest.mark.linux, pytest.mark.asyncio(loop_scope="session")]

WRONG_SHA256 = "0" * 64
IMAGES = ("debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04")
NO_ROUTE = {" 0.0.0.0/0 via 10.4.0.1 ": " 0.0.0.0/1 via 10.4.0.1 "}
"""The route that the DHCP client's hook adds, gone astray."""
WRONG_GATEWAY = {
    " 0.0.0.0/0 via 10.4.0.1 ": " 0.0.0.0/0 via 10.4.0.9 ",
    "GATEWAY=10.4.0.1": "GATEWAY=10.4.0.9",
}


async def test_what_is_wrong_with_a_server_is_what_it_reports(cluster: LinuxCluster) -> None:
    """Five broken servers of each release: each names its reason, none becomes a Node."""
    await all_of(report_all(cluster, "debian-12", 20), report_all(cluster, "debian-13", 30))


async def report_all(cluster: LinuxCluster, image: str, base: int) -> None:
    names = [f"demo-{what}-{image[-2:]}" for what in ("lost", "far", "sum", "ca", "late")]
    addresses = {name: f"10.4.1.{base + number}" for number, name in enumerate(names)}
    cluster.images.update(dict.fromkeys(names, image))
    lost, far, checksum, ca_hash, late = names
    try:
        await cluster.member(lost, addresses[lost], user_data=NO_ROUTE)
        await cluster.member(far, addresses[far], user_data=WRONG_GATEWAY)
        await cluster.member(checksum, addresses[checksum], sha256=WRONG_SHA256)
        await cluster.member(ca_hash, addresses[ca_hash], ca_hash="f" * 64)
        await cluster.member(late, addresses[late], token_minutes=-1)

        assert await cluster.error(lost) == "network: no-route"
        assert await cluster.error(far) == "egress: no-egress"
        assert await cluster.error(checksum) == "install: checksum-mismatch"
        assert await cluster.error(ca_hash) == "join: ca-hash-mismatch"
        assert await cluster.error(late) == "join: token-rejected"

        nodes, _ = await cluster.kubernetes.list("/api/v1/nodes", {})
        assert not set(names) & {node["metadata"]["name"] for node in nodes}
    finally:
        await all_of(*(cluster.delete(name) for name in names if name in cluster.ids))


async def test_a_name_that_another_machine_had_is_reported_and_free_after_its_node_is_deleted(
    cluster: LinuxCluster,
) -> None:
    await all_of(
        take_a_name_twice(cluster, "debian-12", "10.4.1.42"),
        take_a_name_twice(cluster, "debian-13", "10.4.1.43"),
    )


async def take_a_name_twice(cluster: LinuxCluster, image: str, address: str) -> None:
    name = f"demo-twice-{image[-2:]}"
    cluster.images[name] = image
    await cluster.member(name, address)
    await cluster.ready(name)
    await cluster.delete(name)
    await cluster.kubernetes.delete(cluster.tokens[name])

    await cluster.member(name, address)
    try:
        assert await cluster.error(name) == "join: name-taken"
        await cluster.kubernetes.delete(f"/api/v1/nodes/{name}")
        await cluster.ready(name)
    finally:
        await cluster.delete(name)


async def test_a_dead_bastion_is_no_egress_and_its_return_serves_the_nodes_untouched(
    cluster: LinuxCluster,
) -> None:
    """Nodes and the API inside stay up meanwhile; the joining servers go on by themselves."""
    names = {f"demo-dark-{image[-2:]}": image for image in IMAGES}
    cluster.images.update(names)
    number = cluster.ids["demo-bastion"]
    texts = {name: await cluster.member_text(name) for name in names}
    await cluster.api("POST", f"/servers/{number}/actions/poweroff")
    try:
        for last, (name, text) in enumerate(texts.items(), start=50):
            await cluster.server(name, userdata.encode(text), f"10.4.1.{last}")
        for name in names:
            assert await cluster.error(name) == "egress: no-egress"
        await cluster.run("demo-master-1", "k3s kubectl get --raw /readyz")
    finally:
        await cluster.api("POST", f"/servers/{number}/actions/poweron")

    await all_of(*(cluster.ready(name) for name in names))
    await all_of(*(cluster.delete(name) for name in names))
