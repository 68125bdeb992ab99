"""Durations as Go writes them (`90s`, `1h30m`, `1.5h`), which is what Kubernetes users type."""

import re
from datetime import timedelta

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}


def parse(text: str) -> timedelta:
    """Return the duration; `ValueError` for anything that `PATTERN` does not match."""
    if re.fullmatch(PATTERN, text) is None:
        raise ValueError(f"{text!r} is no duration: write numbers with ms, s, m or h, as in 1h30m")
    return sum((float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta())


def render(duration: timedelta) -> str:
    """Return the shortest text that `parse` reads back, down to milliseconds; `0s` for none."""
    left = round(duration / _UNITS["ms"])
    parts = []
    for unit in ("h", "m", "s", "ms"):
        count, left = divmod(left, round(_UNITS[unit] / _UNITS["ms"]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
