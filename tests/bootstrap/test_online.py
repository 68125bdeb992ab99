"""Rules over what Hetzner sells, on the bundled catalogue."""

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.support import NOW, config
from hk3s_bootstrap.checks import online
from hk3s_bootstrap.observed import Observed
from hk3s_data.catalog import bundled
from hk3s_hetzner import domain, parse

IMAGES = tuple(
    domain.Image(
        id=number,
        name=name,
        type="system",
        status="available",
        architecture=architecture,
        os_flavor="ubuntu",
        os_version=None,
        deprecated=None,
        labels={},
    )
    for number, (name, architecture) in enumerate(
        [("ubuntu-24.04", "x86"), ("ubuntu-24.04", "arm"), ("debian-12", "x86")]
    )
)
MARKET = online.Market(
    now=NOW,
    server_types=tuple(map(parse.server_type, bundled()["server_types"])),
    locations=tuple(map(parse.location, bundled()["locations"])),
    images=IMAGES,
)


def codes(*, try_sold_out: bool = False, **changes: object) -> dict[str, str]:
    context = online.Context(
        config=config(**changes), market=MARKET, observed=Observed(), try_sold_out=try_sold_out
    )
    return {finding.code: finding.severity for finding in online.check(context)}


def pool(**spec: object) -> list[dict[str, Any]]:
    return [{"name": "general", "maxNodes": 5, "serverTypes": ["cpx22"], **spec}]


def test_what_can_be_bought_has_no_findings() -> None:
    assert codes() == {}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("HK3S-E050", {"location": "mars1"}),
        ("HK3S-E050", {"nodePools": pool(locations=["mars1"])}),
        ("HK3S-E051", {"bastion__serverType": "cx999"}),
        ("HK3S-E051", {"nodePools": pool(serverTypes=["cpx22", "cx999"])}),
        ("HK3S-E052", {"location": "ash", "master__serverType": "cx23"}),
        ("HK3S-E053", {"master__serverType": "cx23"}),
        ("HK3S-E055", {"master__image": "rocky-9"}),
    ],
)
def test_what_cannot_be_bought_is_an_error(code: str, changes: dict[str, Any]) -> None:
    assert codes(**changes)[code] == "error"


def test_a_pool_of_sold_out_types_is_a_warning() -> None:
    assert codes(nodePools=pool(serverTypes=["cx23"])) == {"HK3S-E054": "warning"}


def test_sold_out_may_be_tried() -> None:
    assert codes(master__serverType="cx23", try_sold_out=True) == {"HK3S-E053": "warning"}


def test_a_machine_that_exists_need_not_be_in_stock() -> None:
    existing = domain.Server(
        id=1,
        name="demo-master-1",
        status="running",
        created=NOW,
        server_type="cx23",
        location="fsn1",
        image=None,
        labels={},
        public_ipv4=None,
        public_ipv6=None,
        private_nets=(),
        volume_ids=(),
        locked=False,
        protected=False,
    )
    context = online.Context(
        config=config(master__serverType="cx23"),
        market=MARKET,
        observed=Observed(master=existing),
        try_sold_out=False,
    )

    assert online.check(context) == ()


def test_alternatives_are_large_enough_and_cheapest_first() -> None:
    found = MARKET.alternatives("cx33", "fsn1")

    assert found[0] == "cpx32 in fsn1"
    assert "cpx22 in fsn1" not in found


def test_an_image_must_exist_for_the_architecture() -> None:
    arm = pool(serverTypes=["cax11"], image="debian-12")

    assert codes(nodePools=arm)["HK3S-E055"] == "error"


def test_a_type_past_its_end_is_not_sold() -> None:
    wanted = MARKET.server_type("cpx22")
    assert wanted is not None
    gone = replace(
        wanted,
        locations=tuple(replace(place, unavailable_after=NOW) for place in wanted.locations),
    )
    market = replace(MARKET, server_types=(gone,))

    assert market.offer("cpx22", "fsn1") is None
