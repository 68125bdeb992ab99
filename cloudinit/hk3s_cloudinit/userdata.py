"""User-data: everything a server is told, as one cloud-config."""

import base64
import gzip
import json
from typing import Any

import yaml

from hk3s_cloudinit.bastion import bastion_files
from hk3s_cloudinit.files import ETC, LIB, File, library, script
from hk3s_cloudinit.hardening import guard_files, node_hardening_files
from hk3s_cloudinit.k3s import kubernetes_files, resolv_conf
from hk3s_cloudinit.network import network_files, stack_names
from hk3s_cloudinit.node import (
    BastionParams,
    MasterParams,
    ServerParams,
    WorkerParams,
    node_env,
    node_json,
)
from hk3s_cloudinit.ssh import ssh_config, ssh_files

LIMIT = 32_768
"""Hetzner's limit in bytes, for the text as sent."""
PLAIN_LIMIT = 16_384
"""Texts up to this size are sent readable."""

_SCRIPTS = ("setup.sh", "node.sh", "boot.sh", "network.sh", "ssh.sh", "report.py", "status.py")
_KUBERNETES_SCRIPTS = ("egress.sh", "k3s-install.sh", "k3s-join.sh", "ready.sh", "fetch.py")


class UserDataTooLarge(ValueError):
    """The rendered user-data does not fit; both numbers are bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"user-data has {size} bytes, {size - limit} more than fit")
        self.size = size
        self.limit = limit


def render_bastion(params: BastionParams) -> str:
    """Return the bastion's user-data; raises UserDataTooLarge."""
    return encode(cloud_config(params))


def render_master(params: MasterParams) -> str:
    """Return a first master's user-data, which holds the cluster's CAs; raises UserDataTooLarge."""
    return encode(cloud_config(params))


def render_worker(params: WorkerParams) -> str:
    """Return a worker's user-data; raises UserDataTooLarge."""
    return encode(cloud_config(params))


def encode(text: str) -> str:
    """Return `text` as it is when short, else as base64 of gzip, which cloud-init undoes.

    Equal texts give equal results: the gzip header carries no time.
    """
    if len(text.encode()) > PLAIN_LIMIT:
        text = base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()
    size = len(text.encode())
    if size > LIMIT:
        raise UserDataTooLarge(size, LIMIT)
    return text


def cloud_config(params: BastionParams | MasterParams | WorkerParams) -> str:
    """Return the cloud-config in plain text. Its keys are those of docs/contract.md."""
    config = {
        "hostname": params.name,
        "preserve_hostname": False,
        "manage_etc_hosts": True,
        **ssh_config(params.ssh),
        "write_files": [file.entry() for file in _files(params)],
        "runcmd": [[f"{LIB}/setup"]],
    }
    return "#cloud-config\n" + yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=10_000)


def _files(params: BastionParams | MasterParams | WorkerParams) -> list[File]:
    files = [
        *_identity(params),
        *network_files(params),
        *ssh_files(),
        *guard_files(),
        *(script(name) for name in _SCRIPTS),
        library("lib.sh"),
        File(path="/etc/systemd/system/hk3s-node.service", content=_NODE_UNIT),
        File(path="/etc/systemd/system/hk3s-status.service", content=_STATUS_UNIT),
    ]
    if isinstance(params, BastionParams):
        dns = File(path=f"{ETC}/resolv.conf", content=resolv_conf(params.network.dns))
        return [*files, dns, *bastion_files(params)]
    return [
        *files,
        *node_hardening_files(),
        *kubernetes_files(params),
        *(script(name) for name in _KUBERNETES_SCRIPTS),
    ]


def _identity(params: ServerParams) -> list[File]:
    document = json.dumps(node_json(params), indent=2) + "\n"
    environment = node_env(params, stack_names(params.network.os_family))
    return [
        File(path=f"{ETC}/node.json", content=document, permissions="0600"),
        File(path=f"{ETC}/node.env", content=environment, permissions="0600"),
    ]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, which compresses and reads better."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Any:  # noqa: ANN401 - a yaml.Node
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _represent_text)

# `node` retries by itself; systemd's restart is for a script that was killed. Which of the network
# services runs tells `network` how this machine is configured, so it starts after them.
_NODE_UNIT = """\
[Unit]
Description=Make this server a member of its hk3s cluster
After=systemd-networkd.service NetworkManager.service networking.service
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/lib/hk3s/node
Restart=on-failure
RestartSec=10s

[Install]
WantedBy=multi-user.target
"""

_STATUS_UNIT = """\
[Unit]
Description=Tell this server's step and last error
StartLimitIntervalSec=0

[Service]
EnvironmentFile=/etc/hk3s/node.env
ExecStart=/usr/local/lib/hk3s/status
DynamicUser=yes
Restart=on-failure
RestartSec=2s
"""
