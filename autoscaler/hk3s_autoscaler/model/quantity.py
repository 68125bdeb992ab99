"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) as exact integers.

The grammar is that of k8s.io/apimachinery/pkg/api/resource: a decimal number and a binary suffix,
a decimal suffix or an exponent. Fractions of the wanted unit round up, as kube-scheduler's do.
"""

import re
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))"
    r"(?P<suffix>[eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)",
    re.ASCII,
)
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{s: Decimal(1000) ** i for i, s in enumerate("kMGTPE", start=1)},
    **{f"{s}i": Decimal(1024) ** i for i, s in enumerate("KMGTPE", start=1)},
}
_LARGEST_EXPONENT = 30


class QuantityError(ValueError):
    """The text is not a Kubernetes quantity."""


def parse(text: str) -> Decimal:
    """Return the exact value of a quantity.

    Raises:
        QuantityError: `text` does not follow the grammar, or its exponent is absurd.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise QuantityError(f"not a Kubernetes quantity: {text!r}")
    suffix = match["suffix"]
    if suffix in _SUFFIXES:
        return Decimal(match["number"]) * _SUFFIXES[suffix]
    exponent = int(suffix[1:])
    if abs(exponent) > _LARGEST_EXPONENT:
        raise QuantityError(f"exponent out of range: {text!r}")
    return Decimal(match["number"]).scaleb(exponent)


def milli(text: str) -> int:
    """Return a quantity in thousandths, rounded up: `500m` is 500, `1` is 1000."""
    return _up(parse(text) * 1000)


def whole(text: str) -> int:
    """Return a quantity in whole units, rounded up: `1Ki` is 1024, `1500m` is 2."""
    return _up(parse(text))


def _up(value: Decimal) -> int:
    return int(value.to_integral_value(rounding=ROUND_CEILING))
