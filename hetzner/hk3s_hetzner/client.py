"""The async face over the official SDK: frozen facts in and out, error kinds, batched waits.

Only the SDK's request layer is used (authentication, retries, error parsing): its bound models
load missing fields by hidden calls. Every method may raise the kinds of `errors`.
Deleting what is gone succeeds; looking up what is absent returns None.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from hk3s_hetzner import domain, parse
from hk3s_hetzner.actions import ActionPoller, PollInterval, growing
from hk3s_hetzner.api import PAGE_SIZE
from hk3s_hetzner.clock import Clock, SystemClock
from hk3s_hetzner.inventory import Inventory
from hk3s_hetzner.networks import Networks
from hk3s_hetzner.servers import Servers
from hk3s_hetzner.transport import DEFAULT_ENDPOINT, TIMEOUT, Call, Transport


class Hetzner(Servers, Networks, Inventory):
    """Hetzner Cloud for one project.

    `application` names the caller in the User-Agent, so that a request log tells who asked.
    `fence` is called in a worker thread before each attempt of a call that is not a GET and
    raises `FenceLost` to stop it. `observe` is told each attempt, also in a worker thread.
    `timeout` is the longest wait for a connection and for an answer, in seconds.
    """

    def __init__(
        self,
        token: str,
        *,
        endpoint: str = DEFAULT_ENDPOINT,
        application: str = "hk3s",
        fence: Callable[[], None] | None = None,
        observe: Callable[[Call], None] | None = None,
        clock: Clock | None = None,
        poll_interval: PollInterval = growing,
        workers: int = 8,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._transport = Transport(
            token,
            endpoint=endpoint,
            application=application,
            fence=fence,
            observe=observe,
            workers=workers,
            timeout=timeout,
        )
        self._poller = ActionPoller(
            self._get_actions,
            redactor=self._transport.redactor,
            clock=clock or SystemClock(),
            interval=poll_interval,
        )

    async def close(self) -> None:
        """Stop polling, refuse further attempts and wait for the threads."""
        await self._poller.close()
        await self._transport.close()

    @property
    def rate_limit(self) -> domain.RateLimit | None:
        """The request budget of the last answer that stated it, None before the first."""
        return self._transport.rate_limit

    @property
    def rate_limit_remaining(self) -> int | None:
        """Requests left in the project's budget, None before the first answer."""
        limit = self._transport.rate_limit
        return None if limit is None else limit.remaining

    @property
    def server_time(self) -> datetime | None:
        """Hetzner's own time at its last answer, to the second; None before the first."""
        return self._transport.server_time

    async def wait(
        self,
        action_ids: Sequence[int],
        *,
        timeout: float,  # noqa: ASYNC109 - on our clock
    ) -> tuple[domain.Action, ...]:
        """Return the actions once all succeeded, in the given order; no ids return at once.

        All waiters share one poll of at most 25 ids a call. Raises the kind of the first failed
        action, or `ActionTimeout` after `timeout` seconds of the clock.
        """
        return await self._poller.wait(action_ids, seconds=timeout)

    async def _get_actions(self, action_ids: Sequence[int]) -> tuple[domain.Action, ...]:
        answer = await self._transport.call(
            "GET", "/actions", query={"id": list(action_ids), "per_page": PAGE_SIZE}
        )
        return tuple(map(parse.action, answer["actions"]))
