"""Properties of every purchase: within the limits, holding its pods, no cheaper than the bound."""

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hk3s_autoscaler.planning.cover import Packing
from hk3s_autoscaler.planning.packing import pack
from hk3s_autoscaler.planning.problem import Kind, Neighbours, Problem
from hk3s_autoscaler.planning.relaxation import relax
from hk3s_autoscaler.planning.tighten import tightened, undominated

WORK = 20_000
TCP_80 = (("0.0.0.0", "TCP", 80),)  # noqa: S104 - compared with, never bound


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """A few classes, kinds and limits, eligible in any combination."""
    size = draw(st.integers(1, 6))
    demands = draw(
        st.lists(
            st.tuples(st.integers(0, 40), st.integers(1, 80), st.just(1)),
            min_size=size,
            max_size=size,
        )
    )
    limits = draw(st.lists(st.integers(0, 30), max_size=3))
    kinds = draw(
        st.lists(
            st.builds(
                Kind,
                room=st.tuples(st.integers(0, 160), st.integers(0, 320), st.integers(1, 30)),
                price=st.integers(1, 400),
                classes=st.sets(st.integers(0, size - 1)).map(lambda c: tuple(sorted(c))),
                uses=st.sets(st.integers(0, max(0, len(limits) - 1)), max_size=len(limits)).map(
                    lambda numbers: tuple((n, 1 + n) for n in sorted(numbers))
                )
                if limits
                else st.just(()),
            ),
            min_size=1,
            max_size=5,
        )
    )
    ports = draw(st.lists(st.sampled_from([(), (), TCP_80]), min_size=size, max_size=size))
    return Problem(
        demands=tuple(demands),
        counts=tuple(draw(st.lists(st.integers(0, 25), min_size=size, max_size=size))),
        kinds=tuple(kinds),
        limits=tuple(limits),
        ports=tuple(ports) if any(ports) else (),
        neighbours=draw(st.just(()) | neighbours(size)),
    )


@st.composite
def neighbours(draw: st.DrawFn, size: int) -> tuple[Neighbours, ...]:
    """Crowds of some size, and pairs of classes that shun each other."""
    crowds = draw(
        st.lists(st.sampled_from([(), ((0, 3),), ((1, 1),)]), min_size=size, max_size=size)
    )
    pairs = draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=3))
    rivals: list[set[int]] = [set() for _ in range(size)]
    for one, other in pairs:
        if one != other:
            rivals[one].add(other)
            rivals[other].add(one)
    return tuple(
        Neighbours(crowds=crowd, rivals=frozenset(shunned))
        for crowd, shunned in zip(crowds, rivals, strict=True)
    )


def _holds(problem: Problem, packing: Packing) -> None:
    served: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    for batch in packing.batches:
        kind = problem.kinds[batch.kind]
        load = [sum(n * problem.demands[i][d] for i, n in batch.pattern) for d in range(3)]
        assert all(want == 0 or want <= have for want, have in zip(load, kind.room, strict=True))
        assert {i for i, _ in batch.pattern} <= set(kind.classes)
        assert sum(n for i, n in batch.pattern if problem.ports_of(i)) <= 1
        _suits(problem, dict(batch.pattern))
        for index, n in batch.pattern:
            served[index] += n * batch.number
        for limit, amount in kind.uses:
            taken[limit] += amount * batch.number
    for index, count in enumerate(problem.counts):
        assert served[index] + packing.missed[index] == count
        assert packing.missed[index] >= 0
    assert all(taken[limit] <= most for limit, most in enumerate(problem.limits))
    assert packing.price == sum(problem.kinds[b.kind].price * b.number for b in packing.batches)


def _suits(problem: Problem, load: dict[int, int]) -> None:
    for index in load if problem.neighbours else ():
        own = problem.neighbours[index]
        assert not own.rivals & set(load)
        for crowd, most in own.crowds:
            members = [i for i in load if any(c == crowd for c, _ in problem.neighbours[i].crowds)]
            assert sum(load[i] for i in members) <= most


@settings(max_examples=100, deadline=None)
@given(problems())
def test_a_packing_is_valid(problem: Problem) -> None:
    _holds(problem, pack(problem))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_without_limits_only_what_fits_nowhere_is_missed(problem: Problem) -> None:
    free = Problem(
        demands=problem.demands,
        counts=problem.counts,
        kinds=tuple(Kind(room=k.room, price=k.price, classes=k.classes) for k in problem.kinds),
        ports=problem.ports,
        neighbours=problem.neighbours,
    )

    packing = pack(free)

    for index, missed in enumerate(packing.missed):
        fits = any(index in k.classes and free.most(index, k.room) for k in free.kinds)
        assert missed == (0 if fits else free.counts[index])


