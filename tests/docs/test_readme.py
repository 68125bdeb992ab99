"""What the README tells newcomers to type is accepted by the commands."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4gnOZs0AgVfI1Me8UHux9niRuI6fMNQ0aYMzxzENfi you"


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = str(Path(sys.executable).with_name(argv[0]))
    return subprocess.run(
        [command, *argv[1:]], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_smallest_cluster_file_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    key = tmp_path / "id_ed25519.pub"
    key.write_text(KEY, encoding="utf-8")
    file = tmp_path / "cluster.yaml"
    file.write_text(text.replace("~/.ssh/id_ed25519.pub", str(key)), encoding="utf-8")

    result = run("hk3s-bootstrap", "validate", "-f", str(file))

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_command_in_the_table_exists() -> None:
    commands = set(re.findall(r"`(hk3s-(?:bootstrap|autoscaler|lab)) ([a-z]+)", README))
    assert len(commands) >= 7
    for program, command in sorted(commands):
        result = run(program, command, "--help")
        assert result.returncode == 0, f"{program} {command}: {result.stderr}"


def test_every_page_that_is_linked_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
