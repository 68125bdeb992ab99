"""Each code of a finding: raised by what is wrong, silent on what is right beside it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.support import config, text, values
from hk3s_bootstrap.checks import offline
from hk3s_findings.finding import Report

ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"
EXAMPLES = Path(__file__).parents[2] / "examples"
MANY_KEYS = [
    # Hashes do not compress, so that their number decides.
    f"ssh-ed25519 {base64.b64encode(ED25519 + hashlib.sha256(bytes(n)).digest()).decode()} x"
    for n in range(600)
]
POOL = {"name": "general", "maxNodes": 5, "serverTypes": ["cx23"]}


def codes(**changes: object) -> set[str]:
    return {finding.code for finding in offline.check(config(**changes))}


def test_a_sound_file_has_no_findings() -> None:
    assert offline.check(config()) == ()


@pytest.mark.parametrize(
    ("code", "wrong", "right"),
    [
        ("E010", {"network__range": "8.8.0.0/16"}, {"network__range": "10.4.0.0/15"}),
        ("E010", {"k3s__clusterCidr": "172.32.0.0/16"}, {"k3s__clusterCidr": "172.31.0.0/16"}),
        ("E011", {"network__range": "10.4.0.0/25"}, {"network__range": "10.4.0.0/23"}),
        (
            "E012",
            {"network__workerSubnet": "10.5.1.0/24"},
            {"network__workerSubnet": "10.4.2.0/24"},
        ),
        ("E013", {"k3s__serviceCidr": "10.42.8.0/21"}, {"k3s__serviceCidr": "10.44.0.0/16"}),
        ("E013", {"network__workerSubnet": "10.4.0.128/25"}, {}),
        ("E013", {"network__range": "10.0.0.0/8"}, {"network__range": "10.4.0.0/15"}),
        (
            "E014",
            {"network__masterSubnet": "10.4.0.0/30"},
            {"network__masterSubnet": "10.4.0.0/29"},
        ),
        (
            "E015",
            {"network__workerSubnet": "10.4.1.0/30"},
            {"network__workerSubnet": "10.4.1.0/29"},
        ),
        (
            "E016",
            {"autoscaler__maxServers": 99, "nodePools": [POOL | {"maxNodes": 99}]},
            {"autoscaler__maxServers": 98, "nodePools": [POOL | {"maxNodes": 99}]},
        ),
        ("E017", {"k3s__clusterCidr": "10.42.0.0/22"}, {"k3s__clusterCidr": "10.42.0.0/21"}),
        ("E018", {"k3s__serviceCidr": "10.43.0.0/25"}, {"k3s__serviceCidr": "10.43.0.0/24"}),
        ("E020", {"bastion__allowedCidrs": []}, {}),
        (
            "E021",
            {"bastion__allowedCidrs": ["0.0.0.0/0"]},
            {"bastion__allowedCidrs": ["0.0.0.0/0"], "bastion__allowFromAnywhere": True},
        ),
        (
            "E022",
            {"bastion__allowedCidrs": [f"203.0.113.{n}/32" for n in range(101)]},
            {"bastion__allowedCidrs": [f"203.0.113.{n}/32" for n in range(100)]},
        ),
        ("E025", {"ssh__publicKeys": []}, {}),
        ("E026", {"ssh__publicKeys": ["/nowhere/id.pub"]}, {}),
        ("E026", {"ssh__publicKeys": ["ssh-ed25519 AAAAgarbage x"]}, {}),
        ("E026", {"ssh__publicKeys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, {}),
        ("E030", {"k3s__version": "stable"}, {"k3s__version": "v1.36.5+k3s1"}),
        ("E031", {"k3s__version": "v1.34.1+k3s1"}, {"k3s__version": "v1.34.2+k3s1"}),
        (
            "E032",
            {"k3s__version": "v1.26.4+k3s1", "k3s__embeddedRegistry": True},
            {"k3s__version": "v1.31.14+k3s1", "k3s__embeddedRegistry": True},
        ),
        (
            "E033",
            {"k3s__cni": "cilium", "master__image": "ubuntu-22.04"},
            {"k3s__cni": "cilium", "master__image": "ubuntu-24.04"},
        ),
        (
            "E033",
            {"k3s__cni": "cilium", "nodePools": [POOL | {"image": "ubuntu-22.04"}]},
            {"k3s__cni": "flannel", "nodePools": [POOL | {"image": "ubuntu-22.04"}]},
        ),
        ("E034", {"master__count": 3}, {"master__count": 1}),
        ("E035", {"master__image": "windows-11"}, {"master__image": "debian-12"}),
        ("E040", {"nodePools": [POOL, POOL]}, {"nodePools": [POOL, POOL | {"name": "b"}]}),
        (
            "E041",
            {"nodePools": [POOL | {"name": "p" * 53}]},
            {"nodePools": [POOL | {"name": "p" * 52}]},
        ),
        (
            "E042",
            {"autoscaler__maxServers": 2, "nodePools": [POOL | {"minNodes": 3}]},
            {"autoscaler__maxServers": 3, "nodePools": [POOL | {"minNodes": 3}]},
        ),
        ("E043", {"nodePools": []}, {}),
        (
            "E044",
            {"nodePools": [POOL | {"locations": ["ash"]}]},
            {"nodePools": [POOL | {"locations": ["nbg1"]}]},
        ),
        ("E045", {"location": "mars1"}, {"location": "hel1"}),
        ("E046", {"master__serverType": "cx999"}, {"master__serverType": "cx43"}),
        ("E047", {"location": "sin", "master__serverType": "cx23"}, {}),
        (
            "E048",
            {"k3s__sha256": {"amd64": "a" * 64}, "nodePools": [POOL | {"serverTypes": ["cax11"]}]},
            {"k3s__sha256": {"amd64": "a" * 64, "arm64": "b" * 64}},
        ),
        ("E049", {"ssh__publicKeys": MANY_KEYS}, {"ssh__publicKeys": MANY_KEYS[:20]}),
        ("E204", {"nodePools": [POOL | {"minNodes": 6}]}, {"nodePools": [POOL | {"minNodes": 5}]}),
        (
            "E206",
            {"nodePools": [POOL | {"labels": {"hk3s.dev/pool": "x"}}]},
            {"nodePools": [POOL | {"labels": {"example.com/pool": "x"}}]},
        ),
    ],
)
def test_a_code_is_raised_by_the_wrong_and_not_by_the_right(
    code: str, wrong: dict[str, Any], right: dict[str, Any]
) -> None:
    assert f"HK3S-{code}" in codes(**wrong)
    assert f"HK3S-{code}" not in codes(**right)


def test_refusing_cilium_says_why_and_what_to_choose() -> None:
    found = offline.check(config(k3s__cni="cilium", master__image="ubuntu-22.04"))

    finding = next(each for each in found if each.code == "HK3S-E033")
    assert "routing rules" in finding.cause
    assert "ubuntu-24.04" in finding.fix


def test_an_experimental_registry_is_a_warning() -> None:
    found = offline.check(config(k3s__version="v1.29.1+k3s1", k3s__embeddedRegistry=True))

    assert {each.severity for each in found if each.code == "HK3S-E032"} == {"warning"}


def test_unknown_types_and_locations_are_warnings() -> None:
    found = offline.check(config(location="mars1", master__serverType="cx999"))

    assert {each.code: each.severity for each in found} == {
        "HK3S-E045": "warning",
        "HK3S-E046": "warning",
    }


def report(tmp_path: Path, content: str) -> Report:
    file = tmp_path / "cluster.yaml"
    file.write_text(content, encoding="utf-8")
    return offline.validate(file)[1]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        pytest.param("a: [", "HK3S-E002", 1, id="no yaml"),
        pytest.param("- a\n", "HK3S-E005", 1, id="a list"),
        pytest.param("", "HK3S-E005", 1, id="empty"),
    ],
)
def test_text_that_is_no_file_of_ours_is_one_finding(
    tmp_path: Path, content: str, code: str, line: int
) -> None:
    found = report(tmp_path, content)

    assert [each.code for each in found.findings] == [code]
    assert found.position(found.findings[0]).line == line


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    _, found = offline.validate(tmp_path / "nowhere.yaml")

    assert [each.code for each in found.findings] == ["HK3S-E001"]


def test_a_file_of_bytes_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_bytes(b"\xff\xfe")

    assert [each.code for each in offline.validate(file)[1].findings] == ["HK3S-E001"]


MISSPELT = """\
cluster: Demo_1
locaton: fsn1
bastion:
  serverTyp: cpx12
