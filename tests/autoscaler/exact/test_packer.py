"""The exact pass: valid, never worse, optional."""

import json
import subprocess
from dataclasses import replace

import pytest

from hk3s_autoscaler.exact import packer as exact
from hk3s_autoscaler.exact.packer import ExactPacker, ExactUnavailable
from hk3s_autoscaler.planning.cover import Batch, Packing
from hk3s_autoscaler.planning.exact import (
    Answer,
    Request,
    is_valid,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from hk3s_autoscaler.planning.packing import pack
from hk3s_autoscaler.planning.problem import Kind, Neighbours, Problem

KINDS = (
    Kind(room=(170, 307, 109), price=88, classes=(0, 1, 2), uses=((0, 1),)),
    Kind(room=(1550, 3042, 109), price=473, classes=(0, 1, 2), uses=((0, 1),)),
)
PROBLEM = Problem(
    demands=((100, 40, 1), (25, 102, 1), (50, 410, 1)),
    counts=(31, 57, 12),
    kinds=KINDS,
    limits=(40,),
    neighbours=(
        Neighbours(crowds=((0, 9),)),
        Neighbours(rivals=frozenset({2})),
        Neighbours(rivals=frozenset({1})),
    ),
)


@pytest.fixture
def highspy() -> None:
    pytest.importorskip("highspy")


def test_the_exact_pass_is_valid_and_no_worse(highspy: None) -> None:
    packer = ExactPacker(1.0)

    found = packer(PROBLEM)

    assert packer.failures == []
    assert is_valid(PROBLEM, found)
    assert found.rank() <= pack(PROBLEM).rank()
    assert packer.answers[PROBLEM].bound <= packer.answers[PROBLEM].whole_bound <= found.price


@pytest.mark.parametrize(
    "reply",
    [
        "no JSON",
        "{}",
        json.dumps({"batches": [[0, [[0, 99]], 1]], "bound": 0, "whole_bound": 0}),
        json.dumps({"batches": [[7, [[0, 1]], 31]], "bound": 0, "whole_bound": 0}),
        json.dumps({"batches": [], "bound": 0, "whole_bound": 0}),
    ],
)
def test_nonsense_from_the_process_leaves_the_plan_as_it_is(
    highspy: None, reply: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess[bytes](
        args=[], returncode=0, stdout=reply.encode(), stderr=b""
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    assert ExactPacker(1.0)(PROBLEM) == pack(PROBLEM)


def test_a_process_that_dies_or_hangs_leaves_the_plan_as_it_is(
    highspy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("worker", 1.0)

    monkeypatch.setattr(subprocess, "run", hang)
    packer = ExactPacker(1.0)

    assert packer(PROBLEM) == pack(PROBLEM)
    assert packer.failures == ["TimeoutExpired"]


def test_without_the_solver_the_pass_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "find_spec", lambda _: None)

    with pytest.raises(ExactUnavailable, match=r"hk3s\[exact\]"):
        ExactPacker(1.0)


def test_requests_and_answers_survive_json() -> None:
    packing = pack(PROBLEM)
    request = Request(problem=PROBLEM, packing=packing, seconds=2.5)
    answer = Answer(packing=packing, bound=1.5, whole_bound=2.5)

    assert read_request(json.loads(json.dumps(write_request(request)))) == request
    assert read_answer(PROBLEM, json.loads(json.dumps(write_answer(answer)))) == answer


def test_validity_is_checked_from_the_ground() -> None:
    good = pack(PROBLEM)
    batch = good.batches[0]

    assert is_valid(PROBLEM, good)
    assert not is_valid(PROBLEM, replace(good, price=good.price - 1))
    assert not is_valid(PROBLEM, replace(good, batches=good.batches[1:]))
    assert not is_valid(PROBLEM, replace(good, missed=(1, 0, 0)))
    assert not is_valid(replace(PROBLEM, limits=(0,)), good)
    crowded = Packing(batches=(Batch(1, ((0, 10),), 1),), price=473, missed=(21, 57, 12))
    assert not is_valid(PROBLEM, crowded)
    assert not is_valid(PROBLEM, replace(good, batches=(replace(batch, kind=9),)))
