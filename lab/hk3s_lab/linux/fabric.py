"""Hetzner's network for Linux machines: private networks without neighbours, and public NICs.

Layer 3 only: each server's NIC is a wire of its own to the gateway, which has the network's first
address, checks sources (uRPF) and follows the network's routes. Facts: MTU 1450 on private NICs,
DHCP by lease with option 121 (RFC 3442) and no router option, MACs of 86:00.
"""

import asyncio
import ipaddress
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hk3s_lab.clock import Clock
from hk3s_lab.hetzner.events import FirewallRule, MachineFacts, PrivateNic
from hk3s_lab.linux.cgroups import Group
from hk3s_lab.linux.daemons import Dnsmasq
from hk3s_lab.linux.namespaces import Network

METADATA = "169.254.169.254"
PUBLIC_GATEWAY = "172.31.1.1"
PUBLIC_RANGE = ipaddress.IPv4Network("203.0.113.0/24")
RESOLVERS = ("185.12.64.1", "185.12.64.2")
LEASE_SECONDS = 120
"""dnsmasq has no shorter lease; Hetzner's own is a day."""
RENEWAL_SECONDS = 20
"""When a client renews (option 58, T1), so that several renewals happen within a test."""
PRIVATE_MTU, PUBLIC_MTU = 1450, 1500

_PUBLIC_ROUTER = str(PUBLIC_RANGE.broadcast_address - 1)
"""Puts dnsmasq's end of a public wire into the range that it hands out."""


@dataclass(slots=True)
class _Wire:
    server_id: int
    device: str
    mac: str
    address: str


@dataclass(slots=True, kw_only=True)
class PrivateNetwork:
    """One network of a project: its gateway and the wires of its servers."""

    network_id: int
    ip_range: str
    gateway: str
    network: Network
    dhcp: Dnsmasq
    wires: dict[int, _Wire] = field(default_factory=dict)

    async def start(self) -> None:
        """Set up the gateway."""
        await self.network.create()
        await self.network.configure(
            ipv4__ip_forward=1,
            ipv4__conf__all__rp_filter=1,
            ipv4__conf__default__rp_filter=1,
            ipv4__conf__all__send_redirects=0,
            ipv4__conf__default__send_redirects=0,
            ipv6__conf__all__disable_ipv6=1,
        )
        await self.network.ip(
            f"address add {self.gateway}/32 dev lo",
            f"address add {METADATA}/32 dev lo",
            f"route add blackhole {self.ip_range}",
        )
        await self.network.nft(
            "table inet lab { set silent { type ifname; }\n"
            "chain input { type filter hook input priority 0;\n"
            "iifname @silent udp dport 67 drop\n}\n}"
        )
        await self.dhcp.start()

    async def connect(self, server_id: int, nic: PrivateNic, machine: Network, name: str) -> None:
        """Wire a server's NIC to the gateway."""
        wire = _Wire(server_id, f"v-{server_id}", nic.mac, nic.ip)
        await self.network.ip(
            f"link add {wire.device} mtu {PRIVATE_MTU} type veth peer name {name}"
            f" mtu {PRIVATE_MTU} address {nic.mac} netns {machine.path}",
            f"address add {self.gateway}/32 dev {wire.device}",
            f"link set {wire.device} up",
            f"route replace {nic.ip}/32 dev {wire.device}",
        )
        self.wires[server_id] = wire
        self._tell_dhcp()

    async def disconnect(self, server_id: int) -> None:
        """Cut a server's wire; one that has none is fine."""
        wire = self.wires.pop(server_id, None)
        if wire is not None:
            await self.network.ip(f"link delete {wire.device}", force=True)
            self._tell_dhcp()

    async def route(self, routes: Iterable[tuple[str, str]]) -> None:
        """Follow these routes (destination, gateway); one whose gateway is off is lost."""
        by_address = {wire.address: wire for wire in self.wires.values()}
        lines = ["route flush proto 250"]
        for destination, hop in routes:
            wire = by_address.get(hop)
            if wire is not None:
                lines.append(
                    f"route replace {destination} via {hop} dev {wire.device} onlink proto 250"
                )
        await self.network.ip(*lines, force=True)

    async def silence_dhcp(self, server_id: int, *, silent: bool) -> None:
        """Let DHCP not answer a server any more, or again."""
        verb = "add" if silent else "delete"
        device = self.wires[server_id].device
        await self.network.nft(f'{verb} element inet lab silent {{ "{device}" }}\n')

    def _tell_dhcp(self) -> None:
        self.dhcp.set_hosts({wire.mac: wire.address for wire in self.wires.values()})

    async def stop(self) -> None:
        """Take the network down."""
        await self.dhcp.stop()
        self.network.remove()


