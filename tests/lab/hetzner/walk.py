"""A walk through every operation, as somebody who uses everything would go."""

from dataclasses import dataclass, field

from hk3s_lab.hetzner.http import Exchange
from lab.hetzner import contract
from lab.hetzner.support import PRIVATE, PUBLIC_KEY, Cloud, Json, server_body

FAILS_ONCE = {"times": 1, "effect": {"action_fails": {"code": "dns_zone_not_found"}}}
SPAN = "start=2026-09-30T00:00:00Z&end=2026-10-01T00:00:00Z"
CHECK = {"protocol": "tcp", "port": 1, "interval": 15, "timeout": 10, "retries": 3}
TCP = {
    "protocol": "tcp",
    "listen_port": 6443,
    "destination_port": 6443,
    "proxyprotocol": False,
    "health_check": CHECK,
}
HTTPS: dict[str, Json] = {
    "protocol": "https",
    "listen_port": 443,
    "destination_port": 80,
    "proxyprotocol": False,
    "http": {
        "redirect_http": True,
        "certificates": [],
        "cookie_name": "c",
        "cookie_lifetime": 300,
        "timeout_idle": 50,
        "sticky_sessions": True,
    },
    "health_check": CHECK | {"protocol": "http", "http": {"domain": "example.com", "path": "/"}},
}


@dataclass
class Walk:
    """Calls operations and remembers which were answered how."""

    cloud: Cloud
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)

    def see(self, exchange: Exchange) -> None:
        operation = contract.judge(exchange)
        if operation is not None:
            (self.good if exchange.status < 300 else self.bad).add(operation.name)

    async def ok(self, method: str, path: str, body: Json = None) -> Json:
        """Call; everything that starts must succeed."""
        reply = await self.cloud.request(method, path, body)
        assert reply.status in (200, 201, 204), f"{method} {path}: {reply.body}"
        await self.cloud.settled()
        action = (reply.body or {}).get("action")
        if action:
            done = (await self.cloud.get(f"/actions/{action['id']}")).body["action"]
            assert done["status"] == "success", f"{method} {path}: {done}"
        return reply.body

    async def made(self, path: str, body: Json) -> Json:
        reply = await self.ok("POST", path, body)
        return next(value for key, value in reply.items() if "action" not in key)

    async def seen(self, plural: str, number: int, **change: Json) -> None:
        """List, get and update a resource."""
        await self.ok("GET", f"/{plural}?per_page=2&page=1")
        await self.ok("GET", f"/{plural}/{number}")
        if change:
            await self.ok("PUT", f"/{plural}/{number}", change)

    async def actions(self, plural: str, number: int) -> None:
        """Read the actions of a resource in all four ways."""
        found = (await self.ok("GET", f"/{plural}/{number}/actions"))["actions"]
        assert found, plural
        one = found[-1]["id"]
        await self.ok("GET", f"/{plural}/{number}/actions/{one}")
        await self.ok("GET", f"/{plural}/actions?status=success&sort=id:desc")
        await self.ok("GET", f"/{plural}/actions/{one}")

    async def act(self, plural: str, number: int, name: str, body: Json = None) -> Json:
        return await self.ok("POST", f"/{plural}/{number}/actions/{name}", body)


async def everything(walk: Walk) -> None:
    await offers(walk)
    await small_resources(walk)
    network_id = await network(walk)
    server_id = await server(walk, network_id)
    await server_options(walk, server_id)
    await firewall(walk, server_id)
    await volume(walk, server_id)
    await floating_ip(walk, server_id)
    await primary_ip(walk)
    await load_balancer(walk, server_id, network_id)
    await walk.act("servers", server_id, "detach_from_network", {"network": network_id})
    await walk.ok("DELETE", f"/servers/{server_id}")
    await walk.ok("DELETE", f"/networks/{network_id}")


async def offers(walk: Walk) -> None:
    for plural in ("server_types", "locations", "isos", "load_balancer_types", "images"):
        found = await walk.ok("GET", f"/{plural}")
        await walk.seen(plural, found[plural][0]["id"])
    await walk.ok("GET", "/pricing")


async def small_resources(walk: Walk) -> None:
    key = await walk.made("/ssh_keys", {"name": "k", "public_key": PUBLIC_KEY})
    await walk.seen("ssh_keys", key["id"], labels={"a": "b"})
    await walk.ok("DELETE", f"/ssh_keys/{key['id']}")
    group = await walk.made("/placement_groups", {"name": "g", "type": "spread"})
    await walk.seen("placement_groups", group["id"], labels={"a": "b"})
    await walk.ok("DELETE", f"/placement_groups/{group['id']}")
    await walk.cloud.post("/_lab/faults", FAILS_ONCE)
    body = {"name": "c", "type": "managed", "domain_names": ["example.com"]}
    number = (await walk.cloud.post("/certificates", body)).body["certificate"]["id"]
    await walk.cloud.settled()
    await walk.seen("certificates", number, name="d")
    await walk.act("certificates", number, "retry")
    await walk.seen("certificates", number)
    await walk.actions("certificates", number)
    await walk.ok("DELETE", f"/certificates/{number}")


