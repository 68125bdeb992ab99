"""The async face over the official SDK: frozen facts in and out, error kinds, batched waits.

Only the SDK's request layer is used (authentication, retries, error parsing): its bound models
load missing fields by hidden calls. Every method may raise the kinds of `errors`.
Deleting what is gone succeeds; looking up what is absent returns None.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from hk3s_hetzner import domain, parse
from hk3s_hetzner.actions import ActionPoller, PollInterval, growing
from hk3s_hetzner.clock import Clock, SystemClock
from hk3s_hetzner.errors import AlreadyExists, NotFound
from hk3s_hetzner.transport import DEFAULT_ENDPOINT, Call, Transport

PAGE_SIZE = 50
"""The API's maximum."""


class Hetzner:
    """Hetzner Cloud for one project.

    `fence` is called in a worker thread before each attempt of a call that is not a GET and
    raises `FenceLost` to stop it. `observe` is told each attempt, also in a worker thread.
    """

    def __init__(
        self,
        token: str,
        *,
        endpoint: str = DEFAULT_ENDPOINT,
        fence: Callable[[], None] | None = None,
        observe: Callable[[Call], None] | None = None,
        clock: Clock | None = None,
        poll_interval: PollInterval = growing,
        workers: int = 8,
    ) -> None:
        self._transport = Transport(
            token, endpoint=endpoint, fence=fence, observe=observe, workers=workers
        )
        self._poller = ActionPoller(
            self._get_actions,
            redactor=self._transport.redactor,
            clock=clock or SystemClock(),
            interval=poll_interval,
        )

    async def close(self) -> None:
        """Stop polling, refuse further attempts and wait for the threads."""
        await self._poller.close()
        await self._transport.close()

    @property
    def rate_limit(self) -> domain.RateLimit | None:
        """The request budget of the last answer that stated it, None before the first."""
        return self._transport.rate_limit

    @property
    def rate_limit_remaining(self) -> int | None:
        """Requests left in the project's budget, None before the first answer."""
        limit = self._transport.rate_limit
        return None if limit is None else limit.remaining

    @property
    def redact(self) -> Callable[[str], str]:
        """Masks the API token, and pieces of it, in a text."""
        return self._transport.redactor.text

    # Servers

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

    # Actions

    async def wait(
        self,
        action_ids: Sequence[int],
        *,
        timeout: float,  # noqa: ASYNC109 - on our clock
    ) -> tuple[domain.Action, ...]:
        """Return the actions once all succeeded, in the given order; no ids return at once.

        All waiters share one poll of at most 25 ids a call. Raises the kind of the first failed
        action, or `ActionTimeout` after `timeout` seconds of the clock.
        """
        return await self._poller.wait(action_ids, seconds=timeout)

    # Networks

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

    # Firewalls

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

    # Primary IPs

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

    # SSH keys

    async def list_ssh_keys(
        self,
        *,
        label_selector: str | None = None,
        name: str | None = None,
        fingerprint: str | None = None,
    ) -> tuple[domain.SshKey, ...]:
        """Return the keys that match all filters; `fingerprint` is MD5 with colons."""
        found = await self._list(
            "ssh_keys", label_selector=label_selector, name=name, fingerprint=fingerprint
        )
        return tuple(map(parse.ssh_key, found))

    async def create_ssh_key(
        self, *, name: str, public_key: str, labels: Mapping[str, str]
    ) -> domain.SshKey:
        """Upload a public key; `AlreadyExists` when its name or fingerprint is taken."""
        body = {"name": name, "public_key": public_key, "labels": dict(labels)}
        answer = await self._transport.call("POST", "/ssh_keys", body=body)
        return parse.ssh_key(answer["ssh_key"])

    async def delete_ssh_key(self, ssh_key_id: int) -> None:
        """Delete a key from the project; servers keep theirs."""
        await self._delete("ssh_keys", ssh_key_id)

    # Catalogue

    async def list_server_types(self) -> tuple[domain.ServerType, ...]:
        """Return all server types with prices and stock by location."""
        return tuple(map(parse.server_type, await self._list("server_types")))

    async def list_locations(self) -> tuple[domain.Location, ...]:
        """Return all locations."""
        return tuple(map(parse.location, await self._list("locations")))

    async def list_images(
        self,
        *,
        name: str | None = None,
        architecture: Literal["x86", "arm"] | None = None,
        label_selector: str | None = None,
    ) -> tuple[domain.Image, ...]:
        """Return the images that match all filters; one name has an image an architecture."""
        found = await self._list(
            "images", name=name, architecture=architecture, label_selector=label_selector
        )
        return tuple(map(parse.image, found))

    async def get_pricing(self) -> domain.Pricing:
        """Return currency, VAT and what Primary IPs cost."""
        answer = await self._transport.call("GET", "/pricing")
        return parse.pricing(answer["pricing"])

    # Leftovers of workloads

    async def list_volumes(self, *, label_selector: str | None = None) -> tuple[domain.Volume, ...]:
        """Return the volumes that match."""
        return tuple(map(parse.volume, await self._list("volumes", label_selector=label_selector)))

    async def detach_volume(self, volume_id: int) -> tuple[int, ...]:
        """Detach a volume from its server; return action ids."""
        return await self._act(f"/volumes/{volume_id}/actions/detach")

    async def delete_volume(self, volume_id: int) -> None:
        """Delete a detached volume and its data."""
        await self._delete("volumes", volume_id)

    async def list_load_balancers(
        self, *, label_selector: str | None = None, network_id: int | None = None
    ) -> tuple[domain.LoadBalancer, ...]:
        """Return the load balancers that match, and are members of the network if given."""
        found = await self._list("load_balancers", label_selector=label_selector)
        balancers = tuple(map(parse.load_balancer, found))
        if network_id is None:
            return balancers
        return tuple(
            balancer
            for balancer in balancers
            if any(net.network_id == network_id for net in balancer.private_nets)
        )

    async def delete_load_balancer(self, load_balancer_id: int) -> tuple[int, ...]:
        """Delete a load balancer; return action ids (older APIs give none)."""
        return await self._delete("load_balancers", load_balancer_id)

    # Any resource

    async def update_labels(
        self, resource: domain.Resource, object_id: int, labels: Mapping[str, str]
    ) -> None:
        """Replace the whole label map of an object."""
        await self._transport.call("PUT", f"/{resource}/{object_id}", body={"labels": dict(labels)})

    async def _list(self, collection: str, **filters: str | None) -> list[dict[str, Any]]:
        query = {key: value for key, value in filters.items() if value is not None}
        found: list[dict[str, Any]] = []
        page: int | None = 1
        while page:
            answer = await self._transport.call(
                "GET", f"/{collection}", query={**query, "page": page, "per_page": PAGE_SIZE}
            )
            found.extend(answer[collection])
            page = ((answer.get("meta") or {}).get("pagination") or {}).get("next_page")
        return found

    async def _act(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, ...]:
        return parse.action_ids(await self._transport.call("POST", path, body=body))

    async def _delete(self, collection: str, object_id: int) -> tuple[int, ...]:
        try:
            answer = await self._transport.call("DELETE", f"/{collection}/{object_id}")
        except NotFound:
            return ()
        return parse.action_ids(answer)

    async def _get_actions(self, action_ids: Sequence[int]) -> tuple[domain.Action, ...]:
        answer = await self._transport.call(
            "GET", "/actions", query={"id": list(action_ids), "per_page": PAGE_SIZE}
        )
        return tuple(map(parse.action, answer["actions"]))


def _subnet_body(ip_range: str, network_zone: str) -> dict[str, Any]:
    return {"type": "cloud", "ip_range": ip_range, "network_zone": network_zone}
