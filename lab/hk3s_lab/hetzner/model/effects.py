"""What an action changes when it begins and when it ends: one entry a command.

An effect reads what to do from the action's `arguments` and replaces records of the project.
A resource may have gone meanwhile: then there is nothing to do.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner.model import (
    balancer_effects,
    network_effects,
    server_effects,
    storage_effects,
)
from hk3s_lab.hetzner.model.moment import Effect, Moment, nothing
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.transitions import TRANSITIONS

BEFORE_POWER = frozenset({"rebuild_server", "change_server_type"})
"""The server boots from what these changed."""


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
    effect = SUCCESS.get(command, nothing)
    if command in BEFORE_POWER:
        effect(moment)
    if command in TRANSITIONS:
        server_effects.change_power(moment)
    if command not in BEFORE_POWER:
        effect(moment)


def fail(moment: Moment) -> None:
    """Take back what was reserved for the action."""
    command = moment.action.command
    if command in TRANSITIONS:
        server_effects.restore_power(moment)
    FAILURE.get(command, nothing)(moment)


def _protection_changed(moment: Moment) -> None:
    kind, number = moment.action.resources[0]
    project, wanted = moment.project, moment.action.arguments
    if kind == "server":
        project.update_server(
            number, delete_protected=wanted["delete"], rebuild_protected=wanted["rebuild"]
        )
        return
    table = _protected_tables(project)[kind]
    if number in table:
        table[number] = replace(table[number], protected=wanted["delete"])


def _protected_tables(project: Project) -> Mapping[str, dict[int, Any]]:
    return {
        "network": project.networks,
        "primary_ip": project.primary_ips,
        "floating_ip": project.floating_ips,
        "volume": project.volumes,
        "image": project.images,
        "load_balancer": project.load_balancers,
    }


SUCCESS: Mapping[str, Effect] = {
    **server_effects.SUCCESS,
    **network_effects.SUCCESS,
    **storage_effects.SUCCESS,
    **balancer_effects.SUCCESS,
    "change_protection": _protection_changed,
}

FAILURE: Mapping[str, Effect] = {
    **server_effects.FAILURE,
    **network_effects.FAILURE,
    **storage_effects.FAILURE,
    **balancer_effects.FAILURE,
}
