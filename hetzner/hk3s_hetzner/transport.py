"""Calls of the SDK in worker threads: one SDK client a thread, fenced, observed, translated."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import Any, Literal

import requests
from hcloud import Client, HCloudException
from requests.adapters import HTTPAdapter

from hk3s_hetzner import domain
from hk3s_hetzner.errors import FenceLost, translate
from hk3s_hetzner.redaction import Redactor

DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"

TIMEOUT = (3.0, 5.0)
"""Seconds to connect and to read, unless told otherwise; the SDK has none of its own."""

WRITE_ATTEMPT_SECONDS = sum(TIMEOUT)
"""How long an attempt that passed the fence can still be on its way, with that `TIMEOUT`."""

Method = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt: `status` is None when no answer came."""

    method: str
    path: str
    status: int | None
    seconds: float | None


class Transport:
    """Runs SDK requests without blocking the event loop."""

    def __init__(
        self,
        token: str,
        *,
        endpoint: str = DEFAULT_ENDPOINT,
        application: str = "hk3s",
        fence: Callable[[], None] | None = None,
        observe: Callable[[Call], None] | None = None,
        workers: int = 8,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self.redactor = Redactor(token)
        self.rate_limit: domain.RateLimit | None = None
        self.server_time: datetime | None = None
        self._token = token
        self._endpoint = endpoint.rstrip("/")
        self._application = application
        self._fence = fence
        self._observe = observe
        self._timeout = timeout
        self._closed = False
        self._local = threading.local()
        self._executor = ThreadPoolExecutor(
            workers, thread_name_prefix="hetzner", initializer=self._open_client
        )

    async def call(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON of an answer; raise `HetznerError` kinds, or `FenceLost`."""
        if self._closed:
            raise FenceLost("the client was closed")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._executor, self._request, method, path, query, body
            )
        except (HCloudException, requests.RequestException) as error:
            # From None: the original may quote the token, and its frames hold the headers.
            raise translate(error, self.redactor) from None

    async def close(self) -> None:
        """Refuse further attempts, wait for what is on its way."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown, wait=True)

    def _open_client(self) -> None:
        client = Client(
            token=self._token,
            api_endpoint=self._endpoint,
            application_name=self._application,
            application_version=metadata.version("hk3s"),
            timeout=self._timeout,
        )
        session = client._client._session  # noqa: SLF001 - the SDK has no hook for its session
        adapter = _WatchedAdapter(self._before_attempt, self._after_attempt)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        self._local.client = client

    def _request(
        self,
        method: Method,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        client: Client = self._local.client
        arguments: dict[str, Any] = {}
        if query is not None:
            arguments["params"] = dict(query)
        if body is not None:
            arguments["json"] = dict(body)
        return client.request(method, path, **arguments)

    def _before_attempt(self, method: str) -> None:
        if self._closed:
            raise FenceLost("the client was closed")
        if method != "GET" and self._fence is not None:
            self._fence()

    def _after_attempt(
        self, request: requests.PreparedRequest, response: requests.Response | None
    ) -> None:
        if response is not None:
            self._read_headers(response.headers)
        if self._observe is not None:
            self._observe(
                Call(
                    method=request.method or "",
                    path=request.path_url,
                    status=None if response is None else response.status_code,
                    seconds=None if response is None else response.elapsed.total_seconds(),
                )
            )

    def _read_headers(self, headers: Mapping[str, str]) -> None:
        # Answers of proxies lack these headers; the last known facts stay.
        with contextlib.suppress(KeyError, ValueError):
            self.rate_limit = domain.RateLimit(
                limit=int(headers["RateLimit-Limit"]),
                remaining=int(headers["RateLimit-Remaining"]),
                reset=datetime.fromtimestamp(int(headers["RateLimit-Reset"]), UTC),
            )
        with contextlib.suppress(KeyError, ValueError):
            self.server_time = parsedate_to_datetime(headers["Date"])


class _WatchedAdapter(HTTPAdapter):
    """Asks before each attempt and tells after it, the SDK's own retries included."""

    def __init__(
        self,
        before: Callable[[str], None],
        after: Callable[[requests.PreparedRequest, requests.Response | None], None],
    ) -> None:
        super().__init__()
        self._before = before
        self._after = after

    def send(
        self,
        request: requests.PreparedRequest,
        *args: Any,  # noqa: ANN401 - whatever requests passes
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> requests.Response:
        """Send one attempt, unless the fence raises."""
        self._before(request.method or "")
        try:
            response = super().send(request, *args, **kwargs)
        except requests.RequestException:
            self._after(request, None)
            raise
        self._after(request, response)
        return response
