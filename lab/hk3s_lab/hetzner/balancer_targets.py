"""Targets of load balancers: reading them, and whether they can be reached."""

from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network, ip_address

from hk3s_lab.hetzner import listing, lookup
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import Call
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.addresses import PRIVATE_RANGES, subnet_of
from hk3s_lab.hetzner.model.balancers import LoadBalancer, Target
from hk3s_lab.hetzner.model.project import Project

TYPES = ("server", "label_selector", "ip")
MAX_SELECTOR = 1000


def read(body: Body) -> Target:
    """Read a target; problems are noted in the body."""
    kind = body.text("type", required=True, choices=TYPES)
    private = body.flag("use_private_ip")
    if kind == "server":
        part = body.nested("server", required=True)
        number = part.number("id", required=True)
        ip = part.optional_text("ip")
        if ip is not None and private:
            part.note("ip", "goes without use_private_ip")
        return Target(server_id=number or 0, server_ip=ip, use_private_ip=private)
    if kind == "ip":
        text = body.nested("ip", required=True).text("ip", required=True)
        try:
            return Target(ip=str(ip_address(text)))
        except ValueError:
            body.note("ip.ip", "must be an IP address")
            return Target(ip=text)
    part = body.nested("label_selector", required=kind == "label_selector")
    selector = part.text("selector", required=kind == "label_selector")
    if len(selector) > MAX_SELECTOR:
        part.note("selector", "is too long")
    return Target(selector=selector, use_private_ip=private)


def check(call: Call, balancer: LoadBalancer, target: Target) -> None:
    """Raise unless the load balancer may have the target beside its others."""
    if any(other.key == target.key for other in balancer.targets):
        raise ApiError("target_already_defined", "the target is already defined")
    if target.ip is not None:
        _check_ip(call, balancer, IPv4Address(target.ip) if ":" not in target.ip else None)
        return
    if target.selector is not None:
        listing.selector(target.selector, "label_selector.selector")
    _check_way(balancer, target)
    if target.server_id is not None:
        server = lookup.server(call, target.server_id)
        if target.server_ip is not None and not _owns(call.project, server.id, target.server_ip):
            message = "the IP is no public address of the server"
            raise ApiError("ip_not_assigned_to_server", message)
        if address(call.project, balancer, server.id, target) is None:
            if target.use_private_ip:
                message = "the server is not attached to the network of the load balancer"
                raise ApiError("resolve_cloud_private_targets_error", message)
            message = "the server has no public IPv4 address"
            raise ApiError("resolve_cloud_public_targets_error", message)


def address(project: Project, balancer: LoadBalancer, server_id: int, target: Target) -> str | None:
    """Return the address by which a server is reached; None when it has none."""
    if not target.use_private_ip:
        if target.server_ip is not None:
            return target.server_ip
        public = project.public_ip(server_id, "ipv4")
        return public.ip if public else None
    server = project.servers.get(server_id)
    nics = server.nics if server else ()
    return next((nic.ip for nic in nics if nic.network_id == balancer.network_id), None)


def _check_way(balancer: LoadBalancer, target: Target) -> None:
    if target.use_private_ip and balancer.network_id is None:
        message = "the load balancer is not attached to a network"
        raise ApiError("load_balancer_not_attached_to_network", message)
    if not target.use_private_ip and not balancer.public_interface:
        message = "the public interface of the load balancer is disabled"
        raise ApiError("load_balancer_public_interface_disabled", message)


def _check_ip(call: Call, balancer: LoadBalancer, ip: IPv4Address | None) -> None:
    """Only what is behind a vSwitch can be had: the lab has no dedicated servers."""
    if ip is None or not any(ip in private for private in PRIVATE_RANGES):
        raise ApiError("ip_not_owned", "the IP is not owned by the owner of the project")
    if balancer.network_id is None:
        message = "the load balancer is not attached to a network"
        raise ApiError("load_balancer_not_attached_to_network", message)
    network = call.project.networks[balancer.network_id]
    coupled = {subnet.ip_range for subnet in network.subnets if subnet.type == "vswitch"}
    if not coupled:
        message = "the network of the load balancer has no subnet of type vswitch"
        raise ApiError("network_has_no_vswitch_subnet", message)
    if subnet_of(network, str(ip)) not in coupled:
        message = "the IP is not in the subnet of type vswitch"
        raise ApiError("ip_not_in_vswitch_subnet", message)


def _owns(project: Project, server_id: int, ip: str) -> bool:
    ipv4, ipv6 = (project.public_ip(server_id, version) for version in ("ipv4", "ipv6"))
    if ipv4 is not None and ipv4.ip == ip:
        return True
    try:
        return ipv6 is not None and IPv6Address(ip) in IPv6Network(ipv6.ip)
    except AddressValueError:
        return False
