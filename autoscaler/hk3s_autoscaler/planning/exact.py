"""The exact pass seen from the planner: what is asked, what comes back, whether it is valid."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hk3s_autoscaler.planning.cover import Batch, Packing
from hk3s_autoscaler.planning.problem import Kind, Neighbours, Pattern, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A problem, the packing to improve, and the time for it."""

    problem: Problem
    packing: Packing
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A packing and two prices that none undercuts.

    `bound` is that of the relaxation, `whole_bound` knows that servers are bought whole.
    """

    packing: Packing
    bound: float = 0.0
    whole_bound: float = 0.0


def is_valid(problem: Problem, packing: Packing) -> bool:
    """Whether a packing holds what it says, within the limits, at the price it says."""
    served: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    price = 0
    for batch in packing.batches:
        if not 0 <= batch.kind < len(problem.kinds) or batch.number <= 0:
            return False
        kind = problem.kinds[batch.kind]
        if any(n <= 0 for _, n in batch.pattern) or not problem.holds(kind, batch.pattern):
            return False
        price += kind.price * batch.number
        for index, n in batch.pattern:
            served[index] += n * batch.number
        for limit, amount in kind.uses:
            taken[limit] += amount * batch.number
    return (
        price == packing.price
        and all(taken[limit] <= left for limit, left in enumerate(problem.limits))
        and all(
            missed >= 0 and served[index] + missed == count
            for index, (count, missed) in enumerate(
                zip(problem.counts, packing.missed, strict=True)
            )
        )
    )


def write_request(request: Request) -> dict[str, Any]:
    """A request as JSON values."""
    problem = request.problem
    return {
        "demands": problem.demands,
        "counts": problem.counts,
        "kinds": [[k.room, k.price, k.classes, k.uses] for k in problem.kinds],
        "limits": problem.limits,
        "ports": problem.ports,
        "neighbours": [[n.crowds, sorted(n.rivals)] for n in problem.neighbours],
        "packing": write_answer(Answer(packing=request.packing)),
        "seconds": request.seconds,
    }


def read_request(values: Mapping[str, Any]) -> Request:
    """A request from JSON values.

    Raises:
        KeyError, TypeError, ValueError: they are not a request.
    """
    problem = Problem(
        demands=tuple(tuple(demand) for demand in values["demands"]),
        counts=tuple(values["counts"]),
        kinds=tuple(
            Kind(
                room=tuple(room),
                price=price,
                classes=tuple(classes),
                uses=tuple((limit, amount) for limit, amount in uses),
            )
            for room, price, classes, uses in values["kinds"]
        ),
        limits=tuple(values["limits"]),
        ports=tuple(
            tuple((ip, protocol, port) for ip, protocol, port in ports) for ports in values["ports"]
        ),
        neighbours=tuple(
            Neighbours(
                crowds=tuple((crowd, most) for crowd, most in crowds), rivals=frozenset(rivals)
            )
            for crowds, rivals in values["neighbours"]
        ),
    )
    packing = read_answer(problem, values["packing"]).packing
    return Request(problem=problem, packing=packing, seconds=float(values["seconds"]))


def write_answer(answer: Answer) -> dict[str, Any]:
    """An answer as JSON values."""
    return {
        "batches": [[b.kind, b.pattern, b.number] for b in answer.packing.batches],
        "bound": answer.bound,
        "whole_bound": answer.whole_bound,
    }


def read_answer(problem: Problem, values: Mapping[str, Any]) -> Answer:
    """An answer to a problem from JSON values.

    Raises:
        KeyError, TypeError, ValueError, IndexError: they are not an answer.
    """
    batches = tuple(
        Batch(int(kind), _pattern(pattern), int(number))
        for kind, pattern, number in values["batches"]
    )
    missed = list(problem.counts)
    for batch in batches:
        for index, n in batch.pattern:
            missed[index] -= n * batch.number
    price = sum(problem.kinds[b.kind].price * b.number for b in batches)
    return Answer(
        packing=Packing(batches=batches, price=price, missed=tuple(missed)),
        bound=float(values["bound"]),
        whole_bound=float(values["whole_bound"]),
    )


def _pattern(values: Any) -> Pattern:  # noqa: ANN401 - JSON
    return tuple((int(index), int(n)) for index, n in values)
