"""Start the exact pass in a process of its own, and take its answer only where it is better."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

from hk3s_autoscaler.planning.cover import Packing
from hk3s_autoscaler.planning.exact import Answer, Request, is_valid, read_answer, write_request
from hk3s_autoscaler.planning.packing import pack
from hk3s_autoscaler.planning.problem import Problem
from hk3s_autoscaler.planning.tighten import simplified

_GRACE = 20.0
"""Seconds for starting the process and for the solver to notice its limit."""


class ExactUnavailable(Exception):
    """The solver is not installed."""


@dataclass(slots=True)
class ExactPacker:
    """Packs with the heuristics, then exactly for some seconds; never worse than the heuristics.

    `answers` are those that came back, by problem, `failures` why a pass had no answer.
    """

    seconds: float
    answers: dict[Problem, Answer] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if find_spec("highspy") is None:
            raise ExactUnavailable("the exact pass needs highspy: pip install 'hk3s[exact]'")

    def __call__(self, problem: Problem) -> Packing:
        """Return the better of the two packings."""
        packing = pack(problem)
        sharp, numbers = simplified(problem)
        if not packing.batches or not numbers:
            return packing
        places = {number: place for place, number in enumerate(numbers)}
        start = replace(
            packing,
            batches=tuple(replace(b, kind=places[b.kind]) for b in packing.batches),
        )
        answer = self.ask(Request(problem=sharp, packing=start, seconds=self.seconds))
        if answer is None:
            return packing
        self.answers[problem] = answer
        found = answer.packing
        back = replace(
            found, batches=tuple(replace(b, kind=numbers[b.kind]) for b in found.batches)
        )
        return min(packing, back, key=Packing.rank) if is_valid(problem, back) else packing

    def ask(self, request: Request) -> Answer | None:
        """Return what the process found; `None` and a failure if that is nothing."""
        try:
            # HiGHS may print a banner of its own before the answers, of which the last counts.
            lines = _output(json.dumps(write_request(request)), request.seconds + _GRACE)
            answer = read_answer(request.problem, json.loads(lines[-1]))
        except (subprocess.SubprocessError, OSError) as error:
            self.failures.append(type(error).__name__)
            return None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self.failures.append(f"no answer ({type(error).__name__})")
            return None
        return answer if math.isfinite(answer.bound + answer.whole_bound) else None


def _output(given: str, seconds: float) -> list[bytes]:
    """Return the lines that the process wrote, also when its time is over before it is done."""
    try:
        return subprocess.run(
            [sys.executable, "-m", "hk3s_autoscaler.exact.worker"],
            input=given.encode(),
            capture_output=True,
            timeout=seconds,
            check=True,
        ).stdout.splitlines()
    except subprocess.TimeoutExpired as error:
        whole = (error.stdout or b"").rpartition(b"\n")[0]
        if not whole:
            raise
        return whole.splitlines()
