"""Private NIC, default route and resolvers: one entry a network stack, as data.

Hetzner's DHCP gives a /32 address and routes (option 121) but no default route, and whatever a
script adds by hand goes with the next lease. So the route is part of each stack's own
configuration. Two facts are known only on the machine and stand in the files as placeholders,
filled in by `scripts/network.sh`: `@NIC@`, the name of the NIC whose MAC starts with 86:00, and
`@MAC@`, its exact address (networkd and netplan refuse wildcards in MACs).
"""

import dataclasses

from hk3s_cloudinit.files import ETC, File
from hk3s_cloudinit.node import BastionParams, ServerParams
from hk3s_data.k3s import OsFamily

METADATA = "169.254.169.254/32"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The files of one way to configure a network; their paths are those below /etc.

    `@ROUTES@` becomes the routes in `route`'s form (`@DESTINATION@`, `@GATEWAY@`, `@INDEX@`),
    `@DNS@` the resolvers joined by `dns_separator`, `@DUAL@` on a bastion `dual_homed`: what keeps
    DHCP's routes, the one to the metadata service above all, from shadowing the public NIC's.
    """

    name: str
    files: tuple[File, ...]
    route: str
    dual_homed: str
    dns_separator: str = " "


# Serves netplan's images as well: netplan writes 10-netplan-*.network, and networkd takes the
# first file that matches. Keeps the route over renewals, reconfiguration and restarts of networkd.
NETWORKD = Stack(
    name="networkd",
    route="\n[Route]\nDestination=@DESTINATION@\nGateway=@GATEWAY@\nGatewayOnLink=yes\n",
    dual_homed="UseRoutes=no\n",
    files=(
        File(
            path="systemd/network/05-hk3s.network",
            content="""\
[Match]
MACAddress=@MAC@

[Network]
DHCP=ipv4
IPv6AcceptRA=no
DNS=@DNS@

[DHCPv4]
UseMTU=yes
UseDNS=no
UseHostname=no
@DUAL@@ROUTES@""",
        ),
    ),
)

_LEASE_HOOK = """\
case "${interface:-}:${reason:-}" in
@NIC@:BOUND|@NIC@:RENEW|@NIC@:REBIND|@NIC@:REBOOT)
@ROUTES@@DUAL@  [ -L /etc/resolv.conf ] || cp /etc/hk3s/resolv.conf /etc/resolv.conf
  ;;
esac
"""

# An if-up script would lose the route at the first expired lease: the DHCP client's own hooks run
# at each of its events. dhclient and dhcpcd name the variables alike. The name sorts after
# dhclient's own rfc3442-classless-routes.
IFUPDOWN = Stack(
    name="ifupdown",
    route="  ip -4 route replace @DESTINATION@ via @GATEWAY@ dev @NIC@ onlink || :\n",
    dual_homed=f"  ip -4 route del {METADATA} dev @NIC@ 2>/dev/null || :\n",
    files=(
        File(path="dhcp/dhclient-exit-hooks.d/zz-hk3s", content=_LEASE_HOOK),
        File(path="dhcpcd.exit-hook", content=_LEASE_HOOK),
        File(
            path="network/interfaces.d/60-hk3s",
            content="auto @NIC@\niface @NIC@ inet dhcp\n",
        ),
    ),
)

NETWORKMANAGER = Stack(
    name="networkmanager",
    route="route@INDEX@=@DESTINATION@,@GATEWAY@\nroute@INDEX@_options=onlink=true\n",
    dual_homed="ignore-auto-routes=true\n",
    dns_separator=";",
    files=(
        File(
            path="NetworkManager/system-connections/hk3s.nmconnection",
            permissions="0600",
            content="""\
[connection]
id=hk3s
type=ethernet
autoconnect-priority=100

[ethernet]
mac-address=@MAC@

[ipv4]
method=auto
ignore-auto-dns=true
dhcp-timeout=2147483647
dns=@DNS@
@DUAL@@ROUTES@
[ipv6]
method=ignore
""",
        ),
    ),
)

# Debian's images come in both kinds; the machine sees which one it is.
STACKS: dict[OsFamily, tuple[Stack, ...]] = {
    OsFamily.UBUNTU: (NETWORKD,),
    OsFamily.DEBIAN: (IFUPDOWN, NETWORKD),
    OsFamily.REDHAT: (NETWORKMANAGER,),
    OsFamily.SUSE: (NETWORKMANAGER,),
}


def stack_names(family: OsFamily) -> tuple[str, ...]:
    """Return the stacks that a machine of the family may run."""
    return tuple(stack.name for stack in STACKS[family])


def network_files(params: ServerParams) -> list[File]:
    """Return the templates of the family's stacks, each below the stack's own directory."""
    return [
        File(
            path=f"{ETC}/network/{stack.name}/{file.path}",
            content=_fill(file.content, stack, params),
            permissions=file.permissions,
        )
        for stack in STACKS[params.network.os_family]
        for file in stack.files
    ]


def _fill(content: str, stack: Stack, params: ServerParams) -> str:
    """Fill in all but what only the machine knows.

    Metadata is pinned to the private gateway: through the NAT route it would answer with the
    bastion's identity. The bastion keeps its default route, its resolvers and metadata on its
    public NIC and reaches only the private range through this one.
    """
    network = params.network
    bastion = isinstance(params, BastionParams)
    destinations = [network.ip_range] if bastion else ["0.0.0.0/0", METADATA]
    routes = "".join(
        stack.route.replace("@DESTINATION@", destination).replace("@INDEX@", str(index))
        for index, destination in enumerate(destinations, start=1)
    )
    return (
        content.replace("@ROUTES@", routes)
        .replace("@DUAL@", stack.dual_homed if bastion else "")
        .replace("@GATEWAY@", network.gateway)
        .replace("@DNS@", stack.dns_separator.join(() if bastion else network.dns))
    )
