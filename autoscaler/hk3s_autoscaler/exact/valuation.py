"""What pods are worth, and what servers hold at most by that; the solver that both need."""

from dataclasses import dataclass

import highspy


@dataclass(frozen=True, slots=True)
class Valuation:
    """What a pod of each class is worth, and what one server of each kind can hold at most."""

    values: tuple[float, ...]
    most: tuple[float, ...]


def solver(seconds: float = highspy.kHighsInf) -> highspy.Highs:
    """Return HiGHS, silent and on one thread."""
    made = highspy.Highs()  # type: ignore[no-untyped-call]
    made.setOptionValue("output_flag", False)
    made.setOptionValue("threads", 1)
    made.setOptionValue("time_limit", max(0.1, seconds))
    return made
