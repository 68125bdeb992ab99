"""What actions on servers change: power, interfaces, disk, type, options."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hk3s_lab.hetzner.events import (
    FirewallsChanged,
    ServerDeleted,
    ServerNetworkChanged,
    ServerPoweredOff,
    ServerPoweredOn,
)
from hk3s_lab.hetzner.model import balancer_effects, network_effects
from hk3s_lab.hetzner.model.moment import Effect, Moment
from hk3s_lab.hetzner.model.records import Charge, Nic, Server, ServerStatus
from hk3s_lab.hetzner.model.transitions import POWERED, TRANSITIONS


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
        user_data=None,  # up to 32 KiB, and nobody may read it any more
    )
    for ip in [ip for ip in project.primary_ips.values() if ip.assignee_id == server.id]:
        if ip.auto_delete:
            del project.primary_ips[ip.id]
            project.gone.primary_ips.append(replace(ip, deleted=moment.now))
        else:
            project.primary_ips[ip.id] = replace(ip, assignee_id=None)
    for volume in project.volumes_of(server.id):
        project.volumes[volume.id] = replace(volume, server_id=None)
    for floating in list(project.floating_ips.values()):
        if floating.server_id == server.id:
            project.floating_ips[floating.id] = replace(floating, server_id=None)
    balancer_effects.forget_target(project, server.id)
    forget_backups(moment, server.id)
    for firewall in project.firewalls.values():
        kept = tuple(a for a in firewall.applied_to if a.server_id != server.id)
        project.firewalls[firewall.id] = replace(firewall, applied_to=kept)
    del project.servers[server.id]
    project.gone.servers.append(last)


def forget_backups(moment: Moment, server_id: int) -> None:
    """Delete the backups that are bound to a server."""
    project = moment.project
    for image in [i for i in project.images.values() if i.bound_to == server_id]:
        del project.images[image.id]
        project.gone.images.append(replace(image, deleted=moment.now))


def _server(moment: Moment) -> Server | None:
    return moment.project.servers.get(moment.resource("server"))


def change_power(moment: Moment) -> None:
    """Give the server the status that the action leads to, and tell its hypervisor."""
    server = moment.project.servers.get(moment.resource("server"))
    if server is None or server.deleted is not None:
        return
    transition = TRANSITIONS[moment.action.command]
    asked = ServerStatus(moment.action.arguments.get("status", server.status))
    after = transition.ends.get(asked, server.status)
    was_on, is_on = asked in POWERED, after in POWERED
    boots = is_on and (transition.restarts or not was_on)
    # The rescue system is booted once.
    rescue = server.rescue_enabled and not boots
    moment.project.update_server(server.id, status=after, rescue_enabled=rescue)
    if was_on and (transition.restarts or not is_on):
        moment.emit(ServerPoweredOff(server.id, graceful=transition.graceful))
    if boots:
        moment.emit(ServerPoweredOn(server.id))


def restore_power(moment: Moment) -> None:
    """Give the server back the status in which the action met it."""
    before = moment.action.arguments.get("status")
    if before is not None:
        moment.project.update_server(moment.resource("server"), status=ServerStatus(before))


def _created(moment: Moment) -> None:
    server_id = moment.resource("server")
    moment.project.update_server(server_id, billed_from=moment.now)
    for firewall in list(moment.project.firewalls.values()):
        network_effects.confirm(moment, firewall.id, lambda a: a.server_id == server_id)


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
    server = _server(moment)
    if server is None:
        return
    network_id = moment.resource("network")
    nics = []
    for nic in server.nics:
        kept = change(nic) if nic.network_id == network_id else nic
        if kept is not None:
            nics.append(kept)
    moment.project.update_server(server.id, nics=tuple(nics))
    if len(nics) < len(server.nics):
        balancer_effects.forget_private_target(moment.project, server.id, network_id)
    if server.deleted is None:
        moment.emit(ServerNetworkChanged(server.id))


def _attached(moment: Moment) -> None:
    if moment.find("load_balancer") is not None:
        balancer_effects.attached(moment)
        return
    _change_nic(moment, lambda nic: replace(nic, state="ok"))


def _detached(moment: Moment) -> None:
    if moment.find("load_balancer") is not None:
        balancer_effects.detached(moment)
        return
    _change_nic(moment, lambda _nic: None)


def _aliases_kept(moment: Moment) -> None:
    before = tuple(moment.action.arguments["before"])
    _change_nic(moment, lambda nic: replace(nic, alias_ips=before, state="ok"))


def _ungrouped(moment: Moment) -> None:
    moment.project.update_server(moment.resource("server"), placement_group=None)


def _rebuilt(moment: Moment) -> None:
    wanted = moment.action.arguments
    moment.project.update_server(
        moment.resource("server"),
        image=wanted["image"],
        image_id=wanted["image_id"],
        user_data=wanted["user_data"],
    )


def _price_changed(moment: Moment, **changes: object) -> None:
    """Close the bill at the old price and go on at the new one."""
    server = _server(moment)
    if server is None:
        return
    past = server.past
    if server.billed_from is not None:
        spent = Charge(
            what=server.server_type,
            start=server.billed_from,
            end=moment.now,
            backups=server.backup_window is not None,
        )
        past = (*past, spent)
    moment.project.update_server(server.id, billed_from=moment.now, past=past, **changes)


def _type_changed(moment: Moment) -> None:
    wanted = moment.action.arguments
    _price_changed(moment, server_type=wanted["server_type"], disk_size=wanted["disk_size"])


def _backups_on(moment: Moment) -> None:
    _price_changed(moment, backup_window=moment.action.arguments["window"])


def _backups_off(moment: Moment) -> None:
    _price_changed(moment, backup_window=None)
    forget_backups(moment, moment.resource("server"))


def _iso(moment: Moment) -> None:
    moment.project.update_server(moment.resource("server"), iso=moment.action.arguments["iso"])


def _rescue(moment: Moment) -> None:
    enabled = moment.action.arguments["enabled"]
    moment.project.update_server(moment.resource("server"), rescue_enabled=enabled)
    if enabled:
        moment.end_rescue_later(moment.resource("server"))


SUCCESS: Mapping[str, Effect] = {
    "create_server": _created,
    "shutdown_server": _shut_down,
    "delete_server": _deleted,
    "attach_to_network": _attached,
    "change_alias_ips": _attached,
    "detach_from_network": _detached,
    "remove_from_placement_group": _ungrouped,
    "rebuild_server": _rebuilt,
    "change_server_type": _type_changed,
    "enable_backup": _backups_on,
    "disable_backup": _backups_off,
    "attach_iso": _iso,
    "detach_iso": _iso,
    "enable_rescue": _rescue,
    "disable_rescue": _rescue,
}

FAILURE: Mapping[str, Effect] = {
    "create_server": _not_created,
    "attach_to_network": _detached,
    "change_alias_ips": _aliases_kept,
    "detach_from_network": _attached,
    "add_to_placement_group": _ungrouped,
    # The API has already said that the server is gone; it stays so.
    "delete_server": _deleted,
}
