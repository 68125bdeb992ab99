"""What the page on the planner tells people to type works, and it leaves no reason out."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hk3s_autoscaler.cli import app
from hk3s_autoscaler.offline.trace_check import TRACE_FILE, check
from hk3s_autoscaler.planning.reasons import Code
from hk3s_findings.reading import parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/planner.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


def run(command: str) -> str:
    program, *argv = shlex.split(command)
    assert program == "hk3s-autoscaler"
    result = CliRunner().invoke(app, argv)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The commands run beside the examples, and write elsewhere."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_price_of_the_example_is_what_the_page_says() -> None:
    (command,) = [line for line in COMMANDS if " plan " in line]
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)

    assert run(command) == printed


def test_the_simulation_of_the_example_runs_and_draws(repository: Path) -> None:
    (command,) = [line for line in COMMANDS if " simulate " in line]

    assert "sold out" in run(command)
    assert (repository / "stock.svg").read_text().startswith("<svg ")


def test_the_trace_on_the_page_is_valid() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    parsed = parse(text, TRACE_FILE)

    assert parsed.value is not None, parsed.findings
    assert tuple(check(parsed.value)) == ()


def test_every_option_of_the_table_exists() -> None:
    table = re.findall(r"^\| `--.*$", PAGE, re.MULTILINE)
    named = re.findall(r"`(--[a-z-]+)", "\n".join(table))
    assert len(named) >= 9
    shown = run("hk3s-autoscaler plan --help")

    assert [option for option in named if option not in shown] == []


def test_every_reason_is_explained_and_none_is_invented() -> None:
    told = set(re.findall(r"^\| (`[^|]*)\|", PAGE, re.MULTILINE))
    words = set(re.findall(r"`([A-Z][A-Za-z]+)`", "\n".join(told)))

    assert words == {code.value for code in Code}


def test_every_page_and_example_that_is_named_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)
    examples = re.findall(r"`(trace-[a-z-]+\.yaml)`", PAGE)
    assert len(examples) >= 3

    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert [name for name in examples if not (ROOT / "examples" / name).exists()] == []


def test_the_codes_of_the_page_are_those_of_the_code() -> None:
    files = (ROOT / "autoscaler/hk3s_autoscaler/offline").glob("*.py")
    used = set(re.findall(r"HK3S-E1\d\d", "".join(path.read_text() for path in files)))

    assert len(used) >= 12
    assert set(re.findall(r"HK3S-E1\d\d", PAGE)) == used
