"""What the status ConfigMap says about one pod, node or pool. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["pod", "node", "pool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Facts in the order in which a person wants them, and what was decided lately."""

    kind: Kind
    name: str
    facts: Mapping[str, Any]
    decisions: tuple[Mapping[str, str], ...] = ()

    def as_json(self) -> str:
        """Return it for a program."""
        return json.dumps(
            {
                "kind": self.kind,
                "name": self.name,
                **self.facts,
                "decisions": [dict(decision) for decision in self.decisions],
            },
            indent=2,
            ensure_ascii=False,
        )

    def as_text(self) -> str:
        """Return it for a person."""
        lines = [f"{self.kind} {self.name}"]
        for name, value in self.facts.items():
            if isinstance(value, list):
                lines += [f"  {name}: {_reason(item)}" for item in value]
            elif value != "":
                lines.append(f"  {name}: {value}")
        if self.decisions:
            lines.append("  decisions:")
            lines += [f"    {d['time']}  {d['decision']}" for d in self.decisions]
        return "\n".join(lines)


def explain(entries: Mapping[str, str], kind: Kind, name: str) -> Explanation | None:
    """Return what is known, `None` when the report does not mention it.

    `entries` is the ConfigMap's data; a pod's name is `namespace/name`, or a bare one in `default`.
    """
    if kind == "pod" and "/" not in name:
        name = f"default/{name}"
    known = _entry(entries, f"{kind}s.json", {})
    facts = known.get(name)
    decisions = tuple(
        decision
        for decision in _entry(entries, "decisions.json", [])
        if name in {decision.get("pool"), decision.get("subject")}
    )
    if facts is None and not decisions:
        return None
    return Explanation(kind=kind, name=name, facts=facts or {}, decisions=decisions[-10:])


def _entry(entries: Mapping[str, str], key: str, default: Any) -> Any:  # noqa: ANN401 - JSON
    text = entries.get(key)
    return default if text is None else json.loads(text)


def _reason(item: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(item, dict):
        return f"{item.get('code', '')}: {item.get('message', '')}"
    return str(item)
