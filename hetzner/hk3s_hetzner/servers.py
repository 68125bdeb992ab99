"""Servers: look-up, birth, start, stop, death."""

from collections.abc import Mapping, Sequence
from typing import Any

from hk3s_hetzner import domain, parse
from hk3s_hetzner.api import Api
from hk3s_hetzner.errors import AlreadyExists, NotFound


class Servers(Api):
    """What can be done with servers."""

    async def list_servers(
        self, *, label_selector: str | None = None, name: str | None = None
    ) -> tuple[domain.Server, ...]:
        """Return the servers that match both filters, each page one call."""
        found = await self._list("servers", label_selector=label_selector, name=name)
        return tuple(map(parse.server, found))

    async def get_server(self, server_id: int) -> domain.Server | None:
        """Return the server, None when it is gone."""
        try:
            answer = await self._transport.call("GET", f"/servers/{server_id}")
        except NotFound:
            return None
        return parse.server(answer["server"])

    async def get_server_by_name(self, name: str) -> domain.Server | None:
        """Return the server of that name; names are unique in a project."""
        return next(iter(await self.list_servers(name=name)), None)

    async def create_server(
        self,
        *,
        name: str,
        server_type: str,
        location: str,
        image: str | int,
        labels: Mapping[str, str],
        user_data: str,
        ssh_keys: Sequence[int] = (),
        primary_ipv4_id: int | None = None,
        firewalls: Sequence[int] = (),
        networks: Sequence[int] = (),
        start_after_create: bool = False,
    ) -> domain.CreatedServer:
        """Create a server; it has no public address but the Primary IPv4 that is given.

        `AlreadyExists` also follows a call that timed out but was carried out: look it up by name.
        Without `ssh_keys` Hetzner mails a root password to the account's owner.
        A server without any public address must be created off, attached, then started.
        """
        public_net: dict[str, Any] = {
            "enable_ipv4": primary_ipv4_id is not None,
            "enable_ipv6": False,
        }
        if primary_ipv4_id is not None:
            public_net["ipv4"] = primary_ipv4_id
        body: dict[str, Any] = {
            "name": name,
            "server_type": server_type,
            "location": location,
            "image": image,
            "labels": dict(labels),
            "user_data": user_data,
            "public_net": public_net,
            "start_after_create": start_after_create,
        }
        if ssh_keys:
            body["ssh_keys"] = list(ssh_keys)
        if firewalls:
            body["firewalls"] = [{"firewall": firewall_id} for firewall_id in firewalls]
        if networks:
            body["networks"] = list(networks)
        answer = await self._transport.call("POST", "/servers", body=body)
        return domain.CreatedServer(
            server=parse.server(answer["server"]), action_ids=parse.action_ids(answer)
        )

    async def attach_to_network(
        self, server_id: int, network_id: int, *, ip: str | None = None, ip_range: str | None = None
    ) -> tuple[int, ...]:
        """Attach a server, at `ip` or anywhere in the subnet `ip_range`; return action ids.

        A server that is attached already is fine and gives no action.
        """
        body: dict[str, Any] = {"network": network_id}
        if ip is not None:
            body["ip"] = ip
        if ip_range is not None:
            body["ip_range"] = ip_range
        try:
            return await self._act(f"/servers/{server_id}/actions/attach_to_network", body)
        except AlreadyExists:
            return ()

    async def power_on(self, server_id: int) -> tuple[int, ...]:
        """Start a server; return action ids."""
        return await self._act(f"/servers/{server_id}/actions/poweron")

    async def power_off(self, server_id: int) -> tuple[int, ...]:
        """Cut a server's power; return action ids. It stays billed."""
        return await self._act(f"/servers/{server_id}/actions/poweroff")

    async def delete_server(self, server_id: int) -> tuple[int, ...]:
        """Delete a server at once; return action ids, none when it was gone."""
        return await self._delete("servers", server_id)
