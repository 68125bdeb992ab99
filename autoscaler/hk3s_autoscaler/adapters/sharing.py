"""Equal parts of facts kept once: the pods of one workload differ in little more than a name."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from hk3s_autoscaler.model.pod import Pod

_LEAST = 2000

P = TypeVar("P")


class SharedPods:
    """Makes pods share equal specs, labels and owners with those of `living`.

    What no living pod has any more is forgotten once in a while, so that a year of jobs leaves
    nothing behind.
    """

    def __init__(self, living: Mapping[str, Pod]) -> None:
        self._living = living
        self._known: dict[object, object] = {}
        self._most = _LEAST

    def share(self, pod: Pod) -> Pod:
        """Return an equal pod."""
        if len(self._known) > self._most:
            self._known = {part: part for one in self._living.values() for part in _parts(one)}
            self._most = max(_LEAST, 2 * len(self._known))
        return replace(
            pod,
            spec=self._one(pod.spec),
            labels=self._one(pod.labels),
            owner=self._one(pod.owner),
            node=self._one(pod.node),
            grace=self._one(pod.grace),
        )

    def _one(self, part: P) -> P:
        # Equal means of one type here: specs, pairs of texts, owners, texts, durations.
        return cast("P", self._known.setdefault(part, part))


def _parts(pod: Pod) -> Iterator[object]:
    yield from (pod.spec, pod.labels, pod.owner, pod.node, pod.grace)
