"""Kubernetes quantities as integers: thousandths of a core, bytes."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

_SUFFIXES = {
    "Ki": Decimal(1 << 10),
    "Mi": Decimal(1 << 20),
    "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
}


def parse(text: str) -> Decimal:
    """Return a quantity's value; ValueError when it is none."""
    suffix = next((s for s in _SUFFIXES if text.endswith(s)), "")
    try:
        number = Decimal(text.removesuffix(suffix))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no quantity") from error
    return number * _SUFFIXES.get(suffix, Decimal(1))


def share(text: str, whole: int) -> int:
    """Return an eviction threshold, `100Mi` or `5%` of `whole`, in bytes."""
    if text.endswith("%"):
        return int(parse(text.removesuffix("%")) * whole / 100)
    return int(parse(text))


def pairs(text: str, mark: str) -> Mapping[str, str]:
    """Split a kubelet argument such as `cpu=100m,memory=300Mi`; ValueError when it is none."""
    result = {}
    for part in filter(None, text.split(",")):
        name, found, value = part.partition(mark)
        if not found:
            raise ValueError(f"{part!r} has no {mark!r}")
        result[name.strip()] = value.strip()
    return result
