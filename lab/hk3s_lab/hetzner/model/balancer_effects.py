"""What actions on load balancers change."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner.model.balancers import (
    LoadBalancer,
    Service,
    Target,
    service_key,
    without_private_targets,
)
from hk3s_lab.hetzner.model.moment import Effect, Moment
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Charge


def find(moment: Moment) -> LoadBalancer | None:
    """Return the load balancer that the action is about, unless it is gone."""
    number = moment.find("load_balancer")
    return None if number is None else moment.project.load_balancers.get(number)


def forget_target(project: Project, server_id: int) -> None:
    """Take a server that is no more out of all load balancers."""
    for balancer in list(project.load_balancers.values()):
        kept = tuple(t for t in balancer.targets if t.server_id != server_id)
        if kept != balancer.targets:
            project.load_balancers[balancer.id] = replace(balancer, targets=kept)


def forget_private_target(project: Project, server_id: int, network_id: int) -> None:
    """Take a server out of the load balancers that reached it through a network it left."""
    for balancer in project.balancers_in(network_id):
        kept = tuple(
            t for t in balancer.targets if t.server_id != server_id or not t.use_private_ip
        )
        project.load_balancers[balancer.id] = replace(balancer, targets=kept)


def leave_network(project: Project, balancer: LoadBalancer) -> None:
    """Take a load balancer out of its network, with the targets it reached through it."""
    project.load_balancers[balancer.id] = replace(
        balancer,
        network_id=None,
        private_ip=None,
        network_state="ok",
        targets=without_private_targets(balancer.targets),
    )


def forget(moment: Moment) -> None:
    """Delete a load balancer and free its primary IPs."""
    balancer, project = find(moment), moment.project
    if balancer is None:
        return
    for ip in [ip for ip in project.primary_ips.values() if ip.assignee_id == balancer.id]:
        if ip.auto_delete:
            del project.primary_ips[ip.id]
            project.gone.primary_ips.append(replace(ip, deleted=moment.now))
        else:
            project.primary_ips[ip.id] = replace(ip, assignee_id=None, assignee_type="server")
    del project.load_balancers[balancer.id]
    project.gone.load_balancers.append(replace(balancer, deleted=moment.now))


def _change(moment: Moment, **changes: Any) -> None:  # noqa: ANN401 - fields of the record
    balancer = find(moment)
    if balancer is not None:
        moment.project.load_balancers[balancer.id] = replace(balancer, **changes)


def _service_set(moment: Moment) -> None:
    balancer = find(moment)
    if balancer is not None:
        service: Service = moment.action.arguments["service"]
        replaced = moment.action.arguments.get("replaces", service_key(service))
        others = [s for s in balancer.services if service_key(s) != replaced]
        _change(moment, services=tuple(sorted([*others, service], key=service_key)))


def _service_gone(moment: Moment) -> None:
    balancer = find(moment)
    if balancer is not None:
        port = moment.action.arguments["listen_port"]
        _change(moment, services=tuple(s for s in balancer.services if service_key(s) != port))


def _target_added(moment: Moment) -> None:
    balancer = find(moment)
    if balancer is None:
        return
    target = Target(**moment.action.arguments)
    if target.server_id is not None and target.server_id not in moment.project.servers:
        return
    _change(moment, targets=(*balancer.targets, target))


def _target_removed(moment: Moment) -> None:
    balancer = find(moment)
    if balancer is not None:
        gone = Target(**moment.action.arguments).key
        _change(moment, targets=tuple(t for t in balancer.targets if t.key != gone))


def _algorithm(moment: Moment) -> None:
    _change(moment, algorithm=moment.action.arguments["type"])


def _type(moment: Moment) -> None:
    balancer = find(moment)
    if balancer is not None:
        start = balancer.billed_from or balancer.created
        spent = Charge(what=balancer.type, start=start, end=moment.now)
        wanted = moment.action.arguments["type"]
        _change(moment, type=wanted, billed_from=moment.now, past=(*balancer.past, spent))


def attached(moment: Moment) -> None:
    """Confirm the address in the network."""
    _change(moment, network_state="ok")


def detached(moment: Moment) -> None:
    """Leave the network."""
    balancer = find(moment)
    if balancer is not None:
        leave_network(moment.project, balancer)


def _public_on(moment: Moment) -> None:
    _change(moment, public_interface=True)


def _public_off(moment: Moment) -> None:
    _change(moment, public_interface=False)


SUCCESS: Mapping[str, Effect] = {
    "delete_load_balancer": forget,
    "add_service": _service_set,
    "update_service": _service_set,
    "delete_service": _service_gone,
    "add_target": _target_added,
    "remove_target": _target_removed,
    "change_algorithm": _algorithm,
    "change_load_balancer_type": _type,
    "enable_public_interface": _public_on,
    "disable_public_interface": _public_off,
}

FAILURE: Mapping[str, Effect] = {
    "create_load_balancer": forget,
    # The API has already said that it is gone; it stays so.
    "delete_load_balancer": forget,
}
