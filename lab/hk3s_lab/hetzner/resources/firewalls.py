"""Firewalls: rules, and the servers or label selectors they are applied to."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from hk3s_lab.hetzner import listing, lookup
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import (
    CREATED,
    NO_CONTENT,
    Answer,
    Call,
    Route,
    actions_view,
    timestamp,
)
from hk3s_lab.hetzner.errors import UNPROCESSABLE, ApiError
from hk3s_lab.hetzner.model import firewalls as rules_model
from hk3s_lab.hetzner.model.records import Action, Application, Firewall, ResourceKey, Rule
from hk3s_lab.hetzner.resources.kind import Kind

_RULE_FIELDS = ("description", "direction", "source_ips", "destination_ips", "protocol", "port")
_TARGETS = ("server", "label_selector")


def create(call: Call) -> Answer:
    """Make a firewall and apply it."""
    body = call.body
    body.only("name", "labels", "rules", "apply_to")
    name, labels, rules = body.name(required=True), body.labels(), _rules(body)
    targets = _targets(body, "apply_to")
    body.check()
    KIND.check_new(call, name)
    if len(set(targets)) != len(targets):
        raise ApiError("server_already_added", "a resource was given more than once")
    for target in targets:
        _check_target(call, target, not_found_status=UNPROCESSABLE)
    firewall = Firewall(
        id=call.world.new_id(),
        name=name,
        created=call.now,
        labels=labels or {},
        rules=rules,
        applied_to=tuple(replace(target, pending=True) for target in targets),
    )
    KIND.add(call, firewall)
    started = [_start(call, firewall, "apply_firewall", target) for target in targets]
    body_out = {"firewall": view(call, firewall), "actions": actions_view(call, started)}
    return Answer(CREATED, body_out)


def update(call: Call) -> Answer:
    """Change name or labels."""
    call.body.only("name", "labels")
    return KIND.rename(call, KIND.free(call))


def delete(call: Call) -> Answer:
    """Delete a firewall that is applied to nothing."""
    firewall = lookup.wanted(call, call.project.firewalls, "firewall")
    if firewall.applied_to:
        raise ApiError("resource_in_use", "the firewall is still applied to a resource")
    del call.project.firewalls[firewall.id]
    return Answer(NO_CONTENT)


def set_rules(call: Call) -> Answer:
    """Replace all rules."""
    call.body.only("rules")
    rules = _rules(call.body, required=True)
    call.body.check()
    firewall = KIND.free(call)
    call.project.firewalls[firewall.id] = changed = replace(firewall, rules=rules)
    key: ResourceKey = ("firewall", firewall.id)
    started = [
        call.start("set_firewall_rules", [key]),
        *(_start(call, changed, "apply_firewall", target) for target in changed.applied_to),
    ]
    return Answer(CREATED, {"actions": actions_view(call, started)})


def apply_to_resources(call: Call) -> Answer:
    """Apply to more servers or selectors."""
    call.body.only("apply_to")
    targets = _targets(call.body, "apply_to", required=True)
    call.body.check()
    firewall = KIND.free(call)
    for target in targets:
        _check_target(call, target)
        if _find(firewall, target):
            raise ApiError("firewall_already_applied", "the firewall is already applied")
    added = tuple(replace(target, pending=True) for target in dict.fromkeys(targets))
    changed = replace(firewall, applied_to=(*firewall.applied_to, *added))
    call.project.firewalls[firewall.id] = changed
    started = [_start(call, changed, "apply_firewall", target) for target in added]
    return Answer(CREATED, {"actions": actions_view(call, started)})


def remove_from_resources(call: Call) -> Answer:
    """Remove from servers or selectors."""
    call.body.only("remove_from")
    targets = _targets(call.body, "remove_from", required=True)
    call.body.check()
    firewall = KIND.free(call)
    for target in targets:
        if _find(firewall, target):
            continue
        selectors = [a.selector for a in firewall.applied_to if a.selector is not None]
        for selector in selectors:
            if any(server.id == target.server_id for server in call.project.selected(selector)):
                message = "the firewall is applied by a label selector"
                raise ApiError("firewall_managed_by_label_selector", message)
        raise ApiError("firewall_resource_not_found", "the firewall is not applied to the resource")
    started = [_start(call, firewall, "remove_firewall", t) for t in dict.fromkeys(targets)]
    return Answer(CREATED, {"actions": actions_view(call, started)})


def view(call: Call, firewall: Firewall) -> dict[str, Any]:
    """Return the firewall as the API shows it."""
    return {
        "id": firewall.id,
        "name": firewall.name,
        "labels": dict(firewall.labels),
        "created": timestamp(firewall.created),
        "rules": [asdict(rule) for rule in firewall.rules],
        "applied_to": [_applied_view(call, target) for target in firewall.applied_to],
    }


def _applied_view(call: Call, target: Application) -> dict[str, Any]:
    if target.selector is None:
        return {"type": "server", "server": {"id": target.server_id}}
    servers = call.project.selected(target.selector)
    return {
        "type": "label_selector",
        "label_selector": {"selector": target.selector},
        "applied_to_resources": [{"type": "server", "server": {"id": s.id}} for s in servers],
    }


def _start(call: Call, firewall: Firewall, command: str, target: Application) -> Action:
    resources: list[ResourceKey] = [("firewall", firewall.id)]
    if target.server_id is not None:
        resources.append(("server", target.server_id))
    arguments = {"server_id": target.server_id, "selector": target.selector}
    return call.start(command, resources, arguments=arguments)


def _find(firewall: Firewall, target: Application) -> bool:
    wanted = (target.server_id, target.selector)
    return any((a.server_id, a.selector) == wanted for a in firewall.applied_to)


def _check_target(call: Call, target: Application, not_found_status: int | None = None) -> None:
    if target.selector is not None:
        listing.selector(target.selector, "apply_to.label_selector.selector")
        return
    server = call.project.servers.get(target.server_id or 0)
    if server is None or server.deleted is not None:
        message = f"server with ID '{target.server_id}' not found"
        raise ApiError("firewall_resource_not_found", message, status=not_found_status)
    if not call.project.has_public_net(server.id):
        raise ApiError("private_net_only_server", "the server has no public interface")
    count = len(call.project.firewalls_of(server)) + 1
    lookup.check_room(call, "firewalls_per_server", "firewalls_per_server_limit", count)


def _targets(body: Body, field: str, *, required: bool = False) -> list[Application]:
    targets = []
    for part in body.objects(field, required=required):
        part.only("type", "server", "label_selector")
        kind = part.text("type", required=True, choices=_TARGETS)
        if kind == "label_selector":
            selector = part.nested("label_selector", required=True).text("selector", required=True)
            targets.append(Application(selector=selector))
        else:
            number = part.nested("server", required=True).number("id", required=True)
            targets.append(Application(server_id=number))
    return targets


def _rules(body: Body, *, required: bool = False) -> tuple[Rule, ...]:
    # hcloud-go sends null for "no rules".
    parts = body.objects("rules", required=required and "rules" not in body.value)
    if len(parts) > rules_model.MAX_RULES:
        body.note("rules", f"at most {rules_model.MAX_RULES} are allowed")
    return tuple(_rule(part) for part in parts)


def _rule(part: Body) -> Rule:
    part.only(*_RULE_FIELDS)
    rule = Rule(
        direction=part.text("direction", required=True, choices=rules_model.DIRECTIONS),
        protocol=part.text("protocol", required=True, choices=rules_model.PROTOCOLS),
        port=part.optional_text("port"),
        source_ips=_texts(part.texts("source_ips")),
        destination_ips=_texts(part.texts("destination_ips")),
        description=part.optional_text("description"),
    )
    for field, message in rules_model.problems(rule):
        part.note(field, message)
    return rule


def _texts(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


KIND = Kind(singular="firewall", table=lambda project: project.firewalls, view=view)
ROUTES = (
    *KIND.routes(create=create, delete=delete, update=update),
    Route("POST", "/firewalls/{id}/actions/set_rules", set_rules, has_body=True),
    Route("POST", "/firewalls/{id}/actions/apply_to_resources", apply_to_resources, has_body=True),
    Route(
        "POST",
        "/firewalls/{id}/actions/remove_from_resources",
        remove_from_resources,
        has_body=True,
    ),
)
