"""What an action changes when it begins and when it ends: one entry a command.

An effect reads what to do from the action's `arguments` and replaces records of the project.
A resource may have gone meanwhile: then there is nothing to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from hk3s_lab.hetzner.events import (
    FirewallsChanged,
    NetworkRoutesChanged,
    ServerDeleted,
    ServerEvent,
    ServerNetworkChanged,
    ServerPoweredOff,
    ServerPoweredOn,
)
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import (
    Action,
    Application,
    NetworkRoute,
    Nic,
    Server,
    ServerStatus,
    Subnet,
)
from hk3s_lab.hetzner.model.transitions import POWERED, TRANSITIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An action at a turning point, and where its consequences go."""

    project: Project
    action: Action
    now: datetime
    emit: Callable[[ServerEvent], None]
    shut_down_later: Callable[[int], None]
    """Takes the id of a server that was asked to shut down."""

    def resource(self, kind: str) -> int:
        """Return the id of the first resource of a kind."""
        return next(number for name, number in self.action.resources if name == kind)


Effect = Callable[[Moment], None]


def begin(moment: Moment) -> None:
    """Show that the action runs, where a status says so."""
    transition = TRANSITIONS.get(moment.action.command)
    if transition is None:
        return
    server = moment.project.servers.get(moment.resource("server"))
    if server is not None and server.status in transition.during:
        moment.project.update_server(server.id, status=transition.during[server.status])


def succeed(moment: Moment) -> None:
    """Carry out what the action promised."""
    command = moment.action.command
    if command in TRANSITIONS:
        _change_power(moment)
    SUCCESS.get(command, _nothing)(moment)


def fail(moment: Moment) -> None:
    """Take back what was reserved for the action."""
    command = moment.action.command
    if command in TRANSITIONS:
        _restore_power(moment)
    FAILURE.get(command, _nothing)(moment)


def forget_server(moment: Moment, server: Server) -> None:
    """Free all that a server that is no more still holds, and keep it for the bill."""
    project = moment.project
    addresses = {
        ip.type: ip.ip for ip in project.primary_ips.values() if ip.assignee_id == server.id
    }
    last = replace(
        server,
        deleted=server.deleted or moment.now,
        status=ServerStatus.DELETING,
        last_ipv4=addresses.get("ipv4"),
        last_ipv6=addresses.get("ipv6"),
    )
    for ip in [ip for ip in project.primary_ips.values() if ip.assignee_id == server.id]:
        if ip.auto_delete:
            del project.primary_ips[ip.id]
            project.gone_primary_ips.append(replace(ip, deleted=moment.now))
        else:
            project.primary_ips[ip.id] = replace(ip, assignee_id=None)
    for volume in project.volumes.values():
        if volume.server_id == server.id:
            project.volumes[volume.id] = replace(volume, server_id=None)
    for firewall in project.firewalls.values():
        kept = tuple(a for a in firewall.applied_to if a.server_id != server.id)
        project.firewalls[firewall.id] = replace(firewall, applied_to=kept)
    del project.servers[server.id]
    project.gone_servers.append(last)


def _nothing(_moment: Moment) -> None:
    """Most failures leave everything as it was."""


def _change_power(moment: Moment) -> None:
    server = moment.project.servers.get(moment.resource("server"))
    if server is None or server.deleted is not None:
        return
    transition = TRANSITIONS[moment.action.command]
    asked = ServerStatus(moment.action.arguments.get("status", server.status))
    after = transition.ends.get(asked, server.status)
    moment.project.update_server(server.id, status=after)
    was_on, is_on = asked in POWERED, after in POWERED
    if was_on and (transition.restarts or not is_on):
        moment.emit(ServerPoweredOff(server.id, graceful=transition.graceful))
    if is_on and (transition.restarts or not was_on):
        moment.emit(ServerPoweredOn(server.id))


def _restore_power(moment: Moment) -> None:
    before = moment.action.arguments.get("status")
    if before is not None:
        moment.project.update_server(moment.resource("server"), status=ServerStatus(before))


