"""What actions on networks, firewalls and primary IPs change."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hk3s_lab.hetzner.events import FirewallsChanged, NetworkRoutesChanged, ServerNetworkChanged
from hk3s_lab.hetzner.model.moment import Effect, Moment
from hk3s_lab.hetzner.model.records import Application, NetworkRoute, Subnet


def _network_changed(moment: Moment) -> None:
    project, arguments = moment.project, moment.action.arguments
    network = project.networks.get(moment.resource("network"))
    if network is None:
        return
    match moment.action.command:
        case "add_subnet":
            changed = replace(network, subnets=(*network.subnets, Subnet(**arguments)))
        case "delete_subnet":
            kept = tuple(s for s in network.subnets if s.ip_range != arguments["ip_range"])
            changed = replace(network, subnets=kept)
        case "add_route":
            changed = replace(network, routes=(*network.routes, NetworkRoute(**arguments)))
        case "delete_route":
            gone = NetworkRoute(**arguments)
            changed = replace(network, routes=tuple(r for r in network.routes if r != gone))
        case _:
            changed = replace(network, ip_range=arguments["ip_range"])
    project.networks[network.id] = changed
    if changed.routes != network.routes:
        moment.emit(NetworkRoutesChanged(network.id))


def _firewall_changed(moment: Moment) -> None:
    moment.emit(FirewallsChanged())


def _firewall_applied(moment: Moment) -> None:
    wanted = _application(moment)
    confirm(moment, moment.resource("firewall"), lambda a: _same(a, wanted))


def _firewall_removed(moment: Moment) -> None:
    firewall = moment.project.firewalls.get(moment.resource("firewall"))
    if firewall is None:
        return
    gone = _application(moment)
    kept = tuple(a for a in firewall.applied_to if not _same(a, gone))
    moment.project.firewalls[firewall.id] = replace(firewall, applied_to=kept)
    moment.emit(FirewallsChanged())


def _application(moment: Moment) -> Application:
    return Application(**moment.action.arguments)


def _same(one: Application, other: Application) -> bool:
    return (one.server_id, one.selector) == (other.server_id, other.selector)


def confirm(moment: Moment, firewall_id: int, which: Callable[[Application], bool]) -> None:
    """Mark applications of a firewall as done."""
    firewall = moment.project.firewalls.get(firewall_id)
    if firewall is None or not any(which(a) for a in firewall.applied_to):
        return
    applied = tuple(replace(a, pending=False) if which(a) else a for a in firewall.applied_to)
    moment.project.firewalls[firewall.id] = replace(firewall, applied_to=applied)
    moment.emit(FirewallsChanged())


def _assign_primary_ip(moment: Moment, server_id: int | None) -> None:
    ip = moment.project.primary_ips.get(moment.resource("primary_ip"))
    if ip is None:
        return
    moment.project.primary_ips[ip.id] = replace(ip, assignee_id=server_id)
    affected = server_id if server_id is not None else ip.assignee_id
    if affected is not None:
        moment.emit(ServerNetworkChanged(affected))


def _assigned(moment: Moment) -> None:
    _assign_primary_ip(moment, moment.resource("server"))


def _unassigned(moment: Moment) -> None:
    _assign_primary_ip(moment, None)


SUCCESS: Mapping[str, Effect] = {
    "add_subnet": _network_changed,
    "delete_subnet": _network_changed,
    "add_route": _network_changed,
    "delete_route": _network_changed,
    "change_ip_range": _network_changed,
    "set_firewall_rules": _firewall_changed,
    "apply_firewall": _firewall_applied,
    "remove_firewall": _firewall_removed,
    "assign_primary_ip": _assigned,
    "unassign_primary_ip": _unassigned,
}

FAILURE: Mapping[str, Effect] = {
    "apply_firewall": _firewall_removed,
    "assign_primary_ip": _unassigned,
}
