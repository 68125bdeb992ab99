"""Quantities, with examples and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hk3s_autoscaler.model import quantity


@pytest.mark.parametrize(
    ("text", "milli"),
    [("500m", 500), ("1", 1000), (".5", 500), ("1.5", 1500), ("100u", 1), ("1e3", 1_000_000)],
)
def test_cpu_in_thousandths_rounded_up(text: str, milli: int) -> None:
    assert quantity.milli(text) == milli


@pytest.mark.parametrize(
    ("text", "whole"),
    [("1Ki", 1024), ("1.5Gi", 3 << 29), ("1M", 10**6), ("1500m", 2), ("0", 0), ("2E", 2 * 10**18)],
)
def test_amounts_in_whole_units_rounded_up(text: str, whole: int) -> None:
    assert quantity.whole(text) == whole


@pytest.mark.parametrize("text", ["", "one", "1 Gi", "1kb", "1e999", "--1", "0x10", "\u0661"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(quantity.QuantityError):
        quantity.parse(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_binary_suffixes_are_exact(number: int) -> None:
    assert quantity.whole(f"{number}Mi") == number * 2**20