def _created(moment: Moment) -> None:
    server_id = moment.resource("server")
    moment.project.update_server(server_id, billed_from=moment.now)
    for firewall in list(moment.project.firewalls.values()):
        _confirm(moment, firewall.id, lambda a: a.server_id == server_id)


def _not_created(moment: Moment) -> None:
    server = moment.project.servers.get(moment.resource("server"))
    if server is not None:
        forget_server(moment, server)
        moment.emit(ServerDeleted(server.id))


def _shut_down(moment: Moment) -> None:
    server = moment.project.servers.get(moment.resource("server"))
    if server is not None and server.status is ServerStatus.STOPPING:
        moment.shut_down_later(server.id)


def _deleted(moment: Moment) -> None:
    server = moment.project.servers.get(moment.resource("server"))
    if server is not None:
        forget_server(moment, server)
        moment.emit(FirewallsChanged())


def _change_nic(moment: Moment, change: Callable[[Nic], Nic | None]) -> None:
    server = moment.project.servers.get(moment.resource("server"))
    if server is None:
        return
    network_id = moment.resource("network")
    nics = []
    for nic in server.nics:
        kept = change(nic) if nic.network_id == network_id else nic
        if kept is not None:
            nics.append(kept)
    moment.project.update_server(server.id, nics=tuple(nics))
    if server.deleted is None:
        moment.emit(ServerNetworkChanged(server.id))


def _attached(moment: Moment) -> None:
    _change_nic(moment, lambda nic: replace(nic, state="ok"))


def _detached(moment: Moment) -> None:
    _change_nic(moment, lambda _nic: None)


def _aliases_kept(moment: Moment) -> None:
    before = tuple(moment.action.arguments["before"])
    _change_nic(moment, lambda nic: replace(nic, alias_ips=before, state="ok"))


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
    _confirm(moment, moment.resource("firewall"), lambda a: _same(a, wanted))


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


def _confirm(moment: Moment, firewall_id: int, which: Callable[[Application], bool]) -> None:
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


def _volume_ready(moment: Moment) -> None:
    volume = moment.project.volumes.get(moment.resource("volume"))
    if volume is not None:
        moment.project.volumes[volume.id] = replace(volume, status="available")


def _volume_lost(moment: Moment) -> None:
    moment.project.volumes.pop(moment.resource("volume"), None)


def _ungrouped(moment: Moment) -> None:
    moment.project.update_server(moment.resource("server"), placement_group=None)


def _protection_changed(moment: Moment) -> None:
    kind, number = moment.action.resources[0]
    project, wanted = moment.project, moment.action.arguments
    if kind == "server":
        project.update_server(
            number, delete_protected=wanted["delete"], rebuild_protected=wanted["rebuild"]
        )
    elif kind == "network" and number in project.networks:
        network = project.networks[number]
        project.networks[number] = replace(network, protected=wanted["delete"])
    elif kind == "primary_ip" and number in project.primary_ips:
        ip = project.primary_ips[number]
        project.primary_ips[number] = replace(ip, protected=wanted["delete"])
    elif kind == "volume" and number in project.volumes:
        volume = project.volumes[number]
        project.volumes[number] = replace(volume, protected=wanted["delete"])


SUCCESS: Mapping[str, Effect] = {
    "create_server": _created,
    "shutdown_server": _shut_down,
    "delete_server": _deleted,
    "attach_to_network": _attached,
    "change_alias_ips": _attached,
    "detach_from_network": _detached,
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
    "create_volume": _volume_ready,
    "change_protection": _protection_changed,
    "remove_from_placement_group": _ungrouped,
}

FAILURE: Mapping[str, Effect] = {
    "create_server": _not_created,
    "attach_to_network": _detached,
    "change_alias_ips": _aliases_kept,
    "detach_from_network": _attached,
    "apply_firewall": _firewall_removed,
    "assign_primary_ip": _unassigned,
    "add_to_placement_group": _ungrouped,
    "create_volume": _volume_lost,
    # The API has already said that the server is gone; it stays so.
    "delete_server": _deleted,
}
