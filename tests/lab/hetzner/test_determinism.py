"""With a manual clock and one call after the other, a seed gives the same bytes."""

from lab.hetzner.support import PUBLIC_KEY, Cloud, running_cloud, server_body


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
