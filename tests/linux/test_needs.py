"""What is missing on a machine is named at once."""

import os
from pathlib import Path

import pytest

from hk3s_lab.errors import LabError
from hk3s_lab.linux import needs

pytestmark = pytest.mark.linux


def quiet(line: str) -> None:
    """Say nothing."""


async def test_this_machine_has_all_of_it() -> None:
    await needs.check(quiet)

    assert int(needs.INOTIFY.read_text()) >= needs.INOTIFY_INSTANCES


async def test_the_limit_of_watchers_is_raised_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limit = tmp_path / "limit"
    limit.write_text("128\n")
    monkeypatch.setattr(needs, "INOTIFY", limit)
    said: list[str] = []

    await needs.check(said.append)

    assert limit.read_text() == "1024"
    assert said == ["raised fs.inotify.max_user_instances from 128 to 1024, until the next reboot"]


async def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(LabError, match="need root"):
        await needs.check(quiet)


async def test_missing_programs_are_named_by_their_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(LabError, match=r"dnsmasq-base .*mmdebstrap .*systemd-container"):
        await needs.check(quiet)


async def test_what_the_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_PROBES", {"flying carpets": ("echo none here >&2; exit 3", None)})

    with pytest.raises(LabError, match="no flying carpets: none here"):
        await needs.check(quiet)
