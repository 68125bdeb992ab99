"""`plan -f`: prices a workload from files alone."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
import yaml

from hk3s_autoscaler.offline.plan import Answer, plan_command_core, render_json, render_text
from hk3s_autoscaler.offline.question import OfflineError, Question
from hk3s_data.catalog import bundled

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GIB = 1 << 30
ROOT = Path(__file__).parents[3]


def workload(replicas: int = 8, cpu: str = "900m", memory: str = "1Gi") -> str:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        }
    )


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def ask(question: Question) -> Answer:
    ticks = count(0.0, 0.25)
    return plan_command_core(question, now=NOW, monotonic=lambda: next(ticks))


@pytest.fixture
def question(tmp_path: Path) -> Question:
    return Question(
        workload=write(tmp_path, "pods.yaml", workload()),
        locations=("fsn1",),
        architectures=("amd64",),
    )


def test_a_workload_is_priced_from_the_bundled_catalogue(question: Question) -> None:
    answer = ask(replace(question, ignore_stock=True))

    assert {(line.server_type, line.count) for line in answer.servers} == {("cx43", 1)}
    assert answer.micro_eur_per_hour == 25_600
    assert answer.micro_eur_per_month == 15_990_000
    assert 0 < answer.lower_bound_micro_eur_per_hour <= answer.micro_eur_per_hour
    assert answer.unschedulable == ()
    assert answer.seconds == 0.25


def test_what_the_catalogue_has_not_in_stock_is_avoided(question: Question) -> None:
    assert {line.server_type for line in ask(question).servers} == {"cpx42"}


def test_a_stock_file_overrides_with_its_last_matching_pattern(
    question: Question, tmp_path: Path
) -> None:
    stock = write(tmp_path, "stock.json", '{"*": false, "cx*/fsn1": true, "cx43/*": false}')

    answer = ask(replace(question, stock=stock))

    assert {line.server_type for line in answer.servers} == {"cx33"}


def test_a_type_whose_end_has_passed_is_never_sold(question: Question) -> None:
    only_old = replace(question, server_types=("cpx41",), ignore_stock=True)

    answer = ask(only_old)

    assert answer.servers == ()
    assert {u.reason.value for u in answer.unschedulable} == {"NoPoolMatches"}


def test_types_and_locations_narrow_the_choice(question: Question) -> None:
    answer = ask(replace(question, server_types=("ccx23", "ccx13"), locations=("hel1",)))

    bought = {(line.server_type, line.location) for line in answer.servers}
    assert bought
    assert bought <= {("ccx13", "hel1"), ("ccx23", "hel1")}


def test_the_machine_readable_answer_adds_up(question: Question) -> None:
    answer = json.loads(render_json(ask(question)))

    total = sum(line["count"] * line["eur_per_hour"] for line in answer["servers"])
    assert answer["eur_per_hour"] == pytest.approx(total)
    assert answer["lower_bound_eur_per_hour"] <= answer["eur_per_hour"]
    assert sum(line["count"] * line["pods"] for line in answer["servers"]) == 8
    (line,) = answer["servers"]
    assert set(line) == {
        "server_type",
        "location",
        "count",
        "eur_per_hour",
        "allocatable",
        "pods",
    }
    assert 0 < line["allocatable"]["memory_bytes"] < 16 * GIB
    assert set(answer) == {
        "servers",
        "eur_per_hour",
        "eur_per_month",
        "lower_bound_eur_per_hour",
        "seconds",
        "unschedulable",
        "not_priced",
    }


def test_the_exact_pass_says_when_nothing_cheaper_exists(question: Question) -> None:
    pytest.importorskip("highspy")
    ticks = count(0.0, 0.25)
    asked = replace(question, ignore_stock=True)

    answer = plan_command_core(asked, now=NOW, monotonic=lambda: next(ticks), exact=1.0)

    assert answer.lower_bound_micro_eur_per_hour == answer.micro_eur_per_hour == 25_600
    assert render_text(answer).endswith("(proved: no purchase is cheaper)")


def test_what_does_not_fit_is_told_to_people_and_programs(tmp_path: Path) -> None:
    too_large = write(tmp_path, "pods.yaml", workload(replicas=2, memory="999Gi"))
    answer = ask(Question(workload=too_large))

    text = render_text(answer)

    assert "not served: shop/web-0 and 1 more: NoOfferingFits: memory 999Gi > largest" in text
    assert json.loads(render_json(answer))["unschedulable"][1]["pod"] == "shop/web-1"


def test_what_is_not_priced_is_named_to_people_and_programs(tmp_path: Path) -> None:
    others = "---\nkind: Rollout\n---\nkind: Rollout\n---\nkind: PersistentVolume\n"
    path = write(tmp_path, "pods.yaml", f"{workload()}{others}metadata: {{name: a}}\nspec: {{}}\n")

    answer = ask(Question(workload=path, ignore_stock=True))

    assert render_text(answer).splitlines()[-1] == "not priced: Rollout (2)"
    assert json.loads(render_json(answer))["not_priced"] == [{"what": "Rollout", "count": 2}]


def test_pools_of_a_file_are_obeyed(question: Question, tmp_path: Path) -> None:
    pools = write(
        tmp_path,
        "pools.yaml",
        yaml.safe_dump(
            {
                "apiVersion": "hk3s.dev/v1alpha1",
                "kind": "NodePool",
                "metadata": {"name": "small"},
                "spec": {"serverTypes": ["cpx22"], "locations": ["nbg1"], "maxNodes": 2},
            }
        ),
    )

    answer = ask(replace(question, nodepools=pools))

    assert [(line.server_type, line.location, line.count) for line in answer.servers] == [
        ("cpx22", "nbg1", 2)
    ]
    assert {u.reason.value for u in answer.unschedulable} == {"MaxNodes"}


def test_pools_of_a_cluster_file_are_obeyed(question: Question, tmp_path: Path) -> None:
    pools = write(
        tmp_path,
        "cluster.yaml",
        "cluster: demo\nnodePools:\n  - name: small\n    maxNodes: 2\n    serverTypes: [cpx22]\n"
        "    locations: [nbg1]\n",
    )

    answer = ask(replace(question, nodepools=pools))

    assert [(line.server_type, line.location, line.count) for line in answer.servers] == [
        ("cpx22", "nbg1", 2)
    ]


def test_a_mistake_in_a_cluster_file_has_its_line(question: Question, tmp_path: Path) -> None:
    text = "nodePools:\n  - name: small\n    maxNode: 2\n    maxNodes: 4\n"
    pools = write(tmp_path, "cluster.yaml", text)

    with pytest.raises(OfflineError, match=r"cluster.yaml:3:5: error HK3S-E202: nodePools\[0\]"):
        ask(replace(question, nodepools=pools))


def test_a_catalogue_of_ones_own_is_taken(question: Question, tmp_path: Path) -> None:
    def price(text: str) -> dict[str, str]:
        return {"net": text, "gross": text}

    own = {
        "server_types": [
            {
                "id": 1,
                "name": "my8",
                "cores": 8,
                "memory": 32.0,
                "disk": 100,
                "cpu_type": "shared",
                "architecture": "x86",
                "category": "own",
                "deprecation": None,
                "prices": [
                    {
                        "location": "fsn1",
                        "price_hourly": price("0.5"),
                        "price_monthly": price("300"),
                    }
                ],
                "locations": [{"id": 1, "name": "fsn1", "available": True, "deprecation": None}],
            }
        ]
    }

    answer = ask(replace(question, catalog=write(tmp_path, "c.json", json.dumps(own))))

    assert [(line.server_type, line.micro_eur_per_hour) for line in answer.servers] == [
        ("my8", 500_000)
    ]


def test_a_catalogue_with_a_price_that_is_no_number_is_refused(
    question: Question, tmp_path: Path
) -> None:
    own = json.loads(json.dumps(bundled()))
    own["server_types"][0]["prices"][0]["price_hourly"]["net"] = "cheap"

    with pytest.raises(OfflineError, match="HK3S-E111"):
        ask(replace(question, catalog=write(tmp_path, "c.json", json.dumps(own))))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    question = Question(
        workload=write(tmp_path, "pods.yaml", "kind: Pod\nmetadata: {name: a}\nspec: 3\n"),
        nodepools=tmp_path / "missing.yaml",
        catalog=write(tmp_path, "catalog.json", "[]"),
        stock=write(tmp_path, "stock.yaml", "cx23/fsn1: often\n"),
    )

    with pytest.raises(OfflineError) as raised:
        ask(question)

    told = str(raised.value)
    folder = f"{tmp_path}/"
    assert f"{folder}pods.yaml:1:1: error HK3S-E108: Pod default/a: spec: must be an object" in told
    assert f"{folder}missing.yaml: error HK3S-E101: cannot be read" in told
    assert f"{folder}catalog.json: error HK3S-E111: is not like GET /server_types" in told
    assert f"{folder}stock.yaml:1:1: error HK3S-E105: [cx23/fsn1]: is 'often'" in told
    assert told.count("    fix: ") == 4
    assert told.endswith("4 errors, 0 warnings")


def test_an_unknown_name_is_refused_with_the_known_ones(question: Question) -> None:
    with pytest.raises(OfflineError) as raised:
        ask(replace(question, architectures=("riscv",), server_types=("cx23", "cx24")))

    told = str(raised.value)
    assert "--arch: error HK3S-E110: riscv is not known\n    fix: choose from amd64, arm64" in told
    assert "--server-types: error HK3S-E110: cx24 is not known" in told


def test_a_pool_with_mistakes_is_refused_with_their_lines(
    question: Question, tmp_path: Path
) -> None:
    pools = write(
        tmp_path,
        "pools.yaml",
        "kind: NodePool\nmetadata: {name: a}\nspec: {maxNodes: 3}\n---\n"
        "kind: NodePool\nmetadata: {name: p}\nspec:\n  maxNode: 3\n  maxNodes: 0\n  minNodes: 1\n",
    )

    with pytest.raises(OfflineError) as raised:
        ask(replace(question, nodepools=pools))

    assert str(raised.value).splitlines()[:2] == [
        f"{pools}:8:3: error HK3S-E202: spec.maxNode: unknown key 'maxNode'",
        "    fix: did you mean maxNodes?",
    ]


def test_a_file_without_a_pool_is_refused(question: Question, tmp_path: Path) -> None:
    pools = write(tmp_path, "pools.yaml", "kind: ConfigMap\nmetadata: {name: a}\n")

    with pytest.raises(OfflineError, match="HK3S-E112: holds no NodePool"):
        ask(replace(question, nodepools=pools))


def test_objects_of_a_list_have_lines_of_their_own(question: Question, tmp_path: Path) -> None:
    broken = (
        "kind: List\nitems:\n  - kind: Pod\n    metadata: {name: a}\n    spec: {containers: 3}\n"
    )
    path = write(tmp_path, "list.yaml", f"---\n---\n{broken}")

    with pytest.raises(OfflineError) as raised:
        ask(replace(question, workload=path))

    line = "list.yaml:5:5: error HK3S-E108: items[0]: Pod default/a: containers: must be a list"
    assert line in str(raised.value)


def test_the_example_workload_is_understood() -> None:
    answer = ask(Question(workload=ROOT / "examples" / "workload.yaml", ignore_stock=True))

    assert answer.servers
    assert {u.reason.value for u in answer.unschedulable} == {"NoPoolMatches"}
