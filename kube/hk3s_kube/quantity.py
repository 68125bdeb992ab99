"""Kubernetes quantities (`500m`, `1.5Gi`) as exact numbers.

Grammar and suffixes: `apimachinery/pkg/api/resource/quantity.go`.
"""

import re
from decimal import ROUND_CEILING, Decimal

PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"

_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
}


def parse(text: str) -> Decimal:
    """Return the number; `ValueError` for anything that `PATTERN` does not match."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(
            f"{text!r} is no quantity: write a number with a suffix, as in 500m or 4Gi"
        )
    return Decimal(form[1]) * _FACTORS[form[2]]


def whole(text: str) -> int:
    """Return the quantity in whole units (bytes, cores), rounded up as Kubernetes does."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def milli(text: str) -> int:
    """Return the quantity in thousandths (milli-CPU), rounded up."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))
