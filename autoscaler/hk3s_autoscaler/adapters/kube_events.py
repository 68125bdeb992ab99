"""Events as `kubectl describe` shows them: equal ones are counted, not repeated."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from hk3s_autoscaler.adapters.convert import rfc3339
from hk3s_autoscaler.ports import Clock, ObjectRef
from hk3s_kube import errors
from hk3s_kube.client import Json, Kube

_COMPONENT = "hk3s-autoscaler"
_REMEMBERED = 2000
_LONGEST_MESSAGE = 1024
"""What the apiserver takes."""

_API_VERSIONS = {"Pod": "v1", "Node": "v1", "NodePool": "hk3s.dev/v1alpha1"}


@dataclass(slots=True)
class _Written:
    path: str
    count: int


class EventWriter:
    """Writes core/v1 Events, which kubectl and dashboards of every age read.

    Raises the kinds of `hk3s_kube.errors`.
    """

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._written: OrderedDict[tuple[ObjectRef, str, str], _Written] = OrderedDict()

    async def write(self, about: ObjectRef, *, reason: str, message: str, warning: bool) -> None:
        """Make an Event, or count one up that is still there."""
        key = (about, reason, message)
        known = self._written.get(key)
        if known is not None and await self._count_up(known):
            return
        event = self._event(about, reason, message, warning=warning)
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        await self._kube.post(path, event)
        self._written[key] = _Written(f"{path}/{event['metadata']['name']}", 1)
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    async def _count_up(self, known: _Written) -> bool:
        patch = {"count": known.count + 1, "lastTimestamp": rfc3339(self._clock.now())}
        try:
            await self._kube.patch(known.path, patch)
        except errors.NotFound:
            return False  # Events live for an hour
        known.count += 1
        return True

    def _event(self, about: ObjectRef, reason: str, message: str, *, warning: bool) -> Json:
        now = self._clock.now()
        digest = hashlib.sha256(f"{about}{reason}{message}{now.isoformat()}".encode()).hexdigest()
        namespace = about.namespace or "default"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{digest[:16]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": _API_VERSIONS[about.kind],
                "kind": about.kind,
                "name": about.name,
                **({"namespace": about.namespace} if about.namespace else {}),
                **({"uid": about.uid} if about.uid else {}),
            },
            "reason": reason,
            "message": message[:_LONGEST_MESSAGE],
            "type": "Warning" if warning else "Normal",
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": _COMPONENT,
            "firstTimestamp": rfc3339(now),
            "lastTimestamp": rfc3339(now),
            "count": 1,
        }
