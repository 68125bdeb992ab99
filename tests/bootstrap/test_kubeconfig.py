import stat
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from bootstrap.support import NOW
from hk3s_bootstrap import kubeconfig, state

ADDRESS = "203.0.113.9"


@pytest.fixture(scope="module")
def secrets() -> state.State:
    return state.mint(NOW, bytes)


@pytest.fixture(scope="module")
def others() -> state.State:
    return state.mint(NOW, bytes)


def rendered(secrets: state.State) -> str:
    return kubeconfig.render("demo", secrets, ADDRESS, NOW)


def test_it_points_at_the_bastion(secrets: state.State) -> None:
    values = yaml.safe_load(rendered(secrets))

    assert values["clusters"][0]["cluster"]["server"] == "https://203.0.113.9:6443"


def test_a_new_file_is_private_and_has_no_backup(tmp_path: Path, secrets: state.State) -> None:
    path = tmp_path / "kubeconfig"

    written = kubeconfig.write(path, rendered(secrets))

    assert written.backup is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kubeconfig.occupant(path, secrets) == "ours"


@pytest.mark.parametrize(
    ("content", "what"),
    [("", "empty"), ("\n", "empty"), ("not: a kubeconfig", "foreign"), ("a: [", "foreign")],
)
def test_what_stands_in_the_way_is_kept(
    tmp_path: Path, secrets: state.State, content: str, what: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    assert kubeconfig.occupant(path, secrets) == what

    written = kubeconfig.write(path, rendered(secrets))

    assert written.backup == tmp_path / "kubeconfig.bak"
    assert written.backup.read_text() == content
    assert kubeconfig.occupant(path, secrets) == "ours"


def test_another_clusters_file_is_foreign_and_backups_are_never_replaced(
    tmp_path: Path, secrets: state.State, others: state.State
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(rendered(others))
    (tmp_path / "kubeconfig.bak").write_text("older")

    written = kubeconfig.write(path, rendered(secrets))

    assert written.backup == tmp_path / "kubeconfig.bak2"
    assert (tmp_path / "kubeconfig.bak").read_text() == "older"


def test_our_own_file_is_replaced_without_a_backup(tmp_path: Path, secrets: state.State) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, rendered(secrets))

    assert kubeconfig.write(path, rendered(secrets)).backup is None


@pytest.mark.parametrize(
    ("days", "address", "current"),
    [(0, ADDRESS, True), (22, ADDRESS, True), (23, ADDRESS, False), (0, "203.0.113.10", False)],
)
def test_a_file_is_current_until_a_week_before_it_expires(
    tmp_path: Path, secrets: state.State, days: int, address: str, *, current: bool
) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, rendered(secrets))

    assert kubeconfig.is_current(path, secrets, address, NOW + timedelta(days=days)) is current
