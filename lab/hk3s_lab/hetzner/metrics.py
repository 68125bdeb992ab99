"""Metrics: the request is read as the API reads it, the series are empty."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hk3s_lab.hetzner.call import OK, Answer, Call, timestamp
from hk3s_lab.hetzner.errors import invalid_input

SAMPLES = 200
"""How many samples there would be when the request leaves the step open."""
MAX_SAMPLES = 500


def empty(call: Call, series: Mapping[str, Sequence[str]]) -> Answer:
    """Answer with the series of the types asked for, without samples."""
    problems: dict[str, list[str]] = {}
    kinds = [kind for text in call.values("type") for kind in text.split(",")]
    if not kinds or set(kinds) - set(series):
        problems["type"] = [f"must be one or more of {', '.join(series)}"]
    start, end = (_moment(call, name, problems) for name in ("start", "end"))
    step = _step(call, problems)
    if start is not None and end is not None and end <= start:
        problems["end"] = ["must be after start"]
    if problems or start is None or end is None:
        raise invalid_input(problems)
    seconds = (end - start).total_seconds()
    names = [name for kind in dict.fromkeys(kinds) for name in series[kind]]
    metrics: dict[str, Any] = {
        "start": timestamp(start),
        "end": timestamp(end),
        "step": max(step or max(1, round(seconds / SAMPLES)), seconds / MAX_SAMPLES),
        "time_series": {name: {"values": []} for name in names},
    }
    return Answer(OK, {"metrics": metrics})


def _moment(call: Call, name: str, problems: dict[str, list[str]]) -> datetime | None:
    texts = call.values(name)
    try:
        moment = datetime.fromisoformat(texts[-1].replace(" ", "+"))
    except (IndexError, ValueError):
        problems[name] = ["must be a time in ISO 8601 format"]
        return None
    if moment.tzinfo is None:
        problems[name] = ["must have a time zone"]
        return None
    return moment


def _step(call: Call, problems: dict[str, list[str]]) -> float | None:
    texts = call.values("step")
    if not texts:
        return None
    try:
        step = float(texts[-1])
    except ValueError:
        step = 0.0
    if not 0 < step < float("inf"):
        problems["step"] = ["must be a positive number of seconds"]
    return step
