"""What the story is played with: the cluster's file, the workload, the user's SSH key."""

import os
from pathlib import Path
from typing import Any

from hk3s_lab.demo import product
from hk3s_lab.linux.internet import LAPTOP

RELEASES = ("debian-12", "debian-13")


def cluster(bastion: str, key: str) -> dict[str, Any]:
    """Return cluster.yaml: a master and a pool on Debian 12, a pool on 13, `bastion` of either."""
    return {
        "cluster": "story",
        "location": "fsn1",
        "bastion": {"serverType": "cpx12", "allowedCidrs": [f"{LAPTOP}/32"], "image": bastion},
        "master": {"serverType": "cpx22", "image": "debian-12"},
        "ssh": {"publicKeys": [key]},
        "autoscaler": {"maxServers": 6, "maxEuroPerHour": 1},
        "nodePools": [
            {
                "name": image.replace("debian-", "d"),
                "image": image,
                "maxNodes": 1,
                "serverTypes": ["cx23"],
                "locations": ["fsn1"],
                "disruption": {"consolidateAfter": "10s", "keepUntilHourEnd": False},
            }
            for image in RELEASES
        ],
    }


def deployment(name: str, cpu: str) -> dict[str, Any]:
    """Return a Deployment of two pods. A cx23 has room for one pod of each of ours."""
    requests = {"cpu": cpu, "memory": "500Mi"}
    containers = [{"name": "main", "image": "nginx", "resources": {"requests": requests}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": containers},
            },
        },
    }


async def new_key(directory: Path) -> str:
    """Make the user's SSH key, give it to the agent that we run under, and return the public one.

    ssh is left to find it as it finds a user's: no option of ours reaches the jump.
    """
    file = str(directory / "id")
    for command in (
        ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file),
        ("ssh-add", "-q", file),
    ):
        await product.run(command, environment=os.environ, timeout_seconds=60)
    return (directory / "id.pub").read_text().strip()
