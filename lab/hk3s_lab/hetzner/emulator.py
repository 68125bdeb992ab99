"""The emulator's face: start and stop it, subscribe to it, ask what the hypervisor knows."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any, Literal

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.hetzner import facts, gate, metadata, state
from hk3s_lab.hetzner.control import Control
from hk3s_lab.hetzner.events import MachineFacts, PrivateNic, ServerEvent
from hk3s_lab.hetzner.faults import Faults
from hk3s_lab.hetzner.gate import Gate, Token
from hk3s_lab.hetzner.http import Exchange, HttpServer
from hk3s_lab.hetzner.levers import Levers
from hk3s_lab.hetzner.model.addresses import subnet_of
from hk3s_lab.hetzner.model.catalog import Catalog, Supply
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Server
from hk3s_lab.hetzner.request_log import RequestLog
from hk3s_lab.hetzner.world import TOLERANCE, Chances, World

log = structlog.get_logger("hetzner")

DOCUMENTATION_RANGES = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.18.0.0/15")
"""Ranges that are never routed: public addresses come from here unless others are given."""

Stock = Mapping[str, Supply] | Literal["catalog", "all"]


def documentation_addresses() -> Iterator[str]:
    """Yield public addresses that belong to nobody."""
    for text in DOCUMENTATION_RANGES:
        yield from (str(host) for host in IPv4Network(text).hosts())


class Emulator:
    """A Hetzner Cloud for the processes of this machine.

    Args:
        clock: Time for everything: durations, timestamps, rate limits, the bill.
        seed: One seed, one world: durations, choices among addresses, passwords, faults.
        speed: Divides the durations of actions; timestamps stay those of the clock.
        stock: `catalog` (as bundled), `all`, or overrides of `catalog`.
        stock_overrides: Supply by `type/location` pattern, over `stock`; the last wins.
        public_addresses: Where public IPv4 addresses come from.
        tokens: Token to project name; None lets any token of 64 characters in, each a project.
        readonly_tokens: Those of `tokens` that may only read.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        seed: int = 0,
        speed: float = 1.0,
        stock: Stock = "catalog",
        stock_overrides: Mapping[str, Supply] | None = None,
        public_addresses: Iterator[str] | None = None,
        tokens: Mapping[str, str] | None = None,
        readonly_tokens: Collection[str] = (),
    ) -> None:
        if speed <= 0:
            raise ValueError("speed must be positive")
        self._clock = clock
        self._subscribers: list[Callable[[ServerEvent], None]] = []
        self._find_source: Callable[[str], int | None] = lambda _address: None
        self._timers: set[asyncio.Task[None]] = set()
        chances = Chances.seeded(seed)
        self._world = World(
            clock=clock,
            chances=chances,
            speed=speed,
            catalog=_catalog(stock, stock_overrides or {}),
            public_addresses=public_addresses or documentation_addresses(),
            emit=self._emit,
            on_scheduled=self._wake_at,
        )
        known = None
        if tokens is not None:
            known = {t: Token(name, t in readonly_tokens) for t, name in tokens.items()}
        requests = RequestLog()
        self._faults = Faults(chances.faults)
        self._gate = Gate(self._world, self._faults, known)
        self._levers = Levers(world=self._world, faults=self._faults)
        self._world.run_step = self._levers.pull
        self._server = HttpServer(
            gate=self._gate,
            control=Control(
                world=self._world,
                faults=self._faults,
                log=requests,
                clock=clock,
                levers=self._levers,
                save=self.save,
            ),
            request_log=requests,
            clock=clock,
            metadata=self._answer_metadata,
        )

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen and return the endpoint, `http://127.0.0.1:PORT/v1`."""
        bound = await self._server.start(host, port)
        return f"http://{host}:{bound}{gate.BASE}"

    async def stop(self) -> None:
        """Stop listening; what was due later does not happen any more."""
        await self._server.stop()
        timers = list(self._timers)
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)

    def subscribe(self, callback: Callable[[ServerEvent], None]) -> None:
        """Call back on every event, in order, on the event loop; the callback must not block."""
        self._subscribers.append(callback)

    def observe(self, callback: Callable[[Exchange], None]) -> None:
        """Call back with every request of the API and its answer, before it is sent."""
        self._server.observers.append(callback)

    def machine(self, server_id: int) -> MachineFacts:
        """Return what the hypervisor knows about a server; raises `KeyError` when it is gone."""
        for project, server in self._live():
            if server.id == server_id:
                return facts.machine(self._world.catalog, project, server)
        raise KeyError(server_id)

    def machines(self) -> tuple[MachineFacts, ...]:
        """Return all servers that are not deleted, of all projects."""
        return tuple(facts.machine(self._world.catalog, p, s) for p, s in self._live())

    def routes(self, network_id: int) -> tuple[tuple[str, str], ...]:
        """Return destination and gateway of a network's routes that lead somewhere."""
        for project in self._world.projects.values():
            network = project.networks.get(network_id)
            if network is not None:
                lost = {
                    nic.ip
                    for server, nic in project.members(network_id)
                    if server.id in self._world.nat_lost
                }
                return tuple(
                    (route.destination, route.gateway)
                    for route in network.routes
                    if route.gateway not in lost
                )
        return ()

    def play(self, scenario: Mapping[str, Any]) -> None:
        """Pull a scenario's levers and start its timeline; call it on the event loop.

        Raises `hk3s_lab.hetzner.errors.ApiError` when it cannot be read.
        """
        self._levers.load(scenario)

    def save(self) -> bytes:
        """Return the whole state, for `restore`; it holds user data."""
        self._world.settle()
        return state.save(self._world, self._faults, self._gate.buckets)

    def restore(self, saved: state.State) -> None:
        """Continue a state; only for an emulator that has done nothing yet, on the event loop."""
        state.restore(saved, self._world, self._faults, self._gate.buckets)

    def metadata(self, server_id: int, path: str) -> str | None:
        """Return what a server reads at http://169.254.169.254/hetzner/v1 + `path`.

        Paths are those of `hk3s_lab.hetzner.metadata`, `/userdata` and `/metadata/hostname` for
        example; None where the service answers 404. Raises `KeyError` when the server is gone.
        """
        return metadata.answer(path, self.machine(server_id), self._describe)

    def map_sources(self, find: Callable[[str], int | None]) -> None:
        """Tell which server asks for metadata from which address, where its own does not tell."""
        self._find_source = find

    def _answer_metadata(self, path: str, header: str | None, address: str | None) -> str | None:
        known = self._find_source(address) if address and header is None else None
        header = header if known is None else str(known)
        machine = metadata.asker(self.machines(), header=header, address=address)
        return metadata.answer(path, machine, self._describe) if machine else None

    def _describe(self, nic: PrivateNic) -> tuple[str, str]:
        for project in self._world.projects.values():
            network = project.networks.get(nic.network_id)
            if network is not None:
                return network.name, subnet_of(network, nic.ip) or network.ip_range
        return "", nic.network_range

    def _live(self) -> Iterator[tuple[Project, Server]]:
        for project in list(self._world.projects.values()):
            for server in list(project.live_servers()):
                yield project, server

    def _emit(self, event: ServerEvent) -> None:
        log.debug("server.event", change=type(event).__name__)
        for callback in self._subscribers:
            try:
                callback(event)
            except Exception:
                # A subscriber's fault must not become the API's answer to somebody else.
                log.exception("subscriber.failed", change=type(event).__name__)

    def _wake_at(self, due: float) -> None:
        timer = asyncio.get_running_loop().create_task(self._settle_at(due))
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _settle_at(self, due: float) -> None:
        while (rest := due - self._clock.monotonic()) > TOLERANCE:
            await self._clock.sleep(rest)
        self._world.settle()


def _catalog(stock: Stock, overrides: Mapping[str, Supply]) -> Catalog:
    if stock == "catalog" or stock == "all":  # noqa: PLR1714 - narrows the type
        catalog = Catalog(base=stock)
    else:
        catalog = Catalog()
        catalog.override(dict(stock))
    catalog.override(dict(overrides))
    return catalog