class Fabric:
    """All networks of a lab.

    `internet` is where public NICs end, `caller` the address there that this process calls from.
    """

    def __init__(
        self,
        directory: Path,
        internet: Network,
        names: dict[str, str],
        caller: str,
        group: Group,
        clock: Clock,
        on_network: Callable[[PrivateNetwork], object],
    ) -> None:
        self._directory = directory
        self._internet = internet
        self._caller = caller
        self._group = group
        self._clock = clock
        self._on_network = on_network
        self._private: dict[int, PrivateNetwork] = {}
        self._making = asyncio.Lock()
        self._public: dict[int, _Wire] = {}
        self._rules: dict[int, tuple[FirewallRule, ...] | None] = {}
        self._dhcp = self._dnsmasq(internet, directory / "public", _public_settings(names))

    async def start(self) -> None:
        """Set up the Internet's side."""
        self._group.create()
        addresses = (METADATA, PUBLIC_GATEWAY, *RESOLVERS)
        await self._internet.create()
        await self._internet.configure(ipv6__conf__all__disable_ipv6=1)
        await self._internet.ip(*(f"address add {one}/32 dev lo" for one in addresses))
        await self._internet.nft(
            "table inet lab {\n"
            "chain output { type filter hook output priority 0; }\n"
            "chain input { type filter hook input priority 0; }\n}"
        )
        await self._dhcp.start()

    async def add_internet_addresses(self, addresses: Iterable[str]) -> None:
        """Give the Internet further addresses, for sites and callers."""
        await self._internet.ip(*(f"address add {one}/32 dev lo" for one in addresses))

    def private(self, network_id: int) -> PrivateNetwork | None:
        """Return a private network that has had servers."""
        return self._private.get(network_id)

    async def connect(self, facts: MachineFacts, machine: Network, nic_name: str) -> None:
        """Wire all NICs of a server; those it had are cut."""
        await self.disconnect(facts.server_id)
        if facts.public_ipv4 is not None:
            await self._connect_public(facts, facts.public_ipv4, machine)
        for number, nic in enumerate(facts.private):
            network = await self._network(nic)
            name = nic_name if number == 0 else f"{nic_name}n{number}"
            await network.connect(facts.server_id, nic, machine, name)

    async def disconnect(self, server_id: int) -> None:
        """Cut all wires of a server."""
        for network in tuple(self._private.values()):
            await network.disconnect(server_id)
        wire = self._public.pop(server_id, None)
        if wire is not None:
            self._rules.pop(server_id, None)
            await self._internet.ip(f"link delete {wire.device}", force=True)
            self._dhcp.set_hosts({one.mac: one.address for one in self._public.values()})

    async def cut_internet(self, *, cut: bool) -> None:
        """Let nothing from any server reach the Internet any more, or again."""
        rule = 'add rule inet lab input iifname "p-*" drop\n' if cut else ""
        await self._internet.nft(f"flush chain inet lab input\n{rule}")

    async def follow(self, machines: Iterable[MachineFacts]) -> None:
        """Bring the firewalls in front of public NICs to what the API says."""
        self._rules = {m.server_id: m.firewall_rules for m in machines}
        await self._filter()

    async def route(self, network_id: int, routes: Iterable[tuple[str, str]]) -> None:
        """Follow a network's routes."""
        network = self._private.get(network_id)
        if network is not None:
            await network.route(routes)

    async def stop(self) -> None:
        """Take everything down."""
        for network in self._private.values():
            await network.stop()
        self._private.clear()
        await self._dhcp.stop()

    async def _network(self, nic: PrivateNic) -> PrivateNetwork:
        async with self._making:
            known = self._private.get(nic.network_id)
            return known or await self._make(nic)

    async def _make(self, nic: PrivateNic) -> PrivateNetwork:
        directory = self._directory / f"network-{nic.network_id}"
        directory.mkdir(parents=True)
        gateway = Network(directory / "ns")
        network = PrivateNetwork(
            network_id=nic.network_id,
            ip_range=nic.network_range,
            gateway=nic.gateway,
            network=gateway,
            dhcp=self._dnsmasq(gateway, directory, _private_settings(nic)),
        )
        try:
            await network.start()
        except BaseException:  # the power of the first server may be cut meanwhile
            await network.stop()
            shutil.rmtree(directory, ignore_errors=True)
            raise
        self._private[nic.network_id] = network
        self._on_network(network)
        return network

    def _dnsmasq(self, network: Network, directory: Path, settings: tuple[str, ...]) -> Dnsmasq:
        return Dnsmasq(network, directory, settings, group=self._group, clock=self._clock)

    async def _connect_public(self, facts: MachineFacts, address: str, machine: Network) -> None:
        wire = _Wire(facts.server_id, f"p-{facts.server_id}", public_mac(facts), address)
        self._public[facts.server_id] = wire
        self._rules[facts.server_id] = facts.firewall_rules
        await self._internet.ip(
            f"link add {wire.device} mtu {PUBLIC_MTU} type veth peer name eth0"
            f" mtu {PUBLIC_MTU} address {wire.mac} netns {machine.path}",
            f"address add {PUBLIC_GATEWAY}/32 dev {wire.device}",
            f"address add {_PUBLIC_ROUTER}/32 dev {wire.device}",
            f"link set {wire.device} up",
            f"route replace {address}/32 dev {wire.device} src {self._caller}",
        )
        self._dhcp.set_hosts({one.mac: one.address for one in self._public.values()})
        await self._filter()

    async def _filter(self) -> None:
        lines = ["flush chain inet lab output"]
        for server_id, wire in self._public.items():
            rules = self._rules.get(server_id)
            if rules is None:
                continue
            prefix = f'add rule inet lab output oifname "{wire.device}"'
            lines.append(f"{prefix} ct state established,related accept")
            lines.append(f"{prefix} udp sport 67 accept")
            lines += [f"{prefix} {one} accept" for rule in rules for one in _matches(rule)]
            lines.append(f"{prefix} drop")
        await self._internet.nft("\n".join(lines) + "\n")


