"""The metadata service at 169.254.169.254, as far as cloud-init and our machines ask it.

Who asks is known by the address that the request comes from, which a server cannot choose.
"""

from collections.abc import Callable, Iterable

import yaml
from aiohttp import web

from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.linux.fabric import METADATA, RESOLVERS, public_mac
from hk3s_lab.linux.namespaces import Network

PORT = 80

FindMachines = Callable[[], Iterable[MachineFacts]]
NetworkStyle = Callable[[MachineFacts], tuple[str, bool]]
"""Facts -> name of the first private NIC, and whether cloud-init is to configure it."""


class Metadata:
    """Listens in the Internet for public NICs and at the gateway of each private network."""

    def __init__(self, find: FindMachines, style: NetworkStyle) -> None:
        self._find = find
        self._style = style
        self._runners: list[web.AppRunner] = []

    async def serve(self, network: Network, network_id: int | None) -> None:
        """Listen in a network; None is the Internet's side."""

        def machine(request: web.Request) -> MachineFacts:
            for facts in self._find():
                addresses = (
                    {facts.public_ipv4}
                    if network_id is None
                    else {nic.ip for nic in facts.private if nic.network_id == network_id}
                )
                if request.remote in addresses:
                    return facts
            raise web.HTTPNotFound(text="not found")

        async def metadata(request: web.Request) -> web.Response:
            return web.Response(text=yaml.safe_dump(self.describe(machine(request))))

        async def instance_id(request: web.Request) -> web.Response:
            return web.Response(text=str(machine(request).server_id))

        async def hostname(request: web.Request) -> web.Response:
            return web.Response(text=machine(request).name)

        async def private_networks(request: web.Request) -> web.Response:
            return web.Response(text=yaml.safe_dump(_private(machine(request))))

        async def user_data(request: web.Request) -> web.Response:
            return web.Response(text=machine(request).user_data or "")

        app = web.Application()
        base = "/hetzner/v1"
        app.router.add_get(f"{base}/metadata", metadata)
        app.router.add_get(f"{base}/metadata/instance-id", instance_id)
        app.router.add_get(f"{base}/metadata/hostname", hostname)
        app.router.add_get(f"{base}/metadata/private-networks", private_networks)
        app.router.add_get(f"{base}/userdata", user_data)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        self._runners.append(runner)
        await web.SockSite(runner, network.listen(METADATA, PORT)).start()

    def describe(self, facts: MachineFacts) -> dict[str, object]:
        """Return what /metadata says."""
        name, configured = self._style(facts)
        config: list[dict[str, object]] = []
        if facts.public_ipv4 is not None:
            config.append(_nic("eth0", public_mac(facts)))
            config.append({"type": "nameserver", "address": list(RESOLVERS), "interface": "eth0"})
        if configured:
            config += [_nic(name, nic.mac) for nic in facts.private[:1]]
        return {
            "availability-zone": f"{facts.location}-dc1",
            "hostname": facts.name,
            "instance-id": facts.server_id,
            "public-ipv4": facts.public_ipv4 or "",
            "public-keys": [],
            "region": facts.network_zone,
            "network-config": {"version": 1, "config": config},
        }

    async def stop(self) -> None:
        """Stop listening everywhere."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()


def _nic(name: str, mac: str) -> dict[str, object]:
    subnets = [{"type": "dhcp", "ipv4": True}]
    return {"type": "physical", "name": name, "mac_address": mac, "subnets": subnets}


def _private(facts: MachineFacts) -> list[dict[str, object]]:
    return [
        {
            "ip": nic.ip,
            "alias_ips": list(nic.alias_ips),
            "interface_num": number,
            "mac_address": nic.mac,
            "network_id": nic.network_id,
            "network": nic.network_range,
            "gateway": nic.gateway,
        }
        for number, nic in enumerate(facts.private, start=1)
    ]
