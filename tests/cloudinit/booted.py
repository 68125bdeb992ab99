"""What the tests of the scripts share: a machine whose network is up, and its last report."""

import json
import pathlib

from cloudinit.examples import in_family
from cloudinit.machine import Machine
from hk3s_cloudinit.node import BastionParams, MasterParams, WorkerParams
from hk3s_data.k3s import OsFamily

PRIVATE_MAC = "86:00:00:2a:4b:6c"

# `ip` on a worker whose network is up: an address and the default route.
IP_UP = """
case "$*" in
*"address show"*) echo "2: enp7s0 inet 10.4.1.5/32 scope global dynamic enp7s0" ;;
*"show default dev"*) echo "default via 10.4.0.1 proto static onlink " ;;
*"show default"*) echo "default via 172.31.1.1 dev eth0 proto dhcp " ;;
esac
"""


def machine(
    root: pathlib.Path,
    params: BastionParams | MasterParams | WorkerParams,
    family: OsFamily = OsFamily.UBUNTU,
) -> Machine:
    made = Machine(root, in_family(params, family))
    made.nic("eth0", "96:00:00:11:22:33")
    made.nic("enp7s0", PRIVATE_MAC)
    made.nic("veth12", "86:00:aa:bb:cc:dd")
    made.tool("ip", IP_UP)
    return made


def status(made: Machine) -> dict[str, object]:
    document: dict[str, object] = json.loads(made.read("/run/hk3s/status.json"))
    return document
