"""Wanted minus found is a list of steps. Pure: `plan` prints it, `create` carries it out."""

from hk3s_bootstrap.desired import DEFAULT_ROUTE, Desired, Machine
from hk3s_bootstrap.observed import Observed
from hk3s_bootstrap.steps import (
    AddRoute,
    AddSubnet,
    ApplyFirewall,
    AttachServer,
    CreateFirewall,
    CreateNetwork,
    CreatePrimaryIp,
    CreateServer,
    CreateSshKey,
    DeleteRoute,
    PowerOn,
    SetFirewallRules,
    Step,
)
from hk3s_hetzner import domain, labels


def steps(desired: Desired, observed: Observed) -> tuple[Step, ...]:
    """Return what is missing, in an order in which it can be made.

    The bastion comes before the master, which needs a way to the internet to install k3s.
    """
    return (
        *_ssh_keys(desired, observed),
        *_network(desired, observed.network),
        *_firewall(desired, observed.firewall),
        *_primary_ip(desired, observed.primary_ip),
        *_machine(desired.bastion, observed.bastion, observed.network),
        *_protection(observed),
        *_machine(desired.master, observed.master, observed.network),
    )


def refusals(
    desired: Desired,
    observed: Observed,
    *,
    state_found: bool,
    cluster_known: bool,
    replace_master: bool,
) -> tuple[str, ...]:
    """Return why nothing may be done at all, each with the way out.

    The CA is minted once a cluster: servers of another CA, or without the state that holds it,
    cannot be joined by anything this run would make. `cluster_known` says that the API of this
    state has answered before, so that a missing master is a loss.
    """
    cluster = desired.cluster
    found = [
        f"a {thing.kind} named {thing.name} exists and does not carry the label"
        f" {labels.CLUSTER}={cluster}: rename one of the two, or use another project"
        for thing in observed.foreign
    ]
    servers = [server for server in (observed.bastion, observed.master) if server is not None]
    if servers and not state_found:
        found.append(
            f"the servers of {cluster} exist, but the directory with its CAs and tokens does not:"
            " name it with --state-dir, restore it from a backup, or start over with"
            " `hk3s-bootstrap destroy`"
        )
    elif servers:
        wanted = dict(desired.master.labels)[labels.CA]
        found += [
            f"{server.name} was made with another CA ({server.labels.get(labels.CA)}, the state"
            f" directory has {wanted}): name the right one with --state-dir"
            for server in servers
            if server.labels.get(labels.CA) != wanted
        ]
    if observed.network is not None and observed.network.ip_range != desired.network_range:
        found.append(
            f"network {observed.network.name} has the range {observed.network.ip_range}, the file"
            f" says {desired.network_range}: a range cannot move, write the existing one"
        )
    if observed.master is None and (observed.workers or cluster_known) and not replace_master:
        workers = ", ".join(server.name for server in observed.workers)
        found.append(
            "the master is gone"
            + (f" but its workers exist ({workers})" if workers else " with all that it knew")
            + ": make an empty one with --replace-master, or start over with"
            " `hk3s-bootstrap destroy`"
        )
    return tuple(found)


def _ssh_keys(desired: Desired, observed: Observed) -> tuple[Step, ...]:
    known = {key.fingerprint for key in observed.ssh_keys}
    return tuple(
        CreateSshKey(name=desired.ssh_key_name(key), public_key=key.line)
        for key in dict.fromkeys(desired.ssh_keys)
        if key.fingerprint not in known
    )


def _network(desired: Desired, network: domain.Network | None) -> tuple[Step, ...]:
    if network is None:
        create = CreateNetwork(
            name=desired.network_name,
            ip_range=desired.network_range,
            subnets=desired.subnets,
            route=desired.route,
        )
        return (create,)
    existing = {subnet.ip_range for subnet in network.subnets}
    missing = (subnet for subnet in desired.subnets if subnet.ip_range not in existing)
    wrong = (
        route
        for route in network.routes
        if route.destination == DEFAULT_ROUTE and route != desired.route
    )
    return (
        *(AddSubnet(subnet=subnet) for subnet in missing),
        *(DeleteRoute(route=route) for route in wrong),
        *(() if desired.route in network.routes else (AddRoute(route=desired.route),)),
    )


def _firewall(desired: Desired, firewall: domain.Firewall | None) -> tuple[Step, ...]:
    if firewall is None:
        return (CreateFirewall(name=desired.firewall_name, rules=desired.firewall_rules),)
    if _comparable(firewall.rules) != _comparable(desired.firewall_rules):
        return (SetFirewallRules(rules=desired.firewall_rules),)
    return ()


def _comparable(rules: tuple[domain.FirewallRule, ...]) -> set[tuple[object, ...]]:
    """Rules without their descriptions, sources in any order."""
    return {(rule.direction, rule.protocol, rule.port, frozenset(rule.ips)) for rule in rules}


def _primary_ip(desired: Desired, address: domain.PrimaryIp | None) -> tuple[Step, ...]:
    if address is not None:
        return ()
    return (CreatePrimaryIp(name=desired.primary_ip_name, location=desired.location),)


def _machine(
    machine: Machine, server: domain.Server | None, network: domain.Network | None
) -> tuple[Step, ...]:
    attach, power_on = AttachServer(machine=machine), PowerOn(machine=machine)
    if server is None:
        return (CreateServer(machine=machine), attach, power_on)
    attached = network is not None and server.private_ip(network.id) is not None
    running = server.status in ("running", "starting")
    return (*(() if attached else (attach,)), *(() if running else (power_on,)))


def _protection(observed: Observed) -> tuple[Step, ...]:
    """The create call applies the firewall; this is for a bastion that lost it."""
    bastion, firewall = observed.bastion, observed.firewall
    if bastion is None or (firewall and bastion.id in firewall.applied_to_server_ids):
        return ()
    return (ApplyFirewall(),)