async def network(walk: Walk) -> int:
    number = int((await walk.made("/networks", {"name": "n", "ip_range": "10.4.0.0/17"}))["id"])
    subnet = {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.4.0.0/24"}
    await walk.act("networks", number, "add_subnet", subnet)
    await walk.act("networks", number, "add_subnet", {**subnet, "ip_range": "10.4.9.0/24"})
    await walk.act("networks", number, "delete_subnet", {"ip_range": "10.4.9.0/24"})
    route = {"destination": "0.0.0.0/0", "gateway": "10.4.0.2"}
    await walk.act("networks", number, "add_route", route)
    await walk.act("networks", number, "delete_route", route)
    await walk.act("networks", number, "change_ip_range", {"ip_range": "10.4.0.0/16"})
    await walk.act("networks", number, "change_protection", {"delete": False})
    await walk.seen("networks", number, expose_routes_to_vswitch=True)
    await walk.actions("networks", number)
    return number


async def server(walk: Walk, network_id: int) -> int:
    number = int((await walk.made("/servers", server_body("one")))["id"])
    await walk.seen("servers", number, labels={"role": "web"})
    await walk.act("servers", number, "attach_to_network", {"network": network_id})
    aliases = {"network": network_id, "alias_ips": ["10.4.0.77"]}
    await walk.act("servers", number, "change_alias_ips", aliases)
    await walk.ok("GET", f"/networks/{network_id}/members")
    for name in ("reboot", "reset", "reset_password", "request_console", "enable_backup"):
        await walk.act("servers", number, name)
    image = (await walk.act("servers", number, "create_image", {"type": "backup"}))["image"]
    await walk.seen("images", image["id"], type="snapshot", description="kept")
    await walk.act("images", image["id"], "change_protection", {"delete": False})
    await walk.actions("images", image["id"])
    await walk.act("servers", number, "rebuild", {"image": str(image["id"])})
    await walk.ok("DELETE", f"/images/{image['id']}")
    await walk.ok("GET", f"/servers/{number}")
    await walk.act("servers", number, "disable_backup")
    await walk.ok("GET", f"/servers/{number}/metrics?type=cpu&type=disk&{SPAN}")
    await walk.actions("servers", number)
    one, other = (await walk.ok("GET", f"/servers/{number}/actions"))["actions"][:2]
    await walk.ok("GET", f"/actions?id={one['id']}&id={other['id']}")
    return number


async def server_options(walk: Walk, number: int) -> None:
    await walk.act("servers", number, "enable_rescue", {"type": "linux64"})
    await walk.act("servers", number, "disable_rescue")
    await walk.act("servers", number, "attach_iso", {"iso": "26"})
    await walk.ok("GET", f"/servers/{number}")
    await walk.act("servers", number, "detach_iso")
    ip = (await walk.ok("GET", f"/servers/{number}"))["server"]["public_net"]["ipv4"]["ip"]
    await walk.act("servers", number, "change_dns_ptr", {"ip": ip, "dns_ptr": "a.example.com"})
    await walk.act("servers", number, "change_protection", {"delete": False, "rebuild": False})
    await walk.act("servers", number, "shutdown")
    await walk.act("servers", number, "poweroff")
    bigger = {"server_type": "cx33", "upgrade_disk": False}
    await walk.act("servers", number, "change_type", bigger)
    await walk.act("servers", number, "poweroff")
    group = await walk.made("/placement_groups", {"name": "h", "type": "spread"})
    await walk.act("servers", number, "add_to_placement_group", {"placement_group": group["id"]})
    await walk.ok("GET", f"/servers/{number}")
    await walk.act("servers", number, "remove_from_placement_group")
    await walk.act("servers", number, "poweron")


async def firewall(walk: Walk, server_id: int) -> None:
    number = (await walk.made("/firewalls", {"name": "f"}))["id"]
    rule = {"direction": "in", "protocol": "icmp", "source_ips": ["0.0.0.0/0"]}
    await walk.act("firewalls", number, "set_rules", {"rules": [rule]})
    targets = [
        {"type": "server", "server": {"id": server_id}},
        {"type": "label_selector", "label_selector": {"selector": "role=web"}},
    ]
    await walk.act("firewalls", number, "apply_to_resources", {"apply_to": targets})
    await walk.seen("firewalls", number, labels={"a": "b"})
    await walk.act("firewalls", number, "remove_from_resources", {"remove_from": targets})
    await walk.actions("firewalls", number)
    await walk.ok("DELETE", f"/firewalls/{number}")


async def volume(walk: Walk, server_id: int) -> None:
    body = {"name": "v", "size": 10, "server": server_id, "automount": True, "format": "ext4"}
    number = (await walk.made("/volumes", body))["id"]
    await walk.seen("volumes", number, labels={"a": "b"})
    await walk.act("volumes", number, "detach")
    await walk.act("volumes", number, "attach", {"server": server_id})
    await walk.act("volumes", number, "resize", {"size": 20})
    await walk.act("volumes", number, "change_protection", {"delete": False})
    await walk.act("volumes", number, "detach")
    await walk.actions("volumes", number)
    await walk.ok("DELETE", f"/volumes/{number}")


async def floating_ip(walk: Walk, server_id: int) -> None:
    body = {"type": "ipv4", "home_location": "fsn1", "name": "fip"}
    ip = await walk.made("/floating_ips", body)
    await walk.seen("floating_ips", ip["id"], description="moves")
    await walk.act("floating_ips", ip["id"], "assign", {"server": server_id})
    await walk.ok("GET", f"/servers/{server_id}")
    await walk.act("floating_ips", ip["id"], "unassign")
    pointer = {"ip": ip["ip"], "dns_ptr": "b.example.com"}
    await walk.act("floating_ips", ip["id"], "change_dns_ptr", pointer)
    await walk.act("floating_ips", ip["id"], "change_protection", {"delete": False})
    await walk.actions("floating_ips", ip["id"])
    await walk.ok("DELETE", f"/floating_ips/{ip['id']}")


async def primary_ip(walk: Walk) -> None:
    bare = server_body("bare", public_net=PRIVATE, start_after_create=False)
    off = (await walk.made("/servers", bare))["id"]
    ip = await walk.made("/primary_ips", {"name": "p", "type": "ipv6", "location": "fsn1"})
    await walk.seen("primary_ips", ip["id"], auto_delete=False)
    assign = {"assignee_type": "server", "assignee_id": off}
    await walk.act("primary_ips", ip["id"], "assign", assign)
    await walk.act("primary_ips", ip["id"], "unassign")
    pointer = {"ip": ip["ip"].replace("/64", "5"), "dns_ptr": "c.example.com"}
    await walk.act("primary_ips", ip["id"], "change_dns_ptr", pointer)
    await walk.seen("primary_ips", ip["id"])
    await walk.act("primary_ips", ip["id"], "change_protection", {"delete": False})
    await walk.actions("primary_ips", ip["id"])
    await walk.ok("DELETE", f"/primary_ips/{ip['id']}")


async def load_balancer(walk: Walk, server_id: int, network_id: int) -> None:
    body = {"name": "lb", "load_balancer_type": "lb11", "location": "fsn1", "services": [HTTPS]}
    made = await walk.made("/load_balancers", body)
    number = made["id"]
    await walk.act("load_balancers", number, "add_service", TCP)
    await walk.act("load_balancers", number, "update_service", {**TCP, "proxyprotocol": True})
    await walk.act("load_balancers", number, "delete_service", {"listen_port": 6443})
    await walk.act("load_balancers", number, "attach_to_network", {"network": network_id})
    target: Json = {"type": "server", "server": {"id": server_id}}
    private = {"use_private_ip": True}
    await walk.act("load_balancers", number, "add_target", target | private)
    chosen = {"type": "label_selector", "label_selector": {"selector": "role=web"}}
    await walk.act("load_balancers", number, "add_target", chosen | private)
    await walk.act("load_balancers", number, "disable_public_interface")
    await walk.seen("load_balancers", number, labels={"a": "b"})
    await walk.ok("GET", f"/networks/{network_id}/members?type=load_balancer")
    await walk.act("load_balancers", number, "enable_public_interface")
    await walk.act("load_balancers", number, "remove_target", target)
    await walk.act("load_balancers", number, "detach_from_network", {"network": network_id})
    await walk.act("load_balancers", number, "change_algorithm", {"type": "least_connections"})
    await walk.act("load_balancers", number, "change_type", {"load_balancer_type": "lb21"})
    pointer = {"ip": made["public_net"]["ipv4"]["ip"], "dns_ptr": "d.example.com"}
    await walk.act("load_balancers", number, "change_dns_ptr", pointer)
    await walk.act("load_balancers", number, "change_protection", {"delete": False})
    await walk.ok("GET", f"/load_balancers/{number}/metrics?type=bandwidth&{SPAN}")
    await walk.actions("load_balancers", number)
    await walk.ok("DELETE", f"/load_balancers/{number}")
    assert (await walk.cloud.get(f"/load_balancers/{number}")).status == 404
