import pytest

from hk3s_data.catalog import bundled
from hk3s_hetzner import catalog, parse

OFFERINGS = {offering.key: offering for offering in catalog.from_json(bundled()["server_types"])}


def test_an_offering_has_exact_numbers() -> None:
    offering = OFFERINGS["cpx22/nbg1"]

    assert (offering.cores, offering.memory_bytes, offering.disk_bytes) == (
        2,
        4 * 2**30,
        80 * 10**9,
    )
    assert offering.price_micro_eur_hour == 31_200
    assert offering.price_micro_eur_month == 19_490_000
    assert (offering.arch, offering.cpu_type, offering.available) == ("amd64", "shared", True)


def test_arm_types_are_called_arm64() -> None:
    assert OFFERINGS["cax11/fsn1"].arch == "arm64"


def test_a_type_that_is_out_of_stock_is_still_an_offering() -> None:
    assert not OFFERINGS["cx23/fsn1"].available
    assert not OFFERINGS["cx23/fsn1"].deprecated


def test_a_type_that_is_given_up_says_from_when_on() -> None:
    old = OFFERINGS["cpx11/fsn1"]

    assert old.deprecated
    assert old.unavailable_after is not None
    assert OFFERINGS["cx23/fsn1"].unavailable_after is None


def test_offerings_come_cheapest_first() -> None:
    prices = [offering.price_micro_eur_hour for offering in OFFERINGS.values()]

    assert prices == sorted(prices)


def test_a_location_without_a_price_is_no_offering() -> None:
    data = dict(bundled()["server_types"][0], prices=[])

    assert catalog.from_json([data]) == ()


@pytest.mark.parametrize(
    ("text", "micro"), [("0.0088000000", 8800), ("5.49", 5_490_000), ("0.0000005", 1), ("0", 0)]
)
def test_prices_are_micro_euro(text: str, micro: int) -> None:
    assert parse.micro_eur(text) == micro


def test_pricing_knows_what_a_public_address_costs() -> None:
    pricing = parse.pricing(bundled()["pricing"])

    assert pricing.currency == "EUR"
    assert pricing.primary_ipv4["fsn1"] == (800, 500_000)
