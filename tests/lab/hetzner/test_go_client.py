"""The official Go library, on which controllers, CLI and Terraform are built, as a guest."""

import json

from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.http import Exchange
from lab.hetzner import contract, walk_in_go

WRITER, READER = "w" * 64, "r" * 64
FASTER = 100


async def test_the_official_go_library_leads_every_resource_through_its_life() -> None:
    program = await walk_in_go.build()
    emulator = Emulator(
        clock=RealClock(),
        stock="all",
        speed=FASTER,
        tokens={WRITER: "walk", READER: "walk"},
        readonly_tokens={READER},
    )
    problems: list[str] = []
    used: set[str] = set()

    def watch(exchange: Exchange) -> None:
        try:
            operation = contract.judge(exchange)
            if operation is not None and exchange.status < 300:
                contract.check_request(operation, exchange)
                used.add(operation.name)
        except AssertionError as problem:
            problems.append(str(problem))

    emulator.observe(watch)
    endpoint = await emulator.start()
    try:
        tokens = {"HCLOUD_TOKEN": WRITER, "HCLOUD_READ_TOKEN": READER}
        out = await walk_in_go.run(str(program), HCLOUD_ENDPOINT=endpoint, **tokens)
    finally:
        await emulator.stop()
    assert not problems, "\n".join(problems)
    assert json.loads(out)["parts"] == 17
    assert len(used) >= 110, f"operations used: {len(used)}"
