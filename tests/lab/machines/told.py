"""User-data by hand: what a worker or bastion is told, with a place to put mistakes."""

import base64
import gzip
import json
from typing import Any

import yaml

Json = dict[str, Any]

SETUP: Json = {
    "path": "/usr/local/lib/hk3s/setup",
    "content": "#!/bin/sh\n",
    "permissions": "0755",
}


def node_json(role: str = "worker", **changes: object) -> Json:
    k3s = {
        "version": "v1.36.5+k3s1",
        "artifacts_url": "https://mirror.example/k3s",
        "sha256": {"amd64": "", "arm64": ""},
    }
    bastion = {
        "nat_source": "10.4.0.0/16",
        "private_address": "10.4.0.2",
        "forwards": [{"protocol": "tcp", "port": 6443, "to_address": "10.4.0.3", "to_port": 6443}],
        "allowed_sources": ["127.0.0.0/30"],
    }
    return {
        "schema": 1,
        "cluster": "demo",
        "name": "demo-1",
        "role": role,
        "network": {"range": "10.4.0.0/16", "gateway": "10.4.0.1", "dns": ["185.12.64.1"]},
        "api": {"address": "10.4.0.3", "port": 6443},
        "status": {"port": 9101, "allowed_sources": ["10.4.0.0/24"]},
        "labels": {"hk3s.dev/cluster": "demo"},
        "taints": [],
        "k3s": None if role == "bastion" else k3s,
        "bastion": bastion if role == "bastion" else None,
        **changes,
    }


def config(*files: Json, **changes: object) -> Json:
    node = {
        "path": "/etc/hk3s/node.json",
        "content": json.dumps(node_json()),
        "permissions": "0600",
    }
    base = {"hostname": "demo-1", "runcmd": [[SETUP["path"]]]}
    return {**base, "write_files": [node, SETUP, *files], **changes}


def text(value: object) -> str:
    return "#cloud-config\n" + yaml.safe_dump(value)


def packed(plain: str) -> str:
    return base64.b64encode(gzip.compress(plain.encode())).decode()
