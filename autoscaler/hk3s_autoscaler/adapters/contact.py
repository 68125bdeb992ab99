"""Whether the apiserver answers, also while nothing happens in the cluster."""

from typing import Any

from hk3s_autoscaler.ports import Clock
from hk3s_kube.client import Kube
from hk3s_kube.errors import KubeError
from hk3s_kube.stream import Reflector

_QUIET = 15.0
"""Seconds without news after which the apiserver is asked. Bookmarks come but once a minute, and
the Nodes of a small cluster are not written for five."""

_PATIENCE = 5.0
_PATH = "/api/v1/namespaces/kube-system"


class Contact:
    """Keeps the time of the last answer current; `run` it until cancelled."""

    def __init__(self, kube: Kube, clock: Clock, *watches: Reflector[Any]) -> None:
        """`watches` are those whose silence would matter."""
        self._kube = kube
        self._clock = clock
        self._watches = watches
        self._answered = float("-inf")

    async def run(self) -> None:
        """Ask whenever the watches are quiet."""
        while True:
            await self._clock.sleep(_QUIET)
            if self._clock.monotonic() - self.oldest() < _QUIET:
                continue
            try:
                await self._kube.get(_PATH, within=_PATIENCE)
            except KubeError:
                continue  # the silence says it
            self._answered = self._clock.monotonic()

    def oldest(self) -> float:
        """Monotonic time at which the watch that heard nothing for longest was in contact.

        An answer counts for watches that are open only: one that is refused stays silent.
        """
        heard = (
            max(watch.last_contact or float("-inf"), self._answered)
            if watch.connected
            else watch.last_contact or float("-inf")
            for watch in self._watches
        )
        return min(heard)
