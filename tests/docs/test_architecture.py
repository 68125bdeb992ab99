"""The map shows what is there."""

import re
from pathlib import Path

from hk3s_autoscaler.planning.lifecycle import diagram

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_life_of_a_worker_is_drawn_from_the_table_in_the_code() -> None:
    assert f"```mermaid\n{diagram()}```" in PAGE


def test_every_file_that_the_map_names_exists() -> None:
    named = set(
        re.findall(r"`((?:autoscaler|bootstrap|cloudinit|hetzner|kube|lab)/[\w/.]+)`", PAGE)
    )
    assert len(named) >= 3
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
