"""Storage objects to facts."""

import msgspec
import pytest

from hk3s_autoscaler.adapters import convert_storage
from hk3s_autoscaler.scheduling.volumes import reaches
from hk3s_kube import objects

ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"


@pytest.mark.parametrize(
    ("node", "reached"),
    [
        pytest.param({ZONE: "fsn1"}, True, id="its zone"),
        pytest.param({ZONE: "nbg1"}, True, id="its other zone"),
        pytest.param({ZONE: "hel1"}, False, id="another zone"),
        pytest.param({REGION: "eu"}, False, id="only a region"),
        pytest.param({"rack": "r1"}, True, id="no topology at all"),
    ],
)
@pytest.mark.parametrize("label", [ZONE, "failure-domain.beta.kubernetes.io/zone"])
def test_a_volume_with_zone_labels_is_reached_from_its_zones(
    label: str, node: dict[str, str], *, reached: bool
) -> None:
    manifest = {"metadata": {"name": "v", "labels": {label: "fsn1__nbg1"}}, "spec": {}}

    volume = convert_storage.volume(msgspec.convert(manifest, objects.PersistentVolume))

    assert reaches(volume, "n", node) is reached
