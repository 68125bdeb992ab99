"""What is missing on a machine is named at once."""

import os

import pytest

from hk3s_lab.errors import LabError
from hk3s_lab.linux import needs

pytestmark = pytest.mark.linux


async def test_this_machine_has_all_of_it() -> None:
    await needs.check()


async def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(LabError, match="need root"):
        await needs.check()


async def test_missing_programs_are_named_by_their_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(LabError, match=r"dnsmasq-base .*mmdebstrap .*systemd-container"):
        await needs.check()


async def test_what_the_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_PROBES", {"flying carpets": ("echo none here >&2; exit 3", None)})

    with pytest.raises(LabError, match="no flying carpets: none here"):
        await needs.check()
