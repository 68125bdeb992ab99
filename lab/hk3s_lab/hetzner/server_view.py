"""A server as the API shows it."""

from typing import Any

from hk3s_lab.hetzner.call import Call, timestamp
from hk3s_lab.hetzner.model.records import PrimaryIp, Server
from hk3s_lab.hetzner.resources import placement_groups
from hk3s_lab.hetzner.resources.primary_ips import reverse_name


class ServerViews:
    """Shows the servers of one answer, looking up what they share only once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._addresses = call.project.public_ips()
        self._types: dict[str, dict[str, Any]] = {}

    def view(self, server: Server) -> dict[str, Any]:
        """Return one server."""
        catalog = self._call.world.catalog
        server_type = self._type(server.server_type)
        return {
            "id": server.id,
            "name": server.name,
            "status": server.status.value,
            "created": timestamp(server.created),
            "public_net": self._public_net(server),
            "private_net": [
                {
                    "network": nic.network_id,
                    "ip": nic.ip,
                    "alias_ips": list(nic.alias_ips),
                    "mac_address": nic.mac,
                }
                for nic in server.nics
                if nic.state != "attaching"
            ],
            "server_type": server_type,
            "location": catalog.location(server.location),
            "image": catalog.image(server.image, server.architecture),
            "iso": None,
            "rescue_enabled": False,
            "locked": self._call.project.is_locked(("server", server.id)),
            "backup_window": None,
            "outgoing_traffic": 0,
            "ingoing_traffic": 0,
            "included_traffic": self._traffic(server_type, server.location),
            "protection": {
                "delete": server.delete_protected,
                "rebuild": server.rebuild_protected,
            },
            "labels": dict(server.labels),
            "volumes": [
                volume.id
                for volume in self._call.project.volumes.values()
                if volume.server_id == server.id
            ],
            "load_balancers": [],
            "primary_disk_size": server_type["disk"],
            "placement_group": self._placement_group(server),
        }

    def _type(self, name: str) -> dict[str, Any]:
        if name not in self._types:
            catalog = self._call.world.catalog
            self._types[name] = catalog.view(catalog.server_type(name) or {})
        return self._types[name]

    def _public_net(self, server: Server) -> dict[str, Any]:
        addresses = self._addresses.get(server.id, {})
        return {
            "ipv4": _ipv4(addresses.get("ipv4")),
            "ipv6": _ipv6(addresses.get("ipv6")),
            "floating_ips": [],
            "firewalls": [
                {"id": firewall.id, "status": "pending" if pending else "applied"}
                for firewall, pending in self._call.project.firewalls_of(server)
                if addresses
            ],
        }

    def _placement_group(self, server: Server) -> dict[str, Any] | None:
        if server.placement_group is None:
            return None
        project = self._call.project
        return placement_groups.view(project, project.placement_groups[server.placement_group])

    @staticmethod
    def _traffic(server_type: dict[str, Any], location: str) -> int:
        prices = (p for p in server_type["prices"] if p["location"] == location)
        return next((int(price["included_traffic"]) for price in prices), 0)


def _ipv4(ip: PrimaryIp | None) -> dict[str, Any] | None:
    if ip is None:
        return None
    return {"id": ip.id, "ip": ip.ip, "blocked": False, "dns_ptr": reverse_name(ip.ip)}


def _ipv6(ip: PrimaryIp | None) -> dict[str, Any] | None:
    if ip is None:
        return None
    return {"id": ip.id, "ip": ip.ip, "blocked": False, "dns_ptr": []}
