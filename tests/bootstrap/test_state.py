import stat
from pathlib import Path

import pytest

from bootstrap.support import NOW
from hk3s_bootstrap import files, state


@pytest.fixture(scope="module")
def secrets() -> state.State:
    return state.mint(NOW, bytes)


def test_what_is_saved_is_loaded(tmp_path: Path, secrets: state.State) -> None:
    state.save(tmp_path / "demo", secrets)

    loaded = state.load(tmp_path / "demo")

    assert loaded == secrets
    assert loaded is not None
    assert loaded.ca_hash == secrets.ca_hash


def test_everything_is_private(tmp_path: Path, secrets: state.State) -> None:
    directory = tmp_path / "demo"
    state.save(directory, secrets)

    modes = {
        stat.S_IMODE(path.stat().st_mode): path.is_dir()
        for path in [directory, *directory.rglob("*")]
    }

    assert modes == {0o700: True, 0o600: False}


def test_nothing_is_loaded_from_nothing(tmp_path: Path) -> None:
    assert state.load(tmp_path / "demo") is None


def test_a_directory_that_was_never_finished_counts_as_nothing(
    tmp_path: Path, secrets: state.State
) -> None:
    state.save(tmp_path, secrets)
    (tmp_path / "VERSION").unlink()

    assert state.load(tmp_path) is None


@pytest.mark.parametrize(
    "name", ["tls/server-ca.key", "k3s-token", "ssh-host-ca", "tls/service.key"]
)
def test_a_lost_file_is_an_error_and_never_minted_anew(
    tmp_path: Path, secrets: state.State, name: str
) -> None:
    state.save(tmp_path, secrets)
    (tmp_path / name).unlink()

    with pytest.raises(state.StateError):
        state.load(tmp_path)


def test_another_version_is_not_guessed_at(tmp_path: Path, secrets: state.State) -> None:
    state.save(tmp_path, secrets)
    (tmp_path / "VERSION").write_text("2\n")

    with pytest.raises(state.StateError, match="version '2'"):
        state.load(tmp_path)


def test_forgetting_leaves_what_others_put_there(tmp_path: Path, secrets: state.State) -> None:
    state.save(tmp_path / "demo", secrets)
    (tmp_path / "demo" / "notes").write_text("mine")

    state.forget(tmp_path / "demo")

    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["notes"]


def test_forgetting_removes_the_directory(tmp_path: Path, secrets: state.State) -> None:
    state.save(tmp_path / "demo", secrets)
    state.save_cluster_uid(tmp_path / "demo", "uid")

    state.forget(tmp_path / "demo")

    assert not (tmp_path / "demo").exists()


def test_the_cluster_is_known_once_it_answered(tmp_path: Path) -> None:
    assert state.read_cluster_uid(tmp_path) is None
    state.save_cluster_uid(tmp_path, "uid-1")
    assert state.read_cluster_uid(tmp_path) == "uid-1"
    state.forget_cluster_uid(tmp_path)
    assert state.read_cluster_uid(tmp_path) is None


def test_secrets_do_not_show(secrets: state.State) -> None:
    assert secrets.token not in repr(secrets)
    assert "PRIVATE" not in repr(secrets)


def test_the_default_directory_follows_xdg() -> None:
    assert state.default_directory("demo", {"XDG_STATE_HOME": "/s"}) == Path("/s/hk3s/demo")
    home = Path("~/.local/state/hk3s/demo").expanduser()
    assert state.default_directory("demo", {}) == home


def test_a_failed_write_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_text("before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_private(target, b"after")

    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
