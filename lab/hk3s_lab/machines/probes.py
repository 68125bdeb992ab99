"""Probes of containers that run as real processes: httpGet and tcpSocket, with Kubernetes's rules.

`exec` and `grpc` probes are taken as passed: there is no container to enter.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from hk3s_lab.clock import Clock
from hk3s_lab.relay import close

_PERIOD, _TIMEOUT, _FAILURES, _SUCCESSES = 10, 1, 3, 1


async def watch(
    probe: Mapping[str, Any],
    container: Mapping[str, Any],
    address: str,
    clock: Clock,
    report: Callable[[bool], None],
) -> None:
    """Probe for ever; `report` hears each change of verdict, the first one included."""
    needed = {
        True: probe.get("successThreshold", _SUCCESSES),
        False: probe.get("failureThreshold", _FAILURES),
    }
    verdict: bool | None = None
    latest, streak = False, 0
    await clock.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        passed = await ask(probe, container, address)
        streak = streak + 1 if passed is latest else 1
        latest = passed
        if verdict is not passed and streak >= needed[passed]:
            verdict = passed
            report(passed)
        await clock.sleep(probe.get("periodSeconds", _PERIOD))


async def ask(probe: Mapping[str, Any], container: Mapping[str, Any], address: str) -> bool:
    """Return whether one probe passes now."""
    seconds = probe.get("timeoutSeconds", _TIMEOUT)
    if "httpGet" in probe:
        return await _http(probe["httpGet"], container, address, seconds)
    if "tcpSocket" in probe:
        return await _tcp(probe["tcpSocket"], container, address, seconds)
    return True


def _port(target: Mapping[str, Any], container: Mapping[str, Any]) -> int:
    port = target["port"]
    named = {one.get("name"): one["containerPort"] for one in container.get("ports") or ()}
    return int(named.get(port, port))


async def _http(
    target: Mapping[str, Any], container: Mapping[str, Any], address: str, seconds: float
) -> bool:
    scheme = target.get("scheme", "HTTP").lower()
    url = f"{scheme}://{address}:{_port(target, container)}{target.get('path', '/')}"
    headers = {one["name"]: one["value"] for one in target.get("httpHeaders") or ()}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.get(url, headers=headers, ssl=False, allow_redirects=False) as response,
        ):
            return 200 <= response.status < 400  # noqa: PLR2004 - a kubelet's range of success
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def _tcp(
    target: Mapping[str, Any], container: Mapping[str, Any], address: str, seconds: float
) -> bool:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, _port(target, container))
    except (OSError, TimeoutError):
        return False
    await close(writer)
    return True