@settings(max_examples=100, deadline=None)
@given(problems())
def test_no_packing_is_cheaper_than_the_bound(problem: Problem) -> None:
    packing = pack(problem)
    served = tuple(n - m for n, m in zip(problem.counts, packing.missed, strict=True))
    free = tuple(replace(kind, uses=()) for kind in problem.kinds)
    unlimited = relax(replace(problem, counts=served, kinds=free, limits=()), WORK).bound
    limited = relax(replace(problem, counts=served), WORK).bound

    assert unlimited <= packing.price * (1 + 1e-9)
    assert limited <= packing.price * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_a_mix_is_no_dearer_than_a_purchase_of_loads_that_are_at_hand(problem: Problem) -> None:
    packing = pack(problem)
    served = tuple(n - m for n, m in zip(problem.counts, packing.missed, strict=True))
    loads = [(batch.kind, batch.pattern) for batch in packing.batches]

    mix = relax(replace(problem, counts=served), WORK, loads)

    assert mix.price <= packing.price * (1 + 1e-6)


@settings(max_examples=50, deadline=None)
@given(problems())
def test_the_same_problem_has_the_same_answer(problem: Problem) -> None:
    assert pack(problem) == pack(problem)


def test_the_bound_is_the_optimum_where_servers_are_filled_exactly() -> None:
    kind = Kind(room=(4, 8, 10), price=100, classes=(0, 1))
    problem = Problem(demands=((3, 2, 1), (1, 6, 1)), counts=(50, 50), kinds=(kind,))

    assert pack(problem).price == 5000
    assert 4990 <= relax(problem, WORK).bound <= 5000.001


def test_the_bound_knows_that_pods_cannot_be_cut() -> None:
    kind = Kind(room=(10,), price=100, classes=(0,))
    problem = Problem(demands=((6,),), counts=(10,), kinds=(kind,))

    assert relax(problem, WORK).bound >= 999


def test_complementary_pods_share_servers() -> None:
    cpu, memory = (12, 1, 1), (1, 12, 1)
    kinds = (
        Kind(room=(13, 13, 100), price=100, classes=(0, 1)),
        Kind(room=(26, 26, 100), price=210, classes=(0, 1)),
    )
    problem = Problem(demands=(cpu, memory), counts=(20, 20), kinds=kinds)

    assert pack(problem).price == 2000


def test_where_few_servers_are_allowed_the_money_goes_to_the_right_ones() -> None:
    """A third of the servers that would be cheapest: nothing is missed, a few per cent lost."""
    ratios = []
    for seed in range(6):
        chance = random.Random(seed)  # noqa: S311 - an example, not a secret
        demands = tuple((chance.randint(2, 30), chance.randint(2, 60), 1) for _ in range(20))
        kinds = tuple(
            Kind(
                room=(40 * size, 80 * size, 110),
                price=100 * size + 8 * size * size,
                classes=tuple(range(20)),
                uses=((0, 1),),
            )
            for size in (1, 2, 4, 8, 16)
        )
        counts = tuple(chance.randint(5, 20) for _ in demands)
        free = Problem(demands=demands, counts=counts, kinds=kinds, limits=(1000,))
        cheapest = sum(batch.number for batch in pack(free).batches)
        few = replace(free, limits=(cheapest // 3,))

        found = pack(few)

        assert not any(found.missed)
        ratios.append(found.price / relax(few, 200_000).bound)
    assert sum(ratios) / len(ratios) <= 1.05


def test_limits_make_the_bound_higher() -> None:
    small = Kind(room=(10,), price=10, classes=(0,), uses=((0, 1),))
    large = Kind(room=(20,), price=100, classes=(0,), uses=((0, 1),))
    problem = Problem(demands=((5,),), counts=(40,), kinds=(small, large), limits=(15,))

    # 15 servers hold 40 pods only if at least five of them are large.
    assert 599 <= relax(problem, WORK).bound <= 600.001
    assert pack(problem).price == 600
    assert relax(replace(problem, limits=(20,)), WORK).bound <= 200


def test_room_that_no_sum_of_demands_reaches_is_cut_off() -> None:
    kind = Kind(room=(1580, 110), price=1, classes=(0, 1))
    problem = Problem(demands=((500, 10), (200, 25)), counts=(9, 1), kinds=(kind,))

    assert tightened(problem).kinds[0].room == (1500, 105)


def test_a_kind_that_another_replaces_is_left_out() -> None:
    kinds = (
        Kind(room=(4, 8), price=20, classes=(0,)),
        Kind(room=(4, 8), price=10, classes=(0,)),
        Kind(room=(9, 1), price=30, classes=(0, 1)),
    )

    assert undominated(kinds, limited=True) == [1, 2]
    scarce = replace(kinds[1], uses=((0, 1),))
    assert undominated((kinds[0], scarce), limited=True) == [1, 0]
    assert undominated((kinds[0], scarce), limited=False) == [1]
