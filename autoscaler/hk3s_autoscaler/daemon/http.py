"""/metrics on one port, /healthz and /readyz on another."""

import asyncio
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from hk3s_autoscaler.daemon.health import Health
from hk3s_autoscaler.daemon.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where to listen; port 0 takes a free one."""

    address: str
    metrics_port: int
    health_port: int


async def serve(binding: Binding, metrics: Metrics, health: Health) -> None:
    """Answer until cancelled.

    Raises:
        OSError: a port cannot be bound.
    """
    runners = []
    try:
        for app, port in (
            (metrics_app(metrics), binding.metrics_port),
            (health_app(health), binding.health_port),
        ):
            runner = web.AppRunner(app, access_log=None)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, binding.address, port).start()
        await asyncio.Event().wait()
    finally:
        for runner in runners:
            await runner.cleanup()


def metrics_app(metrics: Metrics) -> web.Application:
    """Return the application of the metrics port."""

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", render)
    return app


def health_app(health: Health) -> web.Application:
    """Return the application of the probes.

    Liveness asks only whether the loop moves: with Hetzner down, a restart would not help.
    """

    async def alive(_request: web.Request) -> web.Response:
        if health.is_stuck:
            return web.Response(status=503, text="the loop is stuck\n")
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        problem = health.problem()
        if problem:
            return web.Response(status=503, text=f"{problem}\n")
        return web.Response(text="standby\n" if health.standby else "ok\n")

    app = web.Application()
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    return app
