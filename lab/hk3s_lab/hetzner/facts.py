"""From the model's records to what the rest of the lab and the control endpoint see."""

from typing import Any

from hk3s_lab.hetzner.events import FirewallRule, MachineFacts, PrivateNic
from hk3s_lab.hetzner.model import addresses
from hk3s_lab.hetzner.model.catalog import Catalog
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
    known = [*project.servers.values(), *project.gone.servers]
    return [_history(project, server) for server in sorted(known, key=lambda s: s.id)]


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
