"""What the lab's Debian roots are made of, and the shapes that Hetzner's images have.

A root is one Debian release with everything that any shape needs. A shape is a few files on top:
which program configures the network, as it is in an image of Hetzner's. Ubuntu's packages are not
used; Debian 13 with netplan and networkd is the nearest relative of Ubuntu 24.04 (systemd 257 for
255, cloud-init 25.1 for 25.3), Debian 12 so built that of Ubuntu 22.04 (252 for 249).
"""

from collections.abc import Mapping
from dataclasses import dataclass

_COMMON = (
    "ca-certificates,cloud-init,dbus,ifupdown,iproute2,iputils-ping,netplan.io,nftables,"
    "openssh-server,procps,python3,systemd-resolved,systemd-sysv,udev"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A Debian release: its suite and the packages beyond the essential ones."""

    version: str
    suite: str
    packages: str


BOOKWORM = Release(version="12", suite="bookworm", packages=f"{_COMMON},isc-dhcp-client")
TRIXIE = Release(version="13", suite="trixie", packages=f"{_COMMON},dhcpcd-base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An image: a release, the network stack that configures NICs, and what it needs not."""

    name: str
    release: Release
    stack: str


DEBIAN_12 = Shape(name="debian-12-ifupdown", release=BOOKWORM, stack="ifupdown")
DEBIAN_12_NETPLAN = Shape(name="debian-12-netplan", release=BOOKWORM, stack="netplan")
DEBIAN_13 = Shape(name="debian-13-ifupdown", release=TRIXIE, stack="ifupdown")
DEBIAN_13_NETPLAN = Shape(name="debian-13-netplan", release=TRIXIE, stack="netplan")

SHAPES: Mapping[str, Shape] = {
    "debian-12": DEBIAN_12,
    "debian-13": DEBIAN_13,
    "ubuntu-22.04": DEBIAN_12_NETPLAN,
    "ubuntu-24.04": DEBIAN_13_NETPLAN,
    "ubuntu-26.04": DEBIAN_13_NETPLAN,
}
"""Name of a Hetzner image -> the shape that stands for it."""

# Kernel settings outside of net.* are the host's own: this mount, made before anything of the
# machine runs, takes them away. A seat belt, no security boundary.
_SYSCTL_GUARD = """\
[Unit]
Description=Keep this machine's hands off the kernel it shares
DefaultDependencies=no
Before=systemd-sysctl.service systemd-udevd.service systemd-udev-trigger.service
Before=cloud-init-local.service cloud-init-main.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --bind /proc/sys /proc/sys
ExecStart=/bin/mount --bind /proc/sys/net /proc/sys/net
ExecStart=/bin/mount -o remount,bind,ro /proc/sys
[Install]
WantedBy=sysinit.target
"""

# There is no DMI in a container; the lab writes the two values that a Hetzner server shows.
_DMI = """\
[Unit]
Description=Show the DMI of a Hetzner server
DefaultDependencies=no
Before=systemd-udevd.service systemd-udev-trigger.service
Before=cloud-init-local.service cloud-init-main.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount -t overlay lab-dmi -o ro,lowerdir=/usr/lib/lab/class:/sys/class /sys/class
[Install]
WantedBy=sysinit.target
"""

# netplan matches NICs by their permanent MAC, which a veth does not have.
_NETPLAN_GENERATOR = """\
#!/bin/bash
(exec -a "$0" /usr/lib/lab/netplan-generate "$@") || exit
for file in /run/systemd/network/*netplan*; do
    [ ! -e "$file" ] || sed -i 's/^PermanentMACAddress=/MACAddress=/' "$file"
done
"""

_CLOUD = """\
datasource_list: [Hetzner, None]
locale: false
system_info: {network: {renderers: [%s]}}
"""

# Hetzner's Debian images bring private NICs up by hc-utils: a DHCP client of its own, once
# (hetznercloud/hc-utils). Here with the client that the release has.
_HC_NET = """\
[Unit]
Description=Configure the private NIC %%i as hc-utils does
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%s
[Install]
WantedBy=multi-user.target
"""
_HC_SCAN = """\
[Unit]
Description=Find private NICs as hc-utils does
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
ExecStart=/bin/sh /usr/lib/lab/hc-net-scan
[Install]
WantedBy=multi-user.target
"""
_HC_SCAN_SCRIPT = """\
for file in $(grep -l "^86:00:" /sys/class/net/*/address); do
    nic=${file%/address}
    systemctl start "hc-net-ifup@${nic##*/}.service"
done
"""
_DHCP_CLIENTS = {
    "12": "/sbin/dhclient -1 -4 -pf /run/hc-%i.pid -lf /run/hc-%i.lease %i",
    "13": "/sbin/dhcpcd -4 -1 %i",
}

ROOT_FILES: Mapping[str, str] = {
    "/etc/systemd/system/lab-guard.service": _SYSCTL_GUARD,
    "/etc/systemd/system/lab-dmi.service": _DMI,
    "/usr/lib/lab/netplan-wrapper": _NETPLAN_GENERATOR,
}
ROOT_LINKS: Mapping[str, str] = {
    "/etc/systemd/system/sysinit.target.wants/lab-guard.service": "../lab-guard.service",
    "/etc/systemd/system/sysinit.target.wants/lab-dmi.service": "../lab-dmi.service",
}
ROOT_SCRIPT = r"""
set -eu
root=$1
generator=$root/usr/libexec/netplan/generate
mv "$generator" "$root/usr/lib/lab/netplan-generate"
install -m 0755 "$root/usr/lib/lab/netplan-wrapper" "$generator"
dmi=$root/usr/lib/python3/dist-packages/cloudinit/dmi.py
grep -q 'if is_container():' "$dmi"
sed -i 's/if is_container():/if False:/' "$dmi"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
"""
"""Run once on a finished root: wraps netplan's generator, lets cloud-init look at the DMI."""

_MASK = "/dev/null"


def shape_files(shape: Shape) -> Mapping[str, str]:
    """Return the shape's own files."""
    if shape.stack == "netplan":
        return {"/etc/cloud/cloud.cfg.d/99-lab.cfg": _CLOUD % "netplan"}
    return {
        "/etc/cloud/cloud.cfg.d/99-lab.cfg": _CLOUD % "eni",
        "/etc/network/interfaces": "auto lo\niface lo inet loopback\nsource interfaces.d/*\n",
        "/usr/lib/systemd/system/hc-net-ifup@.service": _HC_NET
        % _DHCP_CLIENTS[shape.release.version],
        "/usr/lib/systemd/system/hc-net-scan.service": _HC_SCAN,
        "/usr/lib/lab/hc-net-scan": _HC_SCAN_SCRIPT,
        "/etc/resolv.conf": "",
    }


def shape_links(shape: Shape) -> Mapping[str, str]:
    """Return the shape's links: what is enabled and what is masked."""
    units = "/etc/systemd/system"
    if shape.stack == "netplan":
        return {
            f"{units}/networking.service": _MASK,
            f"{units}/multi-user.target.wants/systemd-networkd.service": (
                "/lib/systemd/system/systemd-networkd.service"
            ),
            f"{units}/sockets.target.wants/systemd-networkd.socket": (
                "/lib/systemd/system/systemd-networkd.socket"
            ),
            f"{units}/network-online.target.wants/systemd-networkd-wait-online.service": (
                "/lib/systemd/system/systemd-networkd-wait-online.service"
            ),
            f"{units}/sysinit.target.wants/systemd-network-generator.service": (
                "/lib/systemd/system/systemd-network-generator.service"
            ),
        }
    return {
        f"{units}/systemd-networkd.service": _MASK,
        f"{units}/systemd-networkd.socket": _MASK,
        f"{units}/systemd-networkd-wait-online.service": _MASK,
        f"{units}/systemd-resolved.service": _MASK,
        f"{units}/multi-user.target.wants/hc-net-scan.service": (
            "/usr/lib/systemd/system/hc-net-scan.service"
        ),
    }
