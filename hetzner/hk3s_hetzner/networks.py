"""Networks, firewalls and Primary IPs: what a server is reached through."""

from collections.abc import Mapping, Sequence
from typing import Any

from hk3s_hetzner import domain, parse
from hk3s_hetzner.api import Api
from hk3s_hetzner.errors import AlreadyExists, NotFound


class Networks(Api):
    """What can be done with networks, firewalls and Primary IPs."""

    async def list_networks(
        self, *, label_selector: str | None = None, name: str | None = None
    ) -> tuple[domain.Network, ...]:
        """Return the networks that match both filters."""
        found = await self._list("networks", label_selector=label_selector, name=name)
        return tuple(map(parse.network, found))

    async def get_network(self, network_id: int) -> domain.Network | None:
        """Return the network, None when it is gone."""
        try:
            answer = await self._transport.call("GET", f"/networks/{network_id}")
        except NotFound:
            return None
        return parse.network(answer["network"])

    async def create_network(
        self,
        *,
        name: str,
        ip_range: str,
        labels: Mapping[str, str],
        subnets: Sequence[domain.Subnet] = (),
        routes: Sequence[domain.Route] = (),
    ) -> domain.Network:
        """Create a network with its subnets and routes; it is ready when the call returns."""
        body = {
            "name": name,
            "ip_range": ip_range,
            "labels": dict(labels),
            "subnets": [_subnet_body(subnet.ip_range, subnet.network_zone) for subnet in subnets],
            "routes": [
                {"destination": route.destination, "gateway": route.gateway} for route in routes
            ],
        }
        answer = await self._transport.call("POST", "/networks", body=body)
        return parse.network(answer["network"])

    async def add_subnet(
        self, network_id: int, *, ip_range: str, network_zone: str
    ) -> tuple[int, ...]:
        """Add a cloud subnet; return action ids."""
        return await self._act(
            f"/networks/{network_id}/actions/add_subnet", _subnet_body(ip_range, network_zone)
        )

    async def add_route(self, network_id: int, route: domain.Route) -> tuple[int, ...]:
        """Add a route; return action ids."""
        body = {"destination": route.destination, "gateway": route.gateway}
        return await self._act(f"/networks/{network_id}/actions/add_route", body)

    async def delete_route(self, network_id: int, route: domain.Route) -> tuple[int, ...]:
        """Delete a route; return action ids."""
        body = {"destination": route.destination, "gateway": route.gateway}
        return await self._act(f"/networks/{network_id}/actions/delete_route", body)

    async def delete_network(self, network_id: int) -> None:
        """Delete a network; its members are detached."""
        await self._delete("networks", network_id)

    async def list_firewalls(
        self, *, label_selector: str | None = None, name: str | None = None
    ) -> tuple[domain.Firewall, ...]:
        """Return the firewalls that match both filters."""
        found = await self._list("firewalls", label_selector=label_selector, name=name)
        return tuple(map(parse.firewall, found))

    async def create_firewall(
        self, *, name: str, rules: Sequence[domain.FirewallRule], labels: Mapping[str, str]
    ) -> domain.Firewall:
        """Create a firewall that is applied to nothing yet."""
        body = {
            "name": name,
            "labels": dict(labels),
            "rules": [parse.firewall_rule_body(rule) for rule in rules],
        }
        answer = await self._transport.call("POST", "/firewalls", body=body)
        return parse.firewall(answer["firewall"])

    async def set_firewall_rules(
        self, firewall_id: int, rules: Sequence[domain.FirewallRule]
    ) -> tuple[int, ...]:
        """Replace all rules; return action ids."""
        body = {"rules": [parse.firewall_rule_body(rule) for rule in rules]}
        return await self._act(f"/firewalls/{firewall_id}/actions/set_rules", body)

    async def apply_firewall(self, firewall_id: int, server_id: int) -> tuple[int, ...]:
        """Apply a firewall to a server with a public address; return action ids."""
        body = {"apply_to": [{"type": "server", "server": {"id": server_id}}]}
        try:
            return await self._act(f"/firewalls/{firewall_id}/actions/apply_to_resources", body)
        except AlreadyExists:
            return ()

    async def delete_firewall(self, firewall_id: int) -> None:
        """Delete a firewall; `InUse` while it is applied."""
        await self._delete("firewalls", firewall_id)

    async def list_primary_ips(
        self, *, label_selector: str | None = None, name: str | None = None
    ) -> tuple[domain.PrimaryIp, ...]:
        """Return the Primary IPs that match both filters."""
        found = await self._list("primary_ips", label_selector=label_selector, name=name)
        return tuple(map(parse.primary_ip, found))

    async def create_primary_ipv4(
        self, *, name: str, location: str, labels: Mapping[str, str]
    ) -> domain.PrimaryIp:
        """Create an address that outlives its server; assign it in the server's create call."""
        body = {
            "name": name,
            "type": "ipv4",
            "assignee_type": "server",
            "location": location,
            "auto_delete": False,
            "labels": dict(labels),
        }
        answer = await self._transport.call("POST", "/primary_ips", body=body)
        return parse.primary_ip(answer["primary_ip"])

    async def delete_primary_ip(self, primary_ip_id: int) -> None:
        """Delete an address; `InvalidRequest` while it is assigned to a running server."""
        await self._delete("primary_ips", primary_ip_id)


def _subnet_body(ip_range: str, network_zone: str) -> dict[str, Any]:
    return {"type": "cloud", "ip_range": ip_range, "network_zone": network_zone}
