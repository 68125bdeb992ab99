"""What our own product asks of Hetzner, held against the official specification, refused or not."""

import pytest

from bootstrap import conftest as bootstrap
from bootstrap.conftest import Site, binary, network, site
from hk3s_bootstrap import create, removal
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.http import Exchange
from lab.hetzner import contract

__all__ = ["binary", "network", "site"]


@pytest.fixture(autouse=True)
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """Everything that the run of the next fixtures says to the emulator, and is answered."""
    seen: list[Exchange] = []

    def watched(**options: object) -> Emulator:
        emulator = Emulator(**options)  # type: ignore[arg-type] # passed on as they are
        emulator.observe(seen.append)
        return emulator

    monkeypatch.setattr(bootstrap, "Emulator", watched)
    return seen


async def test_every_request_of_create_and_destroy_is_as_specified(
    exchanges: list[Exchange], site: Site
) -> None:
    options = create.Options()
    for _ in range(2):
        await create.create(site.session, await create.assess(site.session, options), options)
    await removal.destroy(site.session, keep_volumes=False)

    used: set[str] = set()
    for exchange in exchanges:
        operation = contract.judge(exchange)
        assert operation is not None, f"{exchange.method} {exchange.path} is not specified"
        contract.check_request(operation, exchange)
        used.add(operation.name)
    assert {"POST /servers", "GET /servers", "DELETE /servers/{id}", "GET /actions"} <= used
    assert len(used) >= 20, sorted(used)
