"""The bastion's rules: NAT for the nodes, the API for allowed callers, nothing else."""

import ipaddress

from hk3s_cloudinit.files import ETC, File, script
from hk3s_cloudinit.node import BastionParams

# Forwarding is switched on only after the rules are in place, and never at boot: a bastion whose
# rules do not load forwards nothing.
SYSCTLS = """\
net.ipv4.ip_forward=1
net.ipv4.conf.all.send_redirects=0
net.ipv4.conf.all.accept_redirects=0
"""


def bastion_files(params: BastionParams) -> list[File]:
    """Return the rules, the kernel settings and the script that applies them."""
    return [
        File(path=f"{ETC}/bastion.nft", content=ruleset(params)),
        File(path=f"{ETC}/bastion-sysctl.conf", content=SYSCTLS),
        script("nat.sh"),
    ]


def ruleset(params: BastionParams) -> str:
    """Return the nftables rules, replaced as one transaction.

    `@WAN@` (the interface of the default route) and `@NIC@` (the private one) are filled in on
    the machine. Forwarded callers are masqueraded to the bastion's private address, so that the
    API answers even when the master has lost its default route. Private addresses mean nothing
    outside, whoever has a route there.
    Raises ValueError for sources that are no IPv4 networks: the bastion has no other address.
    """
    private = params.private_address
    prerouting = [
        f'iifname "@WAN@" ip saddr @allowed tcp dport {item.port}'
        f" dnat ip to {item.to_address}:{item.to_port}"
        for item in params.forwards
    ]
    postrouting = [
        f"ct status dnat ip daddr {item.to_address} tcp dport {item.to_port} snat ip to {private}"
        for item in params.forwards
    ]
    source = params.network.ip_range
    status = ", ".join(params.status_sources)
    return f"""\
table inet hk3s_bastion
delete table inet hk3s_bastion
table inet hk3s_bastion {{
  set allowed {{
    type ipv4_addr
    flags interval
    auto-merge
{_elements(params.allowed_sources)}  }}
  chain outside {{
    type filter hook prerouting priority -300; policy accept;
    iifname "@WAN@" ip saddr {source} drop
    iifname "@WAN@" ip daddr {source} drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    tcp flags syn tcp option maxseg size set rt mtu
    ct state established,related accept
    ct state invalid drop
    iifname "@NIC@" oifname "@WAN@" ip saddr {source} accept
    iifname "@WAN@" oifname "@NIC@" ct status dnat accept
  }}
  chain input {{
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
    ct state invalid drop
    meta l4proto {{ 1, 58 }} accept comment "ICMP; names need /etc/protocols"
    udp sport 67 udp dport 68 accept
    ip saddr @allowed tcp dport 22 accept
    iifname "@NIC@" ip saddr {{ {status} }} tcp dport {params.status_port} accept
  }}
  chain prerouting {{
    type nat hook prerouting priority -100;
{_lines(prerouting)}  }}
  chain postrouting {{
    type nat hook postrouting priority 100;
{_lines(postrouting)}    ip saddr {source} oifname "@WAN@" masquerade
  }}
}}
"""


def _elements(sources: tuple[str, ...]) -> str:
    """Return the set's elements; without any the set stays empty and nobody gets in."""
    networks = [str(ipaddress.IPv4Network(source)) for source in sources]
    return _lines([f"elements = {{ {', '.join(networks)} }}"]) if networks else ""


def _lines(rules: list[str]) -> str:
    return "".join(f"    {rule}\n" for rule in rules)
