"""With a manual clock and one call after the other, a seed gives the same bytes."""

import asyncio
import json
import signal
import socket
import sys

from lab.hetzner.support import PUBLIC_KEY, TOKEN, Cloud, Json, running_cloud, server_body


async def story(cloud: Cloud) -> list[bytes]:
    said = []

    async def say(method: str, path: str, body: object = None) -> None:
        reply = await cloud.request(method, path, body)
        headers = {k: v for k, v in reply.headers.items() if k not in ("Link", "Content-Length")}
        said.append(reply.raw.replace(cloud.endpoint.encode(), b"") + repr(headers).encode())

    await say("POST", "/ssh_keys", {"name": "me", "public_key": PUBLIC_KEY})
    ranges = [{"type": "cloud", "network_zone": "eu-central"}] * 2
    await say("POST", "/networks", {"name": "n", "ip_range": "10.4.0.0/16", "subnets": ranges})
    network = (await cloud.get("/networks")).body["networks"][0]["id"]
    fault = {"effect": {"error": {"code": "unavailable"}}, "probability": 0.3}
    await cloud.post("/_lab/faults", fault)
    for number in range(8):
        await say("POST", "/servers", server_body(f"s{number}", networks=[network]))
        await cloud.advance(0.7)
        await say("GET", "/servers?status=running&status=starting")
        await say("GET", "/servers/actions")
    await cloud.settled()
    await say("GET", "/servers")
    await say("GET", "/_lab/cost")
    await say("GET", "/_lab/requests")
    return said


async def told(seed: int) -> list[bytes]:
    async with running_cloud(seed=seed) as cloud:
        return await story(cloud)


async def test_the_same_seed_gives_the_same_bytes() -> None:
    assert await told(7) == await told(7)


async def test_another_seed_gives_another_world() -> None:
    assert await told(7) != await told(8)


async def run_and_listen(port: int) -> tuple[list[bytes], bytes]:
    """Run the command on a manual clock and tell it a story over one raw connection."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hk3s_lab.hetzner.main",
        *("--seed", "7", "--clock", "manual", "--stock", "all", "--port", str(port), "--verbose"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = [await exchange(reader, writer, *line) for line in STORY]
    writer.close()
    process.send_signal(signal.SIGTERM)
    _, log = await process.communicate()
    return answers, log


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, body: Json
) -> bytes:
    content = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: lab\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in answer.split(b"\r\n") if b"Content-Length" in line), 0
    )
    return answer + await reader.readexactly(length)


STORY: list[tuple[str, str, Json]] = [
    ("POST", "/v1/servers", server_body("a")),
    ("POST", "/_lab/clock", {"advance": 0.6}),
    ("GET", "/v1/servers?per_page=1", None),
    ("POST", "/v1/volumes", {"name": "v", "size": 10, "location": "fsn1"}),
    ("POST", "/v1/servers", {"name": "a_b"}),
    ("POST", "/_lab/clock", {"advance": 10}),
    ("GET", "/v1/servers/actions", None),
    ("GET", "/_lab/cost", None),
    ("GET", "/_lab/requests", None),
]


async def test_two_processes_with_one_seed_say_and_log_the_same_bytes() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

    first, second = await run_and_listen(port), await run_and_listen(port)

    assert len(first[0]) == len(STORY)
    assert b"request.done" in first[1]
    assert first == second
