import base64
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.support import NOW, TOKEN, config
from hk3s_autoscaler import config as daemon
from hk3s_bootstrap import addons, objects, state
from hk3s_bootstrap.config import DEFAULT_ENDPOINT, ClusterConfig
from hk3s_bootstrap.desired import desire

SECRETS = state.mint(NOW, bytes)
FACTS = objects.Facts(endpoint=DEFAULT_ENDPOINT, token=TOKEN, network_id=5, ssh_key_ids=(8,))


def manifests(wanted: ClusterConfig, facts: objects.Facts = FACTS) -> dict[str, dict[str, Any]]:
    desired = desire(wanted, SECRETS.ca_hash, "eu-central")
    found = objects.manifests(wanted, desired, SECRETS, facts)
    return {objects.describe(manifest): manifest for manifest in found}


def chart(name: str, wanted: ClusterConfig, endpoint: str = DEFAULT_ENDPOINT) -> dict[str, Any]:
    found = {each["metadata"]["name"]: each for each in addons.helm_charts(wanted, endpoint)}
    values = yaml.safe_load(found[name]["spec"]["valuesContent"])
    return {"spec": found[name]["spec"], "values": values}


def test_the_daemon_can_read_its_settings(tmp_path: Path) -> None:
    wanted = config(autoscaler__maxServers=7, autoscaler__maxEuroPerHour=0.5)
    settings = manifests(wanted)["ConfigMap hk3s-system/hk3s-autoscaler-config"]
    file = tmp_path / "config.yaml"
    file.write_text(settings["data"]["config.yaml"])

    parsed = daemon.parse(file)

    assert parsed.cluster == "demo"
    assert parsed.network.id == 5
    assert parsed.api.ca_hash == SECRETS.ca_hash
    assert parsed.ssh.key_ids == (8,)
    assert parsed.limits.max_servers == 7
    assert str(parsed.limits.max_euro_per_hour) == "0.5"


def test_secrets_are_in_secrets_only() -> None:
    found = manifests(config())

    secret = found["Secret hk3s-system/hk3s-autoscaler"]["data"]
    assert base64.b64decode(secret["token"]).decode() == TOKEN
    assert base64.b64decode(secret["ssh-ca"]).decode() == SECRETS.ssh_host_ca.private
    hcloud = found["Secret kube-system/hcloud"]["data"]
    assert base64.b64decode(hcloud["network"]) == b"5"
    others = str([each for each in found.values() if each["kind"] != "Secret"])
    assert TOKEN not in others
    assert "PRIVATE KEY" not in others


def test_the_cloud_controller_knows_the_network_and_leaves_routes_alone() -> None:
    found = chart("hcloud-cloud-controller-manager", config())

    assert found["spec"]["bootstrap"] is True
    assert found["values"]["networking"] == {"enabled": True, "clusterCIDR": "10.42.0.0/16"}
    environment = found["values"]["env"]
    assert environment["HCLOUD_NETWORK_ROUTES_ENABLED"] == {"value": "false"}
    assert environment["HCLOUD_INSTANCES_ZONE_LABEL_ENABLED"] == {"value": "false"}
    assert environment["HCLOUD_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "hcloud"
    assert "HCLOUD_ENDPOINT" not in environment


def test_another_endpoint_reaches_every_part() -> None:
    endpoint = "http://127.0.0.1:8080/v1"

    ccm = chart("hcloud-cloud-controller-manager", config(), endpoint)
    csi = chart("hcloud-csi", config(), endpoint)

    assert ccm["values"]["env"]["HCLOUD_ENDPOINT"] == {"value": endpoint}
    extra = [{"name": "HCLOUD_ENDPOINT", "value": endpoint}]
    assert csi["values"]["controller"]["extraEnvVars"] == extra


def test_volumes_carry_the_clusters_label() -> None:
    labels = chart("hcloud-csi", config())["values"]["controller"]["volumeExtraLabels"]

    assert labels == {"hk3s.dev/cluster": "demo"}


def test_cilium_comes_first_and_only_when_asked_for() -> None:
    names = [
        [each["metadata"]["name"] for each in addons.helm_charts(config(**wanted), "e")]
        for wanted in ({}, {"k3s__cni": "cilium"})
    ]

    assert names == [
        ["hcloud-cloud-controller-manager", "hcloud-csi"],
        ["cilium", "hcloud-cloud-controller-manager", "hcloud-csi"],
    ]


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        pytest.param(FACTS, {"autoscaler__maxServers": 3}, id="settings"),
        pytest.param(
            objects.Facts(endpoint="e", token="other", network_id=5, ssh_key_ids=(8,)),
            {},
            id="token",
        ),
    ],
)
def test_new_settings_replace_the_daemons_pods(
    facts: objects.Facts, changes: dict[str, Any]
) -> None:
    name = "Deployment hk3s-system/hk3s-autoscaler"
    before = manifests(config())[name]["spec"]["template"]["metadata"]["annotations"]
    after = manifests(config(**changes), facts)[name]["spec"]["template"]["metadata"]

    assert after["annotations"] != before


