"""The files of `plan -f`, read with all their problems: workload, NodePools, catalogue, stock."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import yaml

from hk3s_autoscaler.adapters.cloud import offering
from hk3s_autoscaler.adapters.pools import nodepool
from hk3s_autoscaler.model.manifests import Workload, read
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Architecture, Offering
from hk3s_autoscaler.model.volumes import NO_STORAGE, Storage
from hk3s_autoscaler.offline_storage import with_storage
from hk3s_data import catalog as bundled_catalog
from hk3s_hetzner import catalog
from hk3s_kube.objects import NodePoolObject

UNLIMITED = 1_000_000
ANY_POOL = "any"
_ARCHITECTURES: Mapping[str, Architecture] = {"amd64": "x86", "arm64": "arm"}


class OfflineError(Exception):
    """The input cannot be used; `problems` holds one line per problem, with place and cause."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to plan for, and what may be bought.

    Without `nodepools` one pool stands for every type, narrowed by `architectures` (`amd64`,
    `arm64`), `locations` and `server_types`. `catalog` is a file like the answer of
    `GET /server_types`; `stock` one that maps `type/location` patterns to true or false, of which
    the last that matches counts.
    """

    workload: Path
    nodepools: Path | None = None
    catalog: Path | None = None
    stock: Path | None = None
    architectures: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    server_types: tuple[str, ...] = ()
    ignore_stock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the files say."""

    workload: Workload
    storage: Storage
    pools: tuple[NodePool, ...]
    offerings: tuple[Offering, ...]


def read_input(question: Question, now: datetime) -> Input:
    """Read all files.

    Raises:
        OfflineError: some cannot be read or understood; all problems at once.
    """
    problems: list[str] = []
    workload, storage = _workload(question, now, problems)
    given = Input(
        workload=workload,
        storage=storage,
        pools=_pools(question, problems),
        offerings=_offerings(question, problems),
    )
    if problems:
        raise OfflineError(tuple(problems))
    return given


def read_sale(
    question: Question, problems: list[str]
) -> tuple[tuple[NodePool, ...], tuple[Offering, ...]]:
    """Read what may be bought; what is wrong is added to `problems`."""
    return _pools(question, problems), _offerings(question, problems)


def _workload(question: Question, now: datetime, problems: list[str]) -> tuple[Workload, Storage]:
    text = _text(question.workload, problems)
    workload = read(text, now)
    problems += [f"{question.workload}: {problem}" for problem in workload.problems]
    if workload.problems:
        return workload, NO_STORAGE
    found: list[str] = []
    pods, storage = with_storage(text, workload.pods, found)
    problems += [f"{question.workload}: {problem}" for problem in found]
    return replace(workload, pods=pods), storage


def _pools(question: Question, problems: list[str]) -> tuple[NodePool, ...]:
    if question.nodepools is None:
        return (_any_pool(question, problems),)
    pools = []
    for number, document in enumerate(_documents(question.nodepools, problems), start=1):
        items = document.get("items") if document.get("kind") != "NodePool" else [document]
        for item in items or []:
            if isinstance(item, Mapping) and item.get("kind") != "NodePool":
                continue
            place = f"{question.nodepools}: document {number}"
            try:
                stored = msgspec.convert({**item, "status": {}}, NodePoolObject)
            except msgspec.ValidationError as error:
                problems.append(f"{place}: {error}")
                continue
            pool = nodepool(stored, architecture="x86")
            if pool.problem:
                problems.append(f"{place}, NodePool {pool.name}: {pool.problem}")
            pools.append(pool)
    if not pools and not problems:
        problems.append(f"{question.nodepools}: holds no NodePool")
    return tuple(pools)


def _any_pool(question: Question, problems: list[str]) -> NodePool:
    problems += [
        f"--arch {name}: must be amd64 or arm64"
        for name in question.architectures
        if name not in _ARCHITECTURES
    ]
    chosen = tuple(_ARCHITECTURES[a] for a in question.architectures if a in _ARCHITECTURES)
    return NodePool(
        name=ANY_POOL,
        uid=ANY_POOL,
        types=TypeFilter(names=question.server_types, architectures=chosen or ("x86", "arm")),
        locations=question.locations,
        max_nodes=UNLIMITED,
    )


def _offerings(question: Question, problems: list[str]) -> tuple[Offering, ...]:
    stock = _stock(question, problems)
    if question.catalog is None:
        values: Any = bundled_catalog.bundled()
    else:
        values = next(iter(_documents(question.catalog, problems)), {})
    try:
        sold = tuple(offering(item) for item in catalog.from_json(values["server_types"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        place = question.catalog or "the bundled catalogue"
        problems.append(f"{place}: not like GET /server_types: {type(error).__name__} {error}")
        return ()
    _known("--server-types", question.server_types, {o.key.server_type for o in sold}, problems)
    _known("--location", question.locations, {o.key.location for o in sold}, problems)
    return tuple(_in_stock(o, stock, ignore=question.ignore_stock) for o in sold)


def _known(option: str, given: Iterable[str], known: Collection[str], problems: list[str]) -> None:
    problems += [
        f"{option} {name}: not in the catalogue, which has {', '.join(sorted(known))}"
        for name in given
        if name not in known
    ]


def _stock(question: Question, problems: list[str]) -> dict[str, bool]:
    if question.stock is None:
        return {}
    found = {k: v for document in _documents(question.stock, problems) for k, v in document.items()}
    for pattern, value in found.items():
        if not isinstance(value, bool):
            problems.append(f"{question.stock}: {pattern}: must be true or false")
    return {str(pattern): bool(value) for pattern, value in found.items()}


def _in_stock(sold: Offering, stock: Mapping[str, bool], *, ignore: bool) -> Offering:
    available = sold.published_available or ignore
    for pattern, value in stock.items():
        if fnmatchcase(str(sold.key), pattern):
            available = value
    return replace(sold, published_available=available)


def _documents(path: Path, problems: list[str]) -> Iterator[Mapping[str, Any]]:
    try:
        for document in yaml.safe_load_all(_text(path, problems)):
            if isinstance(document, Mapping):
                yield document
            elif document is not None:
                problems.append(f"{path}: must hold objects")
    except yaml.YAMLError as error:
        problems.append(f"{path}: not YAML: {' '.join(str(error).split())}")


def _text(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{path}: is not UTF-8 text")
    return ""
