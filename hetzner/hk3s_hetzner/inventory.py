"""Everything else: SSH keys, the catalogue, what workloads made, labels."""

from collections.abc import Mapping
from typing import Literal

from hk3s_hetzner import domain, parse
from hk3s_hetzner.api import Api


class Inventory(Api):
    """What can be done with keys, lists of facts, volumes, load balancers and labels."""

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
