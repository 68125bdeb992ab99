"""What every machine is protected by: the metadata guard, networkd's manners, kernel settings."""

from hk3s_cloudinit.files import ETC, File

# User-data stays readable at the metadata address for a server's whole life. Pods' traffic is
# forwarded, so it is dropped there; on the host itself root may ask (cloud-init, and the CSI
# driver and the cloud controller, which run on the host's network).
METADATA_GUARD = """\
table inet hk3s_guard
delete table inet hk3s_guard
table inet hk3s_guard {
  chain forward {
    type filter hook forward priority -10; policy accept;
    ip daddr 169.254.169.254 drop
  }
  chain output {
    type filter hook output priority -10; policy accept;
    ip daddr 169.254.169.254 meta skuid != 0 reject
    ip6 daddr fe80::a9fe:a9fe meta skuid != 0 reject
  }
}
"""

_GUARD_UNIT = """\
[Unit]
Description=Keep pods away from the metadata service
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=nft -f /etc/hk3s/guard.nft
# On a bastion: the last rules that worked, so that a reboot leaves no open moment.
ExecStart=sh -c 'test ! -e /var/lib/hk3s/bastion.nft || nft -f /var/lib/hk3s/bastion.nft'

[Install]
WantedBy=multi-user.target
"""

# Since version 248 networkd drops routes and rules that others made, a CNI's among them.
NETWORKD_MANNERS = """\
[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
"""

# udev would give flannel's device another MAC than the one flannel told its peers.
FLANNEL_LINK = """\
[Match]
OriginalName=flannel*

[Link]
MACAddressPolicy=none
"""

# Inotify limits run out with many pods; the others are what the kubelet expects of a kernel.
NODE_SYSCTLS = """\
fs.inotify.max_user_instances=8192
fs.inotify.max_user_watches=524288
kernel.panic=10
kernel.panic_on_oops=1
vm.overcommit_memory=1
vm.panic_on_oom=0
"""


def guard_files() -> list[File]:
    """Return the metadata guard and its unit."""
    return [
        File(path=f"{ETC}/guard.nft", content=METADATA_GUARD),
        File(path="/etc/systemd/system/hk3s-guard.service", content=_GUARD_UNIT),
    ]


def node_hardening_files() -> list[File]:
    """Return what machines that run k3s need besides the guard."""
    return [
        File(path="/etc/systemd/networkd.conf.d/10-hk3s.conf", content=NETWORKD_MANNERS),
        File(path="/etc/systemd/network/10-hk3s-flannel.link", content=FLANNEL_LINK),
        File(path="/etc/sysctl.d/90-hk3s.conf", content=NODE_SYSCTLS),
    ]
