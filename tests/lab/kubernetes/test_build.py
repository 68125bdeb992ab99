"""The build's housekeeping, with a Go that only pretends; other tests run what a real one built."""

import asyncio
import stat
from pathlib import Path

import pytest

from hk3s_lab.kubernetes import build
from hk3s_lab.kubernetes.errors import BuildFailed

FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi
echo built >> {log}
{action}
"""
WRITES_ITS_OUTPUT = 'while [ "$1" != -o ]; do shift; done; echo binary > "$2"'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hk3s-lab"


def fake_go(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    version: str = "1.26.1",
    action: str = WRITES_ITS_OUTPUT,
) -> Path:
    """Put a Go on the PATH that notes each build; return its notes."""
    notes = tmp_path / "builds"
    notes.touch()
    go = tmp_path / "bin" / "go"
    go.parent.mkdir(exist_ok=True)
    go.write_text(FAKE_GO.format(version=version, log=notes, action=action))
    go.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    return notes


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


async def test_the_second_use_builds_nothing_and_says_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = fake_go(tmp_path, monkeypatch)
    told: list[str] = []
    first = await build.ensure_binary(told.append)
    before = len(told)

    second = await build.ensure_binary(told.append)

    assert first == second
    assert first.read_text() == "binary\n"
    assert first.is_relative_to(cache)
    assert (len(told), notes.read_text()) == (before, "built\n")
    assert before >= 2


async def test_two_at_once_build_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = tmp_path / "waits"
    action = f"while [ ! -e {waits} ]; do sleep 0.05; done; {WRITES_ITS_OUTPUT}"
    notes = fake_go(tmp_path, monkeypatch, action=action)

    def hear(line: str) -> None:
        if line == "another process is building the control plane; waiting for it":
            waits.touch()

    await asyncio.gather(*(build.ensure_binary(hear) for _ in range(2)))

    assert notes.read_text() == "built\n"


async def test_another_go_version_is_another_binary(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = set()
    for version in ("1.26.1", "1.27.3"):
        fake_go(tmp_path, monkeypatch, version=version)
        paths.add(await build.ensure_binary(print))

    assert len(paths) == 2


async def test_a_failed_build_says_why_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(tmp_path, monkeypatch, action="echo no such module >&2; exit 1")

    with pytest.raises(BuildFailed, match=r"(?s)no such module.*Fix: .*GOPROXY"):
        await build.ensure_binary(print)

    assert files(cache) == [cache / "build.lock"]


async def test_without_a_go_that_is_new_enough_the_fix_is_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(tmp_path, monkeypatch, version="1.21.0")
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(BuildFailed, match=r"install Go 1\.26 or newer"):
        await build.ensure_binary(print)


def test_the_version_is_the_one_the_sources_pin() -> None:
    assert build.kubernetes_version().startswith("v1.36.")
