from typing import Any

import pytest
import yaml

from hk3s_lab.machines.ccm_chart import CHART, NotYet, judge

VALUES: dict[str, Any] = {
    "networking": {"enabled": True, "clusterCIDR": "10.42.0.0/16"},
    "env": {"HCLOUD_NETWORK_ROUTES_ENABLED": {"value": "false"}},
}


def chart(values: object = VALUES, **changes: object) -> dict[str, Any]:
    spec = {
        "chart": CHART,
        "repo": "https://charts.hetzner.cloud",
        "targetNamespace": "kube-system",
        "bootstrap": True,
        "valuesContent": yaml.safe_dump(values),
        **changes,
    }
    return {"spec": spec}


def test_the_right_chart_is_taken() -> None:
    assert judge(chart())["networking"]["clusterCIDR"] == "10.42.0.0/16"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (chart(chart="hcloud-csi"), "spec.chart"),
        (chart(repo=None), "spec.repo"),
        (chart(bootstrap=False), "uninitialized node"),
        (chart(bootstrap=None), "uninitialized node"),
        (chart(targetNamespace="default"), "where the Secret is"),
        (chart(valuesContent="a: ["), "not YAML"),
        (chart({}), "networking.enabled"),
        (chart({**VALUES, "networking": {"enabled": False}}), "networking.enabled"),
        (chart({**VALUES, "networking": {"enabled": True}}), "clusterCIDR"),
        (chart({**VALUES, "env": {}}), "ROUTES_ENABLED"),
        (
            chart({**VALUES, "env": {"HCLOUD_NETWORK_ROUTES_ENABLED": {"value": "true"}}}),
            "ROUTES_ENABLED",
        ),
    ],
)
def test_a_chart_that_would_not_work_keeps_the_controller_from_starting(
    given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotYet, match=reason):
        judge(given)
