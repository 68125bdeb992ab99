"""What a pool asks of its nodes, in short: recorded with a server when it is made.

A value of Hetzner's labels holds no list, so the record is a hash of the labels and one of the
taints. The image, the k3s version and the type are facts of a server or a node and need none;
startup taints are gone once a node is in service. The record begins with the number of its rule:
another rule gets another number, and the old one stays here for the servers that were made by it,
so that no upgrade of hk3s makes every node look different.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from itertools import combinations
from typing import TypeVar

from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Taint

Label = tuple[str, str]
Item = TypeVar("Item", Label, Taint)

_RULE = "1"
_DIGITS = 16
_MOST_NAMED = 2


def record(pool: NodePool) -> str:
    """Return what is noted of a pool: the rule and two hashes, of 35 characters."""
    return f"{_RULE}.{labels_mark(frozenset(pool.labels))}.{taints_mark(frozenset(pool.taints))}"


def marks(text: str) -> tuple[str, str] | None:
    """Return the hashes of labels and of taints; `None` without a record that can be read."""
    rule, _, rest = text.partition(".")
    labels, _, taints = rest.partition(".")
    return (labels, taints) if rule == _RULE and labels and taints else None


@lru_cache(maxsize=256)
def labels_mark(labels: frozenset[Label]) -> str:
    """Return the hash of labels."""
    return _hash(list(pair) for pair in labels)


@lru_cache(maxsize=256)
def taints_mark(taints: frozenset[Taint]) -> str:
    """Return the hash of taints."""
    return _hash([taint.key, taint.value, taint.effect] for taint in taints)


def dropped(
    extra: Collection[Item],
    wanted: frozenset[Item],
    made: str,
    mark: Callable[[frozenset[Item]], str],
) -> tuple[Item, ...]:
    """Return which one or two of `extra` the pool asked for beside `wanted` when `made` was noted.

    Nothing when no such few explain it.
    """
    for number in range(1, _MOST_NAMED + 1):
        for some in combinations(extra, number):
            if mark(wanted.union(some)) == made:
                return some
    return ()


def _hash(entries: Iterable[list[str]]) -> str:
    text = json.dumps(sorted(entries), separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
