"""The command line: help, exit codes, all problems at once."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hk3s_autoscaler import cli
from hk3s_autoscaler.daemon.log import Secrets
from hk3s_autoscaler.daemon.wiring import Settings

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: x, resources: {requests: {cpu: "%s", memory: 1Gi}}}
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("t" * 64)
    (tmp_path / "ssh-ca").write_text("key")
    (tmp_path / "config.yaml").write_text("cluster: demo\nnetwrok: {}\n")
    return tmp_path


def run(files: Path, **changes: str) -> Result:
    options = {"config": "config.yaml", "token-file": "token", "ssh-host-ca-file": "ssh-ca"}
    named = {**options, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return call("run", *(f"--{name}={files / value}" for name, value in named.items()))


@pytest.mark.parametrize("command", [[], ["run"], ["plan"], ["explain"]], ids=" ".join)
def test_help_shows_what_there_is(command: list[str]) -> None:
    result = call(*command, "--help")

    assert result.exit_code == 0
    assert "Usage" in result.output
    if command:
        assert "Example" in result.output


def test_a_misspelt_config_names_every_problem(files: Path) -> None:
    result = run(files)

    assert result.exit_code == 2
    assert "netwrok" in result.output
    assert "ssh" in result.output
    assert "image" in result.output


@pytest.mark.parametrize("missing", ["config", "token_file", "ssh_host_ca_file"])
def test_a_file_that_is_not_there_is_named(files: Path, missing: str) -> None:
    result = run(files, **{missing: "absent"})

    assert result.exit_code == 2
    assert "absent" in result.output
    if missing != "config":
        assert "netwrok" in result.output, "all problems are told at once"
    assert "t" * 64 not in result.output


def test_an_empty_token_is_no_token(files: Path) -> None:
    (files / "empty").write_text("\n")

    assert run(files, token_file="empty").exit_code == 2


def test_a_plan_for_people_and_for_programs(tmp_path: Path) -> None:
    workload = tmp_path / "pods.yaml"
    workload.write_text(PODS % "500m")

    people = call("plan", "-f", str(workload))
    programs = call("plan", "-f", str(workload), "-o", "json", "--ignore-stock")

    assert people.exit_code == programs.exit_code == 0
    assert re.search(r"\d EUR/h", people.output)
    answer = json.loads(programs.output)
    assert [line["pods"] for line in answer["servers"]] == [1]
    assert answer["eur_per_hour"] >= answer["lower_bound_eur_per_hour"] > 0


def test_a_plan_names_the_pods_that_nothing_serves(tmp_path: Path) -> None:
    workload = tmp_path / "pods.yaml"
    workload.write_text(PODS % "5000")

    result = call("plan", "-f", str(workload))

    assert result.exit_code == 0
    assert "not served: default/web" in result.output


def test_a_plan_of_nonsense_is_refused(tmp_path: Path) -> None:
    workload = tmp_path / "pods.yaml"
    workload.write_text("kind: [")

    assert call("plan", "-f", str(workload)).exit_code == 2
    assert call("plan", "-f", str(tmp_path / "absent")).exit_code == 2


def test_explain_needs_a_way_to_the_cluster(tmp_path: Path) -> None:
    result = call("explain", "pod", "web", "--kubeconfig", str(tmp_path / "absent"))

    assert result.exit_code == 2
    assert "absent" in result.output


def test_the_version_is_the_distributions() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", call("version").output)


CONFIG = """
cluster: demo
network:
  {id: 1, range: 10.4.0.0/16, masterSubnet: 10.4.0.0/24, workerSubnet: 10.4.1.0/24, dns: [1.1.1.1]}
api: {address: 10.4.0.3, caHash: "%s"}
k3s: {version: v1.36.5+k3s1, artifactsUrl: "https://example.com"}
image: ubuntu-24.04
ssh: {keyIds: [1], authorizedKeys: [ssh-ed25519 AAAA test]}
"""


@pytest.mark.parametrize(
    ("environment", "arguments", "address"),
    [
        ({}, [], "0.0.0.0"),  # noqa: S104 - the default in a pod
        ({"HK3S_BIND_ADDRESS": "127.0.0.9"}, [], "127.0.0.9"),
        ({"HK3S_BIND_ADDRESS": "127.0.0.9"}, ["--bind-address=127.0.0.8"], "127.0.0.8"),
    ],
)
def test_where_it_listens_comes_from_flag_or_environment(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: list[str],
    address: str,
) -> None:
    (files / "config.yaml").write_text(CONFIG % ("0" * 64))
    seen: list[Settings] = []

    async def note(settings: Settings, _secrets: Secrets) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr(cli, "_run", note)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hk3s_autoscaler.daemon.log.configure", lambda *_, **__: None)

    options = [f"--config={files}/config.yaml", f"--token-file={files}/token"]
    result = call("run", *options, f"--ssh-host-ca-file={files}/ssh-ca", *arguments)

    assert (result.exit_code, result.output) == (0, "")
    assert [settings.binding.address for settings in seen] == [address]


def test_names_are_separated_by_commas_or_repeated(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(PODS % "1", encoding="utf-8")
    both = [
        call("plan", "-f", str(file), "--ignore-stock", "-o", "json", *narrowed)
        for narrowed in (
            ["--server-types", "ccx13,ccx23", "--location", "hel1,nbg1"],
            ["--server-type", "ccx13", "--server-type", "ccx23", "--locations", "hel1"],
        )
    ]
    for result in both:
        (line,) = json.loads(result.stdout)["servers"]
        assert line["server_type"] == "ccx13"


def test_types_and_locations_that_do_not_exist_are_named(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(PODS % "1", encoding="utf-8")

    result = call("plan", "-f", str(file), "--server-types", "cx99,cx23", "--location", "mars1")

    assert result.exit_code == 2
    assert "--server-types: error HK3S-E110: cx99 is not known" in result.stderr
    assert "--location: error HK3S-E110: mars1 is not known" in result.stderr
