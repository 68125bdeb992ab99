"""All rows of `refusals.py` are asked of one project, which none of them may change."""

from lab.hetzner.refusals import BALANCER, FLOATING, ROWS, VOLUME
from lab.hetzner.support import PRIVATE, PUBLIC_KEY, Cloud, Json, server_body
from lab.hetzner.test_errors import filled
from lab.hetzner.walk import HTTPS, TCP

PROTECT = {"delete": True}


async def project(cloud: Cloud) -> dict[str, int]:
    """Make what the rows speak of; returns ids by name."""
    network = await cloud.network()
    server = await cloud.server("taken", networks=[network["id"]])
    off = await cloud.private_server("off")
    volume = await cloud.make("/volumes", {"name": "volume", "size": 20, "server": server["id"]})
    loose = await cloud.make("/volumes", {**VOLUME, "name": "loose"})
    far = await cloud.make("/volumes", {**VOLUME, "name": "far", "location": "nbg1"})
    floating = await cloud.make(
        "/floating_ips", {"type": "ipv4", "server": server["id"], "name": "floating"}
    )
    spare = await cloud.make("/floating_ips", FLOATING)
    free = await cloud.make("/primary_ips", {"name": "p", "type": "ipv4", "location": "fsn1"})
    managed = {"name": "c", "type": "managed", "domain_names": ["example.com"]}
    certificate = await cloud.make("/certificates", managed)
    http = HTTPS["http"] | {"certificates": [certificate["id"]]}
    secure: Json = {**HTTPS, "http": http}
    aim = {"type": "server", "server": {"id": server["id"]}}
    lb = {**BALANCER, "name": "balancer", "services": [TCP, secure], "targets": [aim]}
    balancer = await cloud.make("/load_balancers", lb)
    inside = {**BALANCER, "name": "private", "network": network["id"], "public_interface": False}
    private = await cloud.make("/load_balancers", inside)
    image = (await cloud.post(f"/servers/{server['id']}/actions/create_image", {})).body["image"]
    await cloud.settled()
    protected = {
        f"/volumes/{loose['id']}": PROTECT,
        f"/floating_ips/{spare['id']}": PROTECT,
        f"/load_balancers/{balancer['id']}": PROTECT,
        f"/images/{image['id']}": PROTECT,
        f"/servers/{server['id']}": {"delete": True, "rebuild": True},
    }
    for path, body in protected.items():
        assert (await cloud.post(f"{path}/actions/change_protection", body)).status == 201
    await cloud.put("/_lab/stock", {"cx53/*": False})
    await cloud.settled()
    return {
        "network": network["id"],
        "server": server["id"],
        "off": off["id"],
        "volume": volume["id"],
        "loose": loose["id"],
        "far": far["id"],
        "floating": floating["id"],
        "spare": spare["id"],
        "free": free["id"],
        "primary": server["public_net"]["ipv4"]["id"],
        "certificate": certificate["id"],
        "balancer": balancer["id"],
        "private": private["id"],
        "image": image["id"],
    }


LISTS = ("servers", "volumes", "floating_ips", "primary_ips", "load_balancers", "certificates")


async def everything(cloud: Cloud) -> list[Json]:
    return [(await cloud.get(f"/{plural}")).body for plural in LISTS]


async def test_every_refusal_has_its_status_code_details_and_headers(cloud: Cloud) -> None:
    ids = await project(cloud)
    before = await everything(cloud)
    wrong = []
    for name, row in ROWS.items():
        reply = await cloud.request(row.method, row.path.format(**ids), filled(row.body, ids))
        if reply.status < 400:
            wrong.append(f"{name}: {reply.status}")
            continue
        fields = sorted(reply.fields) if row.code == "invalid_input" else None
        details = reply.body["error"]["details"] if row.details and not fields else row.details
        if (reply.status, reply.code, fields or details) != (row.status, row.code, row.details):
            wrong.append(f"{name}: {reply.status} {reply.body}")
        assert reply.headers["Content-Type"].startswith("application/json"), name
        assert reply.headers["X-Correlation-Id"], name
        assert reply.headers["RateLimit-Limit"] == "3600", name
        assert {"RateLimit-Remaining", "RateLimit-Reset", "Date"} <= set(reply.headers), name
    assert not wrong, "\n".join(wrong)
    assert await everything(cloud) == before


async def test_a_bare_order_may_name_what_is_used_up(cloud: Cloud) -> None:
    """The row's order is right but for its one fault: without that, it succeeds."""
    await cloud.post("/ssh_keys", {"name": "k", "public_key": PUBLIC_KEY})
    body = server_body("x", public_net=PRIVATE, start_after_create=False, ssh_keys=["k"])
    reply = await cloud.post("/servers", body)
    assert (reply.status, reply.body["root_password"]) == (201, None)
