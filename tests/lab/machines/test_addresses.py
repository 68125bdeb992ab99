from pathlib import Path

import pytest

from hk3s_lab.addresses import Addresses


def test_a_private_address_keeps_its_low_half_and_finds_back(tmp_path: Path) -> None:
    with Addresses(tmp_path) as addresses:
        local = addresses.private(7, "10.4.1.9")
        assert local.startswith("127.")
        assert local.endswith(".1.9")
        assert addresses.origin(local) == (7, "10.4.1.9")
        assert addresses.private(7, "10.4.0.3").split(".")[1] == local.split(".")[1]
        assert addresses.range(7, "10.4.0.0/16") == f"127.{local.split('.')[1]}.0.0/16"


def test_networks_and_labs_do_not_meet(tmp_path: Path) -> None:
    with Addresses(tmp_path) as one, Addresses(tmp_path) as other:
        octets = {
            one.private(1, "10.4.0.3").split(".")[1],
            one.private(2, "10.4.0.3").split(".")[1],
            one.private(2, "10.5.0.3").split(".")[1],
            other.private(1, "10.4.0.3").split(".")[1],
            next(one.public()).split(".")[1],
        }
    assert len(octets) == 5


def test_what_a_lab_gives_back_is_free_again(tmp_path: Path) -> None:
    with Addresses(tmp_path) as one:
        first = one.private(1, "10.4.0.3")
    with Addresses(tmp_path) as other:
        assert other.private(9, "10.4.0.3") == first


def test_public_addresses_are_never_handed_out_twice(tmp_path: Path) -> None:
    with Addresses(tmp_path) as addresses:
        public = addresses.public()
        some = [next(public) for _ in range(600)]
    assert len(set(some)) == 600
    assert not any(address.endswith((".0", ".255")) for address in some)


@pytest.mark.parametrize("address", ["10.4.0.3", "127.0.0.1", "127.255.0.1"])
def test_other_addresses_have_no_origin(tmp_path: Path, address: str) -> None:
    with Addresses(tmp_path) as addresses:
        assert addresses.origin(address) is None
