"""A server that cannot join tells why, and gets on by itself once it can."""

import pytest

from linux.clusters import LinuxCluster

pytestmark = [pytest.mark.linux, pytest.mark.asyncio(loop_scope="session")]

WRONG_SHA256 = "0" * 64


@pytest.mark.parametrize("image", ["debian-13", "debian-12"])
async def test_what_is_wrong_with_a_server_is_what_it_reports(
    cluster: LinuxCluster, image: str
) -> None:
    """Six broken servers at once: each names its step and its reason, none becomes a Node."""
    names = {
        f"demo-{reason}-{image[-2:]}": reason
        for reason in ("gateway", "checksum", "cahash", "token")
    }
    cluster.images.update(dict.fromkeys(names, image))
    gateway, checksum, ca_hash, token = names
    base = 20 if image == "debian-13" else 30
    try:
        await cluster.member(
            gateway, f"10.4.1.{base}", user_data={"HK3S_GATEWAY=10.4.0.1": "HK3S_GATEWAY=10.4.0.9"}
        )
        await cluster.member(checksum, f"10.4.1.{base + 1}", sha256=WRONG_SHA256)
        await cluster.member(ca_hash, f"10.4.1.{base + 2}", ca_hash="f" * 64)
        await cluster.member(token, f"10.4.1.{base + 3}", known_token=False)

        assert await cluster.error(gateway) == "network: no-route"
        assert await cluster.error(checksum) == "install: checksum-mismatch"
        assert await cluster.error(ca_hash) == "join: ca-hash-mismatch"
        assert await cluster.error(token) == "join: token-rejected"

        nodes, _ = await cluster.kubernetes.list("/api/v1/nodes", {})
        assert not names.keys() & {node["metadata"]["name"] for node in nodes}
    finally:
        for name in names.keys() & cluster.ids.keys():
            await cluster.delete(name)


async def test_a_name_that_another_machine_had_is_reported_and_free_after_its_node_is_deleted(
    cluster: LinuxCluster,
) -> None:
    name = "demo-twice"
    await cluster.member(name, "10.4.1.40")
    await cluster.ready(name)
    await cluster.delete(name)
    await cluster.kubernetes.delete(cluster.tokens[name])

    await cluster.member(name, "10.4.1.40")
    try:
        assert await cluster.error(name) == "join: name-taken"
        await cluster.kubernetes.delete(f"/api/v1/nodes/{name}")
        await cluster.ready(name)
    finally:
        await cluster.delete(name)


async def test_a_dead_bastion_is_no_egress_and_its_successor_serves_the_nodes_untouched(
    cluster: LinuxCluster,
) -> None:
    """Nodes and the API inside stay up meanwhile; the joining server goes on by itself."""
    name = "demo-late"
    number = cluster.ids["demo-bastion"]
    secret = await _prepared(cluster, name)
    await cluster.api("POST", f"/servers/{number}/actions/poweroff")
    try:
        await cluster.server(name, secret, "10.4.1.50")
        assert await cluster.error(name) == "egress: no-egress"
        await cluster.run("demo-master-1", "k3s kubectl get --raw /readyz")
    finally:
        await cluster.api("POST", f"/servers/{number}/actions/poweron")

    await cluster.ready(name)
    await cluster.delete(name)


async def _prepared(cluster: LinuxCluster, name: str) -> str:
    """Render a worker while the API can still be asked for a token."""
    made: list[str] = []
    plain = cluster.server

    async def keep(_: str, user_data: str, *__: object, **___: object) -> dict[str, object]:
        made.append(user_data)
        return {}

    cluster.server = keep  # type: ignore[method-assign, assignment] # caught before it is bought
    try:
        await cluster.member(name, "10.4.1.50")
    finally:
        cluster.server = plain  # type: ignore[method-assign] # as it was
    return made[0]
