"""`simulate` on files: the examples work, and what is wrong is said all at once."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hk3s_autoscaler.cli import app
from hk3s_autoscaler.offline.trace_check import TRACE_FILE, check
from hk3s_findings.reading import read_file

ROOT = Path(__file__).parents[3]
SMALL = """
duration: 90m
interval: 10m
join: {min: 60s, max: 60s}
workloads:
  - name: web
    requests: {cpu: 500m, memory: 1Gi}
    replicas:
      - {at: 0, count: 3}
stock:
  - {at: 0, offering: "cx*/*"}
"""


def run(*argv: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["simulate", *argv])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "trace.yaml"
    path.write_text(SMALL)
    return path


def test_a_trace_is_played_and_drawn(small: Path, tmp_path: Path) -> None:
    picture = tmp_path / "p.svg"
    code, out, _ = run("-f", str(small), "--location", "fsn1", "-o", "json", "--svg", str(picture))

    assert code == 0
    found = json.loads(out)
    assert found["servers"]["by_offering"] == {"cx23/fsn1": 1}
    assert found["eur_paid"] == pytest.approx(2 * 0.0088)
    assert 0 < found["eur_lower_bound"] <= found["eur_paid"]
    assert found["waiting_seconds"]["max"] == 62
    assert found["pods_bound"] == 3
    assert found["samples"][0]["waiting"] == 3
    assert picture.read_text().startswith("<svg ")


def test_people_get_a_summary_and_the_same_each_time(small: Path) -> None:
    first, second = (run("-f", str(small), "--seed", "5") for _ in range(2))

    assert first == second
    assert first[0] == 0
    assert "paid          0.0176 EUR" in first[1]
    assert "1 servers: 1 cx23/" in first[1]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/trace-*.yaml")), ids=lambda p: p.stem)
def test_examples_are_traces(path: Path) -> None:
    parsed = read_file(path, TRACE_FILE)

    assert parsed.value is not None, parsed.findings
    assert tuple(check(parsed.value)) == ()


def test_a_pool_and_a_catalogue_of_ones_own_are_used(small: Path, tmp_path: Path) -> None:
    pools = tmp_path / "pools.yaml"
    pools.write_text(
        "apiVersion: hk3s.dev/v1alpha1\nkind: NodePool\nmetadata: {name: big}\n"
        "spec: {maxNodes: 3, serverTypes: [cx43], locations: [hel1]}\n"
    )
    code, out, _ = run("-f", str(small), "--nodepools", str(pools), "-o", "json")

    assert code == 0
    assert json.loads(out)["servers"]["by_offering"] == {"cx43/hel1": 1}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("duration: 90m", "", "error HK3S-E104: duration: the key 'duration' is missing"),
        ("duration: 90m", "duration: 90", "error HK3S-E105: duration: "),
        ("duration: 90m", "duration: 600h", "error HK3S-E105: duration: "),
        ("count: 3", "cuont: 3", "did you mean count?"),
        ("count: 3", "count: -3", "error HK3S-E105: workloads[0].replicas[0].count: "),
        ("at: 0, count", "at: 2h, count", "error HK3S-E107: workloads[0].replicas[0].at: "),
        ("cpu: 500m", "cpu: lots", "error HK3S-E108: workloads[0].requests: cpu: "),
        ("requests: {cpu: 500m, memory: 1Gi}", "", "needs either requests or template"),
        ('"cx*/*"', '"cz*/*"', "error HK3S-E109: stock[0].offering: "),
        (
            "replicas:",
            "pdb: {maxUnavailable: some}\n    replicas:",
            "error HK3S-E105: workloads[0].pdb: ",
        ),
        ("replicas:", "pdb: {}\n    replicas:", "needs either minAvailable or maxUnavailable"),
        ("max: 60s", "max: 6s", "error HK3S-E105: join: max must not be below min"),
        ("name: web", "name: Web", "error HK3S-E105: workloads[0].name: "),
        ("workloads:", "workloads: [", "error HK3S-E102: is not YAML"),
    ],
)
def test_a_problem_has_a_place_a_code_and_a_fix(small: Path, old: str, new: str, told: str) -> None:
    small.write_text(SMALL.replace(old, new, 1))

    code, out, err = run("-f", str(small))

    assert (code, out) == (2, "")
    assert err.startswith(str(small))
    assert told in err
    assert "fix: " in err


def test_all_problems_are_told_at_once(small: Path) -> None:
    small.write_text(SMALL.replace("count: 3", "count: x").replace("90m", "9") + "colour: red\n")

    _, _, err = run("-f", str(small))

    assert err.count(": error HK3S-E1") == 3


def test_templates_are_judged_as_pods(small: Path) -> None:
    claim = "{name: data, persistentVolumeClaim: {claimName: data}}"
    spec = f"{{volumes: [{claim}], containers: [{{name: c, resources: {{requests: {{cpu: 1}}}}}}]}}"
    text = SMALL.replace("requests: {cpu: 500m, memory: 1Gi}", f"template: {{spec: {spec}}}")
    small.write_text(text)

    code, _, err = run("-f", str(small))

    assert code == 2
    told = (
        "error HK3S-E108: workloads[0].template: volumes are not simulated\n    fix: leave them out"
    )
    assert told in err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, _, err = run("-f", str(tmp_path / "none.yaml"))

    assert code == 2
    assert "none.yaml:1:1: error HK3S-E101: cannot be read" in err


def test_help_shows_examples() -> None:
    code, out, _ = run("--help")

    assert code == 0
    assert "examples/trace-working-day.yaml" in out
    assert "Volumes are not simulated" in " ".join(out.split())
