"""From the model's records to what the rest of the lab and the control endpoint see."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from hk3s_lab.hetzner.events import FirewallRule, MachineFacts, PrivateNic
from hk3s_lab.hetzner.model import addresses, cost
from hk3s_lab.hetzner.model.catalog import Catalog, Price
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Server
from hk3s_lab.hetzner.model.transitions import POWERED

GIB = 1024**3


def machine(catalog: Catalog, project: Project, server: Server) -> MachineFacts:
    """Return what the hypervisor of a server knows."""
    server_type = catalog.server_type(server.server_type) or {}
    ipv4 = project.public_ip(server.id, "ipv4")
    return MachineFacts(
        server_id=server.id,
        name=server.name,
        project=project.name,
        server_type=server.server_type,
        architecture=server.architecture,
        cores=int(server_type["cores"]),
        memory_bytes=int(server_type["memory"] * GIB),
        disk_bytes=int(server_type["disk"] * GIB),
        location=server.location,
        network_zone=catalog.zone(server.location),
        image=server.image,
        user_data=server.user_data,
        labels=dict(server.labels),
        public_ipv4=ipv4.ip if ipv4 else None,
        private=_nics(project, server),
        firewall_rules=_rules(project, server),
        ssh_keys=server.ssh_keys,
        powered=server.status in POWERED,
    )


def server_history(project: Project) -> list[dict[str, Any]]:
    """Return all servers of a project that ever were, by id."""
    known = [*project.servers.values(), *project.gone_servers]
    return [_history(project, server) for server in sorted(known, key=lambda s: s.id)]


def bill(catalog: Catalog, project: Project, now: datetime) -> list[dict[str, Any]]:
    """Return what each server and primary IP of a project has cost until now, in EUR, net."""
    lines = []
    for server in sorted(
        [*project.servers.values(), *project.gone_servers], key=lambda server: server.id
    ):
        if server.billed_from is not None:
            price = catalog.server_price(server.server_type, server.location)
            item = {"kind": "server", "id": server.id, "name": server.name}
            item |= {"server_type": server.server_type, "location": server.location}
            lines.append(item | _line(price, server.billed_from, server.deleted, now))
    for ip in sorted(
        [*project.primary_ips.values(), *project.gone_primary_ips], key=lambda ip: ip.id
    ):
        price = catalog.primary_ip_price(ip.type, ip.location)
        item = {"kind": "primary_ip", "id": ip.id, "name": ip.name}
        item |= {"type": ip.type, "location": ip.location}
        lines.append(item | _line(price, ip.created, ip.deleted, now))
    return [{"project": project.name} | line for line in lines]


def bill_totals(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of a bill: so far, and per hour of what exists now."""
    running = [line for line in lines if line["deleted"] is None]
    return {
        "currency": "EUR",
        "total": str(sum((Decimal(line["cost"]) for line in lines), Decimal(0))),
        "eur_per_hour": str(sum((Decimal(x["eur_per_hour"]) for x in running), Decimal(0))),
    }


def _line(price: Price, start: datetime, end: datetime | None, now: datetime) -> dict[str, Any]:
    until = max(start, end or now)
    return {
        "created": start.isoformat(),
        "deleted": end.isoformat() if end else None,
        "hours": cost.started_hours(start, until),
        "eur_per_hour": str(price.hourly),
        "eur_per_month_at_most": str(price.monthly),
        "cost": str(cost.amount(price, start, until)),
    }


def _history(project: Project, server: Server) -> dict[str, Any]:
    ipv4 = project.public_ip(server.id, "ipv4")
    ipv6 = project.public_ip(server.id, "ipv6")
    return {
        "id": server.id,
        "project": project.name,
        "name": server.name,
        "server_type": server.server_type,
        "location": server.location,
        "status": "deleted" if server.deleted else server.status.value,
        "labels": dict(server.labels),
        "created": server.created.isoformat(),
        "deleted": server.deleted.isoformat() if server.deleted else None,
        "public_ipv4": ipv4.ip if ipv4 else server.last_ipv4,
        "public_ipv6": ipv6.ip if ipv6 else server.last_ipv6,
        "private": [{"network": nic.network_id, "ip": nic.ip} for nic in server.nics],
    }


def _nics(project: Project, server: Server) -> tuple[PrivateNic, ...]:
    nics = []
    for nic in server.nics:
        network = project.networks.get(nic.network_id)
        if network is not None and nic.state != "attaching":
            facts = PrivateNic(
                network_id=nic.network_id,
                network_range=network.ip_range,
                ip=nic.ip,
                mac=nic.mac,
                gateway=addresses.gateway(network.ip_range),
                alias_ips=nic.alias_ips,
            )
            nics.append(facts)
    return tuple(nics)


def _rules(project: Project, server: Server) -> tuple[FirewallRule, ...] | None:
    applied = project.firewalls_of(server)
    if not applied:
        return None
    return tuple(
        FirewallRule(
            direction=rule.direction,
            protocol=rule.protocol,
            port=rule.port,
            source_ips=rule.source_ips,
            destination_ips=rule.destination_ips,
        )
        for firewall, _ in applied
        for rule in firewall.rules
    )
