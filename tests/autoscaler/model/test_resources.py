"""Amounts of resources."""

from hk3s_autoscaler.model.resources import Resources, total

ONE = Resources(cpu_milli=500, memory_bytes=10, pods=1, extended=(("gpu", 1),))


def test_amounts_add_subtract_and_multiply() -> None:
    assert total([ONE, ONE]) == ONE * 2
    assert ONE * 3 - ONE == ONE * 2


def test_a_request_fits_up_to_the_last_unit() -> None:
    assert ONE.fits(ONE)
    assert not ONE.fits(ONE - Resources(memory_bytes=1))
    assert (ONE + Resources(cpu_milli=1)).shortages(ONE) == ("cpu",)


def test_what_is_not_asked_for_cannot_be_short() -> None:
    assert Resources(pods=1).fits(Resources(cpu_milli=-5, pods=1))


def test_a_resource_that_the_room_does_not_have_is_short() -> None:
    assert ONE.shortages(Resources(cpu_milli=500, memory_bytes=10, pods=1)) == ("gpu",)
