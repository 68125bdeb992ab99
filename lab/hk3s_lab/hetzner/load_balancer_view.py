"""A load balancer as the API shows it."""

from typing import Any

from hk3s_lab.hetzner import balancer_targets
from hk3s_lab.hetzner.call import Call, timestamp
from hk3s_lab.hetzner.model import offers
from hk3s_lab.hetzner.model.balancers import LoadBalancer, Target, service_key
from hk3s_lab.hetzner.model.records import PrimaryIp, ServerStatus
from hk3s_lab.hetzner.resources.reverse_names import name_of

Json = dict[str, Any]

_UNREACHABLE = {"status": "unhealthy", "detail": "layer4_no_connection", "http_status_code": None}
"""Details are there only when something is wrong."""


def view(call: Call, balancer: LoadBalancer) -> Json:
    """Return a load balancer."""
    kind = offers.load_balancer_type(balancer.type) or {}
    prices = kind["prices"]
    traffic = next(p["included_traffic"] for p in prices if p["location"] == balancer.location)
    attached = balancer.network_id is not None and balancer.network_state != "attaching"
    private = {"network": balancer.network_id, "ip": balancer.private_ip}
    return {
        "id": balancer.id,
        "name": balancer.name,
        "public_net": _public_net(call, balancer),
        "private_net": [private] if attached else [],
        "location": call.world.catalog.location(balancer.location),
        "load_balancer_type": kind,
        "protection": {"delete": balancer.protected},
        "labels": dict(balancer.labels),
        "created": timestamp(balancer.created),
        "services": [dict(service) for service in balancer.services],
        "targets": [_target(call, balancer, target) for target in balancer.targets],
        "algorithm": {"type": balancer.algorithm},
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": traffic,
    }


def _public_net(call: Call, balancer: LoadBalancer) -> Json:
    addresses: Json = {"enabled": balancer.public_interface}
    for version, own in (("ipv4", balancer.ipv4), ("ipv6", balancer.ipv6)):
        given = call.project.public_ip(balancer.id, version)
        addresses[version] = _given(given) if given else _own(balancer, own)
    return addresses


def _own(balancer: LoadBalancer, ip: str | None) -> Json:
    default = None if ip is None or ":" in ip else name_of(ip, balancer.dns)
    return {"ip": ip, "dns_ptr": balancer.dns.get(ip or "", default)}


def _given(ip: PrimaryIp) -> Json:
    if ip.type == "ipv4":
        return {"id": ip.id, "ip": ip.ip, "dns_ptr": name_of(ip.ip, ip.dns)}
    return {"id": ip.id, "ip": ip.ip, "dns_ptr": next(iter(ip.dns.values()), None)}


def _target(call: Call, balancer: LoadBalancer, target: Target) -> Json:
    if target.ip is not None:
        return {"type": "ip", "ip": {"ip": target.ip}, "health_status": _health(balancer)}
    if target.server_id is not None:
        return _server(call, balancer, target, target.server_id)
    selector = target.selector or ""
    servers = call.project.matching(selector)
    return {
        "type": "label_selector",
        "label_selector": {"selector": selector},
        "use_private_ip": target.use_private_ip,
        "targets": [
            _server(call, balancer, target, server.id)
            for server in servers
            if balancer_targets.address(call.project, balancer, server.id, target)
        ],
    }


def _server(call: Call, balancer: LoadBalancer, target: Target, server_id: int) -> Json:
    address = balancer_targets.address(call.project, balancer, server_id, target)
    server = call.project.servers.get(server_id)
    off = server is not None and server.status is ServerStatus.OFF
    return {
        "type": "server",
        "server": {"id": server_id, "ip": address or ""},
        "health_status": _health(balancer, off=off),
        "use_private_ip": target.use_private_ip,
    }


def _health(balancer: LoadBalancer, *, off: bool = False) -> list[Json]:
    """Nobody probes, for no traffic is carried; but what is off answers to nobody."""
    state = _UNREACHABLE if off else {"status": "unknown"}
    return [{"listen_port": service_key(service), **state} for service in balancer.services]
