import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hk3s_lab.hetzner.events import FirewallRule
from hk3s_lab.machines.bastion import Gateway
from hk3s_lab.machines.node import Bastion, Forward
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site, admits
from lab.machines import sites
from lab.machines.sites import Rack, rule

INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.9"
TOLD = Bastion(
    nat_source="10.4.0.0/16",
    private_address="10.4.0.2",
    forwards=(Forward(protocol="tcp", port=6443, to_address="10.4.0.3", to_port=7443),),
    allowed_sources=("127.0.0.0/30",),
)


@dataclass
class Scene:
    site: Site
    rack: Rack
    public: str
    gateway: Gateway
    callers: list[str]

    def change(
        self, *, rules: tuple[FirewallRule, ...] | None = None, attached: bool = True
    ) -> None:
        self.rack.add(
            sites.facts(
                1, "bastion", "10.4.0.2", public=self.public, rules=rules, attached=attached
            )
        )

    async def call(self, source: str, port: int = 6443) -> bytes:
        reader, writer = await asyncio.open_connection(self.public, port, local_addr=(source, 0))
        with contextlib.suppress(ConnectionError):
            writer.write(b"hello")
            writer.write_eof()
        try:
            async with asyncio.timeout(30):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    with sites.site(tmp_path) as (site, rack):
        public = next(site.addresses.public())
        scene = Scene(site, rack, public, Gateway(site, 1, TOLD), [])
        scene.change()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            scene.callers.append(writer.get_extra_info("peername")[0])
            writer.write(b"inner " + await reader.read())
            writer.close()

        inner = await asyncio.start_server(
            answer, site.addresses.private(sites.NETWORK, "10.4.0.3"), 7443
        )
        await scene.gateway.start()
        yield scene
        await scene.gateway.stop()
        inner.close()
        await inner.wait_closed()


async def test_a_caller_whom_both_lists_allow_gets_through_masqueraded(scene: Scene) -> None:
    scene.change(rules=(rule(),))
    assert await scene.call(INSIDE) == b"inner hello"
    assert scene.callers == [scene.site.addresses.private(sites.NETWORK, "10.4.0.2")]


async def test_a_caller_outside_the_node_files_sources_is_dropped(scene: Scene) -> None:
    scene.change(rules=(rule(),))
    assert await scene.call(OUTSIDE) == b""
    assert scene.callers == []


async def test_a_caller_outside_the_firewalls_sources_is_dropped(scene: Scene) -> None:
    scene.change(rules=(rule(sources=("203.0.113.0/24",)),))
    assert await scene.call(INSIDE) == b""
    scene.change(rules=())
    assert await scene.call(INSIDE) == b""
    assert scene.callers == []


async def test_other_ports_are_closed(scene: Scene) -> None:
    with pytest.raises(ConnectionRefusedError):
        await scene.call(INSIDE, 22_000)


async def test_a_detached_bastion_forwards_nothing(scene: Scene) -> None:
    scene.change(attached=False)
    assert await scene.call(INSIDE) == b""


async def test_egress_needs_the_route_the_bastion_and_its_nat(scene: Scene) -> None:
    worker = sites.nic("10.4.1.1")
    assert scene.site.has_egress(worker)
    scene.rack.ways = (("0.0.0.0/0", "10.4.0.9"),)
    assert not scene.site.has_egress(worker)
    scene.rack.ways = (("0.0.0.0/0", "10.4.0.2"),)
    scene.site.gateways[1] = replace(TOLD, nat_source="10.4.0.0/24")
    assert not scene.site.has_egress(worker)
    await scene.gateway.stop()
    assert not scene.site.has_egress(worker)


async def test_a_bastion_without_a_public_address_fails_its_step(tmp_path: Path) -> None:
    with sites.site(tmp_path) as (site, rack):
        rack.add(sites.facts(1, "bastion", "10.4.0.2"))
        with pytest.raises(StepError, match="nat-failed"):
            await Gateway(site, 1, TOLD).start()


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        (None, True),
        ((), False),
        ((rule("6443"),), True),
        ((rule("6000-7000"),), True),
        ((rule("any"),), True),
        ((rule("22"),), False),
        ((rule("6444-7000"),), False),
        ((rule(sources=("127.0.0.1/32",)),), True),
        ((rule(sources=("127.0.0.2/32", "::/0")),), False),
        ((replace(rule(), direction="out"),), False),
        ((replace(rule(), protocol="udp"),), False),
    ],
)
def test_firewall_rules(rules: tuple[FirewallRule, ...] | None, *, admitted: bool) -> None:
    assert admits(rules, 6443, "127.0.0.1") is admitted
