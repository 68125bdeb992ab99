"""What Linux machines ask of the host: root, a few programs, a kernel with what they use.

Asked before anything else is done: what is missing is named at once, not met as an odd failure.
"""

import os
from collections.abc import Callable
from pathlib import Path

from hk3s_lab.errors import LabError
from hk3s_lab.linux import shell
from hk3s_lab.linux.cgroups import hierarchies

_NAT = """\
table inet probe {
  chain forward { type filter hook forward priority 0;
    tcp flags syn tcp option maxseg size set rt mtu
    ct state established accept
  }
  chain prerouting { type nat hook prerouting priority -100; tcp dport 1 dnat ip to 10.0.0.1:1; }
  chain postrouting { type nat hook postrouting priority 100; ip saddr 10.0.0.0/8 masquerade; }
  chain output { type filter hook output priority 0; meta skuid != 0 reject; }
}
"""
_OVERLAY = """\
mount -t tmpfs probe /mnt
mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root
mount -t overlay probe -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
"""
_PROBES = {
    "network, mount and process namespaces": ("unshare --pid --fork true", None),
    "veth devices": ("ip link add probe0 type veth peer name probe1", None),
    "policy routing": ("ip rule add fwmark 1 lookup 7 && ip rule del fwmark 1 lookup 7", None),
    "nftables with NAT": ("nft -f -", _NAT),
    "overlay file systems above tmpfs": (_OVERLAY, None),
}
"""Feature of the kernel -> what uses it in namespaces that end with it, and its input."""

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
"""A machine takes eight, a control plane thirteen; kernels give root 128, for all of them."""


async def check(progress: Callable[[str], None]) -> None:
    """See that this machine can run Linux machines, and let it watch as many files as they do.

    Raises:
        LabError: it cannot; the text names what is missing.
    """
    if os.geteuid() != 0:
        raise LabError("Linux machines need root", "run it as root, or use --machines virtual")
    if missing := shell.missing_packages():
        names = " ".join(missing)
        raise LabError(f"Debian packages are missing: {names}", f"apt-get install {names}")
    for feature, (script, stdin) in _PROBES.items():
        command = ("unshare", "--net", "--mount", "sh", "-euc", script)
        status, _, said = await shell.attempt(*command, stdin=stdin)
        if status != 0:
            raise LabError(
                f"this kernel or container has no {feature}: {said.strip()}",
                "use a machine where root may do that, or --machines virtual",
            )
    _check_control_groups()
    _raise_inotify(progress)


def _raise_inotify(progress: Callable[[str], None]) -> None:
    """Raise the one setting of the host's kernel that would end the fifteenth machine at boot."""
    now = int(INOTIFY.read_text())
    if now >= INOTIFY_INSTANCES:
        return
    name = "fs.inotify.max_user_instances"
    try:
        INOTIFY.write_text(str(INOTIFY_INSTANCES))
    except OSError as error:
        raise LabError(
            f"{name} is {now} and cannot be changed here: {error.strerror}",
            f"sysctl -w {name}={INOTIFY_INSTANCES}, where that is allowed",
        ) from error
    progress(f"raised {name} from {now} to {INOTIFY_INSTANCES}, until the next reboot")


def _check_control_groups() -> None:
    roots = hierarchies()
    if not roots:
        raise LabError("there are no control groups", "mount them at /sys/fs/cgroup")
    for root in roots:
        probe = Path(root, f"hk3s-probe-{os.getpid()}")
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise LabError(
                f"control groups cannot be made in {root}: {error.strerror}",
                "mount them writable, as a privileged container has them",
            ) from error
