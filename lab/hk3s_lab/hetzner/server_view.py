"""A server as the API shows it."""

from typing import Any

from hk3s_lab.hetzner.call import Call, timestamp
from hk3s_lab.hetzner.model import offers
from hk3s_lab.hetzner.model.records import PrimaryIp, Server
from hk3s_lab.hetzner.resources import images, placement_groups, reverse_names


class ServerViews:
    """Shows the servers of one answer, looking up what they share only once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._addresses = call.project.public_ips()
        self._types: dict[str, dict[str, Any]] = {}
        self._volumes: dict[int, list[int]] = {}
        for volume in call.project.volumes.values():
            if volume.server_id is not None:
                self._volumes.setdefault(volume.server_id, []).append(volume.id)
        self._floating_ips: dict[int, list[int]] = {}
        for ip in call.project.floating_ips.values():
            if ip.server_id is not None:
                self._floating_ips.setdefault(ip.server_id, []).append(ip.id)
        self._balancers: dict[int, list[int]] = {}
        for balancer in call.project.load_balancers.values():
            for target in balancer.targets:
                if target.server_id is not None:
                    self._balancers.setdefault(target.server_id, []).append(balancer.id)

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
            "image": images.find(self._call, server.image_id),
            "iso": offers.iso(str(server.iso)) if server.iso is not None else None,
            "rescue_enabled": server.rescue_enabled,
            "locked": self._call.project.is_locked(("server", server.id)),
            "backup_window": server.backup_window,
            "outgoing_traffic": 0,
            "ingoing_traffic": 0,
            "included_traffic": self._traffic(server_type, server.location),
            "protection": {
                "delete": server.delete_protected,
                "rebuild": server.rebuild_protected,
            },
            "labels": dict(server.labels),
            "volumes": self._volumes.get(server.id, []),
            "load_balancers": self._balancers.get(server.id, []),
            "primary_disk_size": server.disk_size,
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
            "floating_ips": self._floating_ips.get(server.id, []),
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
    name = reverse_names.name_of(ip.ip, ip.dns)
    return {"id": ip.id, "ip": ip.ip, "blocked": False, "dns_ptr": name}


def _ipv6(ip: PrimaryIp | None) -> dict[str, Any] | None:
    if ip is None:
        return None
    names = reverse_names.names(ip.ip, ip.dns)
    return {"id": ip.id, "ip": ip.ip, "blocked": False, "dns_ptr": names}
