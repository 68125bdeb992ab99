"""Connections that are cut leave nothing open, at whatever moment."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hk3s_lab.relay import Connections, relay

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def pairs() -> AsyncIterator[list[Ends]]:
    """Two connections: the near end of the first, its far end, and so of the second."""
    arrived: asyncio.Queue[Ends] = asyncio.Queue()

    def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait((reader, writer))

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    ends = []
    for _ in range(2):
        ends += [await asyncio.open_connection(host, port), await arrived.get()]
    yield ends
    for _, writer in ends:
        writer.transport.abort()
    server.close()
    await server.wait_closed()


async def test_a_connection_cut_before_it_is_served_is_closed(pairs: list[Ends]) -> None:
    near, far, *_ = pairs

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("cut before")

    connections = Connections(serve)
    connections.accept(*far)
    await connections.cut()

    assert far[1].transport.is_closing()
    assert await near[0].read() == b""


async def test_a_relay_that_is_cut_while_it_closes_closes_both_sides(
    pairs: list[Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, left, right, far = pairs
    closing = asyncio.Event()

    async def never() -> None:
        closing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(left[1], "wait_closed", never)
    held = asyncio.create_task(relay(left, right))
    near[1].close()
    far[1].close()
    await closing.wait()

    held.cancel()
    await asyncio.gather(held, return_exceptions=True)

    assert left[1].transport.is_closing()
    assert right[1].transport.is_closing()