def public_mac(facts: MachineFacts) -> str:
    """Return the MAC of a server's public NIC."""
    tail = facts.server_id.to_bytes(4, "big").hex(":")
    return f"96:00:{tail}"


def public_addresses() -> Iterable[str]:
    """Yield the public addresses that servers may get."""
    for host in PUBLIC_RANGE.hosts():
        if str(host) != _PUBLIC_ROUTER:
            yield str(host)


def _matches(rule: FirewallRule) -> list[str]:
    if rule.direction != "in":
        return []
    sources = [one for one in rule.source_ips if ":" not in one]
    if not sources:
        return []
    match = f"ip saddr {{ {', '.join(sources)} }}"
    if rule.protocol in {"tcp", "udp"}:
        ports = "" if rule.port in {None, "any"} else f" th dport {rule.port}"
        return [f"{match} meta l4proto {rule.protocol}{ports}"]
    return [f"{match} meta l4proto {rule.protocol}"]


def _private_settings(nic: PrivateNic) -> tuple[str, ...]:
    net = ipaddress.IPv4Network(nic.network_range)
    routes = (f"{nic.gateway}/32", "0.0.0.0", str(net), nic.gateway, f"{METADATA}/32", nic.gateway)
    return (
        "port=0",
        "interface=v-*",
        "dhcp-authoritative",
        "dhcp-no-override",
        f"dhcp-range={net.network_address},static,{net.netmask},{LEASE_SECONDS}",
        "dhcp-option=1,255.255.255.255",
        "dhcp-option=3",
        "dhcp-option=6",
        f"dhcp-option=58,{RENEWAL_SECONDS}",
        f"dhcp-option=26,{PRIVATE_MTU}",
        f"dhcp-option=121,{','.join(routes)}",
    )


def _public_settings(names: dict[str, str]) -> tuple[str, ...]:
    return (
        "port=53",
        "interface=p-*",
        *(f"listen-address={one}" for one in RESOLVERS),
        *(f"address=/{name}/{address}" for name, address in names.items()),
        "dhcp-authoritative",
        "dhcp-no-override",
        f"dhcp-range={PUBLIC_RANGE.network_address},static,{PUBLIC_RANGE.netmask},86400",
        "dhcp-option=1,255.255.255.255",
        f"dhcp-option=3,{PUBLIC_GATEWAY}",
        f"dhcp-option=6,{','.join(RESOLVERS)}",
    )
