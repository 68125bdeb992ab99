"""What the demo measured, as plain data: pure functions over logs and records.

Times are seconds; those of requests and log lines are CLOCK_MONOTONIC and so comparable between
processes. Money is euro, net.
"""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

CREATE_SERVER = "/servers"
CREATED = 201
AUTOSCALER = "hk3s-autoscaler"
NO_CAPACITY = frozenset({"resource_unavailable", "placement_error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened, `t` seconds after the demo began."""

    t: float
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Workers at the peak, once all pods ran, against the lower bound for those pods."""

    eur_per_hour_bought: float
    lower_bound_eur_per_hour: float

    @property
    def ratio(self) -> float:
        """How many times the bound was paid."""
        return round(self.eur_per_hour_bought / self.lower_bound_eur_per_hour, 4)


@dataclass(slots=True, kw_only=True)
class Report:
    """The report of one demo; `failures` says what was promised and did not hold."""

    failures: list[str] = field(default_factory=list)
    timeline: list[Moment] = field(default_factory=list)
    servers: list[dict[str, Any]] = field(default_factory=list)
    pods_requested: int = 0
    pods_running_peak: int = 0
    reaction_samples: list[float] = field(default_factory=list)
    join_samples: list[float] = field(default_factory=list)
    api_calls: dict[str, int] = field(default_factory=dict)
    api_calls_per_server: float | None = None
    cost: Cost | None = None
    fallbacks: list[dict[str, Any]] = field(default_factory=list)
    creates_refused: int = 0
    left_after_destroy: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Render the report; `reaction_seconds` is the worst sample, `join_seconds` the median."""
        values = {
            "ok": not self.failures,
            "failures": self.failures,
            "timeline": [asdict(moment) for moment in self.timeline],
            "servers": self.servers,
            "pods": {"requested": self.pods_requested, "running_peak": self.pods_running_peak},
            "reaction_seconds": round(max(self.reaction_samples, default=0.0), 4),
            "reaction_samples": [round(s, 4) for s in self.reaction_samples],
            "join_seconds": round(statistics.median(self.join_samples or [0.0]), 3),
            "join_samples": [round(s, 3) for s in self.join_samples],
            "api_calls": self.api_calls,
            "api_calls_per_server": self.api_calls_per_server,
            "cost": (
                {**asdict(self.cost), "ratio": self.cost.ratio} if self.cost is not None else None
            ),
            "fallbacks": self.fallbacks,
            "creates_refused": self.creates_refused,
            "left_after_destroy": self.left_after_destroy,
        }
        return json.dumps(values, indent=2) + "\n"

    def summary(self) -> list[str]:
        """The same in a few lines for a person."""
        workers = [s for s in self.servers if s["role"] == "worker"]
        lines = [
            "",
            f"servers   {len(self.servers)} in all, {len(workers)} workers bought and given back",
            f"pods      {self.pods_running_peak} of {self.pods_requested} ran",
            f"reaction  {max(self.reaction_samples, default=0):.3f} s from batch to create, worst",
            f"join      {statistics.median(self.join_samples or [0.0]):.1f} s to Ready, median",
        ]
        if self.cost is not None:
            lines.append(
                f"cost      {self.cost.eur_per_hour_bought:.4f} EUR/h at the peak,"
                f" {self.cost.ratio:.3f} times the lower bound"
            )
        lines.append(
            f"fallbacks {len(self.fallbacks)} servers bought as second choice,"
            f" {self.creates_refused} creates refused as sold out"
        )
        lines.append(f"left      {', '.join(self.left_after_destroy) or 'nothing'}")
        lines += [f"FAILED    {failure}" for failure in self.failures]
        return lines


def describe_servers(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pick what the report tells of each server that ever was."""
    return [
        {
            "name": record["name"],
            "role": record["labels"].get("hk3s.dev/role", ""),
            "server_type": record["server_type"],
            "location": record["location"],
            "public_ipv4": record["public_ipv4"],
            "public_ipv6": record["public_ipv6"],
            "private_ip": record["private"][0]["ip"] if record["private"] else None,
            "created_at": record["created"],
            "deleted_at": record["deleted"],
        }
        for record in records
    ]


def count_calls(requests: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count requests by method and path template, most frequent first."""
    calls = Counter(f"{r['method']} {r['template']}" for r in requests)
    return dict(calls.most_common())


def calls_per_server(
    requests: Iterable[Mapping[str, Any]], *, since: float, until: float
) -> float | None:
    """Divide the autoscaler's calls within a span by the servers that it created in it."""
    own = [r for r in requests if r["agent"] == AUTOSCALER and since <= r["monotonic"] <= until]
    created = sum(1 for r in own if is_create(r) and r["status"] == CREATED)
    return round(len(own) / created, 2) if created else None


def parse_log(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Keep the lines of a structured log; what is not a JSON object is passed over."""
    events = []
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        events.append(event)
    return events


def reactions(
    events: Sequence[Mapping[str, Any]], requests: Iterable[Mapping[str, Any]]
) -> list[float]:
    """Measure from the end of each batch window to the first POST /servers that answers it.

    A batch that led to no create before the next batch closed has no sample.
    """
    closed = sorted(e["batch_closed"] for e in events if e.get("event") == "pods.observed")
    posts = sorted(r["monotonic"] for r in requests if is_create(r))
    samples = []
    for index, start in enumerate(closed):
        end = closed[index + 1] if index + 1 < len(closed) else float("inf")
        first = next((p for p in posts if start <= p < end), None)
        if first is not None:
            samples.append(first - start)
    return samples


def joins(events: Iterable[Mapping[str, Any]]) -> list[float]:
    """Collect how long each server took from its create call to a Ready node."""
    return [float(e["seconds"]) for e in events if e.get("event") == "server.joined"]


def fallbacks(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the servers that were bought as another offering than the one first asked for."""
    wanted: dict[str, str] = {}
    found = []
    for event in events:
        if event.get("event") == "server.create":
            wanted.setdefault(event["name"], event["offering"])
        elif event.get("event") == "server.created" and event["fallback"]:
            found.append(
                {
                    "name": event["name"],
                    "pool": event["pool"],
                    "wanted": wanted.get(event["name"]),
                    "bought": event["offering"],
                }
            )
    return found


def count_refused(requests: Iterable[Mapping[str, Any]]) -> int:
    """Count the creates that Hetzner refused for lack of capacity."""
    return sum(is_create(r) and r["code"] in NO_CAPACITY for r in requests)


def is_create(request: Mapping[str, Any]) -> bool:
    """Whether a request of the log is a server's create call."""
    return (request["method"], request["template"]) == ("POST", CREATE_SERVER)


def euro_per_hour(server_types: Iterable[Mapping[str, Any]], name: str, location: str) -> float:
    """Look a price up in the answer of GET /server_types.

    Raises:
        KeyError: the type is not sold in that location.
    """
    for server_type in server_types:
        if server_type["name"] == name:
            for price in server_type["prices"]:
                if price["location"] == location:
                    return float(price["price_hourly"]["net"])
    raise KeyError(f"{name} is not sold in {location}")
