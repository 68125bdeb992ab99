"""deploy/base and what is rendered from it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hk3s_autoscaler import config as daemon
from hk3s_bootstrap import objects
from hk3s_cloudinit.tokens import TOKEN_GROUP
from hk3s_kube.crd import crd

DEPLOY = Path(__file__).parents[2] / "deploy"
BASE = DEPLOY / "base"


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def find(kind: str, name: str = "hk3s-autoscaler") -> dict[str, Any]:
    found = [
        each for each in objects.base() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found[0]


def rules(*found: dict[str, Any]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {
        (resource, ",".join(sorted(rule["verbs"])), tuple(rule.get("resourceNames", ())))
        for role in found
        for rule in role["rules"]
        for resource in rule["resources"]
    }


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DEPLOY / "render.py", "--check"], check=False, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()


def test_the_crd_is_that_of_the_models() -> None:
    assert documents(BASE / "crd.yaml") == [crd()]


def test_install_is_all_of_the_base_in_order() -> None:
    assert documents(DEPLOY / "install.yaml") == list(objects.base())


def test_bootstrap_and_kustomize_take_the_same_files() -> None:
    kustomization = documents(BASE / "kustomization.yaml")[0]

    assert tuple(kustomization["resources"]) == objects.BASE


def test_the_daemon_reads_no_secret() -> None:
    granted = rules(find("ClusterRole"), find("Role"), find("Role", "hk3s-autoscaler-join-tokens"))

    assert {entry for entry in granted if entry[0] == "secrets"} == {
        ("secrets", "create,delete", ())
    }


def test_the_daemon_writes_only_these() -> None:
    granted = rules(find("ClusterRole"), find("Role"), find("Role", "hk3s-autoscaler-join-tokens"))
    reading = {"get", "list", "watch"}
    writing = {entry for entry in granted if not reading >= set(entry[1].split(","))}

    assert writing == {
        ("nodes", "delete,get,list,patch,watch", ()),
        ("pods/eviction", "create", ()),
        ("pods", "patch", ()),
        ("pods/status", "patch", ()),
        ("nodepools/status", "patch", ()),
        ("events", "create,patch", ()),
        ("secrets", "create,delete", ()),
        ("leases", "create", ()),
        ("leases", "get,update", ("hk3s-autoscaler",)),
        ("configmaps", "get,patch", ("hk3s-autoscaler-status",)),
    }


@pytest.mark.parametrize(
    "name", ["hk3s-autoscaler-join-tokens", "hk3s-autoscaler-nodes", "hk3s-autoscaler-pods"]
)
def test_policies_fail_closed_and_are_bound(name: str) -> None:
    policy = find("ValidatingAdmissionPolicy", name)["spec"]
    binding = find("ValidatingAdmissionPolicyBinding", name)["spec"]

    assert policy["failurePolicy"] == "Fail"
    assert "system:serviceaccount:hk3s-system:hk3s-autoscaler" in str(policy["matchConditions"])
    assert binding == {"policyName": name, "validationActions": ["Deny"]}


def test_the_policy_names_the_group_of_join_tokens() -> None:
    policy = find("ValidatingAdmissionPolicy", "hk3s-autoscaler-join-tokens")["spec"]

    assert any(TOKEN_GROUP in rule["message"] for rule in policy["validations"])


def test_the_pod_is_restricted_and_never_throttled() -> None:
    spec = find("Deployment")["spec"]["template"]["spec"]
    container = spec["containers"][0]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "cpu" not in container["resources"]["limits"]
    assert "hostNetwork" not in spec


def test_the_daemon_runs_on_masters_only() -> None:
    spec = find("Deployment")["spec"]["template"]["spec"]

    assert spec["nodeSelector"] == {"node-role.kubernetes.io/control-plane": "true"}
    assert spec["tolerations"][0]["key"] == "node-role.kubernetes.io/control-plane"


def test_the_namespace_is_the_daemons() -> None:
    assert daemon.Config.model_fields["namespace"].default == objects.NAMESPACE