def test_image_and_replicas_are_the_files() -> None:
    wanted = config(autoscaler__image="example.com/hk3s:1", autoscaler__replicas=2)
    spec = manifests(wanted)["Deployment hk3s-system/hk3s-autoscaler"]["spec"]

    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["containers"][0]["image"] == "example.com/hk3s:1"


def test_the_base_is_not_changed_by_using_it() -> None:
    before = copy.deepcopy(objects.base())
    manifests(config(autoscaler__replicas=3))

    assert objects.base() == before


def test_settings_exist_before_the_pods_that_mount_them() -> None:
    order = list(manifests(config()))

    assert order.index("ConfigMap hk3s-system/hk3s-autoscaler-config") < order.index(
        "Deployment hk3s-system/hk3s-autoscaler"
    )
    assert order[0] == "Namespace hk3s-system"


WANTED = objects.marked(
    {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"list": [{"x": 1}], "y": "z"}}
)


def live(**data: object) -> dict[str, Any]:
    metadata = {**WANTED["metadata"], "uid": "u", "resourceVersion": "7"}
    return {"kind": "ConfigMap", "metadata": metadata, "data": data}


def test_what_the_server_adds_is_no_difference() -> None:
    assert objects.is_applied(live(list=[{"x": 1, "default": True}], y="z", more="w"), WANTED)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"list": [{"x": 1}], "y": "other"}, id="changed"),
        pytest.param({"list": [{"x": 1}]}, id="removed"),
        pytest.param({"list": [{"x": 1}, {"x": 2}], "y": "z"}, id="longer list"),
    ],
)
def test_what_others_changed_is_a_difference(data: dict[str, Any]) -> None:
    assert not objects.is_applied(live(**data), WANTED)


def test_a_key_that_we_no_longer_set_is_a_difference() -> None:
    smaller = objects.marked({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"y": "z"}})

    assert not objects.is_applied(live(list=[{"x": 1}], y="z"), smaller)


def test_what_is_absent_is_a_difference() -> None:
    assert not objects.is_applied(None, WANTED)


def test_pools_that_differ_are_told_and_equal_ones_are_not() -> None:
    pool = {"name": "general", "maxNodes": 5, "serverTypes": ["cx23"]}
    wanted = config(nodePools=[pool]).node_pools
    equal = {"maxNodes": 5, "serverTypes": ["cx23"], "minNodes": 0, "weight": 0}

    assert objects.pool_differences(wanted, {"general": {"spec": equal}}) == ()
    assert objects.pool_differences(wanted, {"general": {"spec": equal | {"weight": 1}}}) == (
        "general",
    )
    assert objects.pool_differences(wanted, {}) == ()
