"""What a worker is told."""

import base64
import gzip
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler import fakes
from hk3s_autoscaler import config as config_file
from hk3s_autoscaler.adapters.birth import WorkerBirths
from hk3s_autoscaler.model import template
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.ports import Rejected, ServerRequest
from hk3s_cloudinit import minting

JOIN_TOKEN = f"K10{'a' * 64}::abcdef.0123456789abcdef"
EXPIRES = fakes.START + timedelta(minutes=20)
SETTINGS = """
cluster: demo
network:
  id: 1
  range: 10.4.0.0/16
  masterSubnet: 10.4.0.0/24
  workerSubnet: 10.4.1.0/24
  dns: [185.12.64.1]
api: {address: 10.4.0.3, caHash: "%s"}
k3s: {version: v1.36.5+k3s1, artifactsUrl: https://example.com/k3s}
image: ubuntu-24.04
ssh: {keyIds: [7], authorizedKeys: [ssh-ed25519 AAAA someone]}
""" % ("a" * 64)


@pytest.fixture
def births(tmp_path: Path) -> WorkerBirths:
    path = tmp_path / "config.yaml"
    path.write_text(SETTINGS)
    seeded = random.Random(7)  # noqa: S311 - equal at each run
    return WorkerBirths(
        config_file.parse(path),
        cluster_uid=fakes.CLUSTER_UID,
        ssh_host_ca=minting.mint_ssh_host_ca().private,
        clock=fakes.ManualClock(),
        random_bytes=seeded.randbytes,
        choose=seeded.choice,
    )


def born(births: WorkerBirths, pool: NodePool) -> ServerRequest:
    return births.request(
        name="demo-workers-aaaaa",
        pool=pool,
        offering=fakes.offering(),
        join_token=JOIN_TOKEN,
        expires_at=EXPIRES,
    )


def files(request: ServerRequest) -> dict[str, str]:
    text = request.user_data
    if not text.startswith("#cloud-config"):
        text = gzip.decompress(base64.b64decode(text)).decode()
    values: dict[str, Any] = yaml.safe_load(text)
    return {entry["path"]: entry["content"] for entry in values["write_files"]}


def test_a_worker_joins_as_its_pool_wants(births: WorkerBirths) -> None:
    taint = Taint(key="dedicated", value="batch")
    startup = Taint(key="example.com/setup")

    request = born(
        births,
        fakes.pool(labels=(("team", "a"),), taints=(taint,), startup_taints=(startup,)),
    )

    written = files(request)
    config = yaml.safe_load(written["/etc/rancher/k3s/config.yaml"])
    assert config["token"] == JOIN_TOKEN
    assert config["server"] == "https://10.4.0.3:6443"
    assert config["node-taint"] == [
        "dedicated=batch:NoSchedule",
        "example.com/setup:NoSchedule",
        "hk3s.dev/starting:NoSchedule",
    ]
    node = yaml.safe_load(written["/etc/hk3s/node.json"])
    assert node["labels"] == {
        "team": "a",
        "hk3s.dev/cluster": "demo",
        "hk3s.dev/pool": "workers",
        "topology.kubernetes.io/region": "fsn1",
        "topology.kubernetes.io/zone": "fsn1",
        "node.kubernetes.io/instance-type": "cx23",
    }
    assert node["status"]["allowed_sources"] == ["10.4.0.0/24"]


def test_labels_let_a_later_process_find_the_server(births: WorkerBirths) -> None:
    request = born(births, fakes.pool())

    assert request.labels == {
        "hk3s.dev/cluster": "demo",
        "hk3s.dev/role": "worker",
        "hk3s.dev/pool": "workers",
        "hk3s.dev/cluster-uid": fakes.CLUSTER_UID,
        "hk3s.dev/price": "6000",
        "hk3s.dev/token-expires": str(int(EXPIRES.timestamp())),
        "hk3s.dev/template": template.record(fakes.pool()),
    }
    assert JOIN_TOKEN not in repr(request)


def test_names_are_fresh(births: WorkerBirths) -> None:
    names = {births.new_name("workers") for _ in range(50)}

    assert len(names) == 50
    assert all(name.startswith("demo-workers-") for name in names)


def test_what_makes_no_server_is_rejected(births: WorkerBirths) -> None:
    with pytest.raises(Rejected) as image:
        born(births, fakes.pool(image="plan9"))
    with pytest.raises(Rejected) as name:
        births.new_name("p" * 63)

    assert (image.value.code, name.value.code) == ("unknown-image", "pool-name")


def test_a_pool_without_an_image_takes_the_clusters(births: WorkerBirths) -> None:
    assert born(births, fakes.pool()).image == "ubuntu-24.04"
    assert born(births, fakes.pool(image="debian-13")).image == "debian-13"