master:
  serverType: cpx22
  count: many
k3s: {cni: calico}
ssh:
  publicKeys: [~/.ssh/id_ed25519.pub]
nodePools:
  - name: general
    maxNode: 5
"""


def test_all_problems_come_in_one_report_with_lines_and_fixes(tmp_path: Path) -> None:
    found = report(tmp_path, MISSPELT)

    assert {(each.code, each.key, found.position(each).line) for each in found.findings} == {
        ("HK3S-E005", "cluster", 1),
        ("HK3S-E004", "location", 1),
        ("HK3S-E003", "locaton", 2),
        ("HK3S-E004", "bastion.serverType", 3),
        ("HK3S-E004", "bastion.allowedCidrs", 3),
        ("HK3S-E003", "bastion.serverTyp", 4),
        ("HK3S-E005", "master.count", 7),
        ("HK3S-E005", "k3s.cni", 8),
        ("HK3S-E026", "ssh.publicKeys[0]", 10),
        ("HK3S-E004", "nodePools[0].maxNodes", 12),
        ("HK3S-E003", "nodePools[0].maxNode", 13),
    }
    assert "did you mean location?" in found.as_text()
    assert "did you mean maxNodes?" in found.as_text()
    assert all(each.fix for each in found.findings)


def test_one_word_where_a_list_belongs_is_said_in_words_of_yaml(tmp_path: Path) -> None:
    found = report(tmp_path, text(nodePools=[POOL | {"serverTypes": "cx23"}]))

    (finding,) = found.findings
    assert (finding.code, finding.key) == ("HK3S-E005", "nodePools[0].serverTypes")
    assert finding.cause == "a list is expected here"
    assert "brackets" in finding.fix


def test_snake_case_is_not_taken_for_a_key(tmp_path: Path) -> None:
    found = report(tmp_path, text(bastion__allowed_cidrs=["10.0.0.0/8"]))

    assert [each.code for each in found.findings] == ["HK3S-E003"]


def test_the_report_for_programs_has_the_same_findings(tmp_path: Path) -> None:
    found = report(tmp_path, MISSPELT)
    as_json = json.loads(json.dumps(found.as_json()))

    assert as_json["ok"] is False
    assert len(as_json["findings"]) == len(found.findings)
    assert as_json["findings"][0].keys() == {
        "code",
        "severity",
        "key",
        "line",
        "column",
        "cause",
        "fix",
    }


def test_no_code_has_two_meanings_within_a_rule_set() -> None:
    assert len(offline.RULES) == len({rule.__name__ for rule in offline.RULES})


@pytest.mark.parametrize("name", ["demo.yaml", "production.yaml"])
def test_the_examples_are_sound(name: str) -> None:
    assert offline.validate(EXAMPLES / name)[1].findings == ()


def test_the_full_example_names_every_key_with_its_default() -> None:
    example = yaml.safe_load((EXAMPLES / "production.yaml").read_text(encoding="utf-8"))
    bare = config(bastion__serverType="cpx12").model_dump(mode="json", by_alias=True)

    for section in ("network", "k3s", "autoscaler"):
        assert example[section].keys() >= bare[section].keys()
    for key in ("range", "masterSubnet", "workerSubnet", "dns"):
        assert example["network"][key] == bare["network"][key]
    for key in ("version", "artifactsUrl", "cni", "scheduler", "clusterCidr", "serviceCidr"):
        assert example["k3s"][key] == bare["k3s"][key]


def test_builders_make_independent_values() -> None:
    values(bastion__image="debian-12")

    assert "image" not in values()["bastion"]


def test_what_is_well_formed_is_judged_beside_what_is_not(tmp_path: Path) -> None:
    """A typing error must not hide the overlap that would be the next run's report."""
    file = tmp_path / "cluster.yaml"
    file.write_text(
        text(
            bastion__serverTyp="cpx12",
            k3s__serviceCidr="10.42.8.0/21",
            k3s__version="v1.26.4+k3s1",
            k3s__embeddedRegistry=True,
            autoscaler__replicas="many",
            nodePools=[POOL | {"name": "p" * 53}, POOL | {"maxNodes": "five"}],
        )
    )

    found, report = offline.validate(file)

    assert found is None
    assert {finding.code for finding in report.errors} == {
        "HK3S-E003",
        "HK3S-E005",
        "HK3S-E013",
        "HK3S-E031",
        "HK3S-E032",
        "HK3S-E041",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"network__range": "10.9.0.0/33", "network__workerSubnet": "10.9.1.0/24"},
        {"network": None},
        {"nodePools": "none"},
        {"nodePools": [POOL, "general"]},
        {"nodePools": [POOL | {"maxNodes": 99}, POOL | {"name": "b", "maxNodes": "many"}]},
        {"bastion__allowedCidrs": ["everywhere"]},
        {"bastion__allowedCidrs": ...},
        {"ssh": ...},
        {"cluster": ...},
        {"k3s__version": ["v1.36.5+k3s1"]},
    ],
)
def test_nothing_is_guessed_about_what_is_malformed(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text(**changes))

    found, report = offline.validate(file)

    assert found is None
    assert report.errors
    assert {finding.code for finding in report.errors} <= {"HK3S-E004", "HK3S-E005"}
