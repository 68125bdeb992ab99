"""The files of `plan -f`, read with all their problems: workload, NodePools, catalogue, stock."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from hk3s_autoscaler.adapters.cloud import offering
from hk3s_autoscaler.adapters.pools import nodepool
from hk3s_autoscaler.model.manifests import Problem, Workload, objects, read
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Architecture, Offering
from hk3s_autoscaler.model.volumes import NO_STORAGE, Storage
from hk3s_autoscaler.offline.storage import with_storage
from hk3s_data import catalog as bundled_catalog
from hk3s_findings.finding import Finding, Report, as_text, report
from hk3s_findings.located import EMPTY, Document, MalformedYaml, read_all, values
from hk3s_findings.located import Path as Keys
from hk3s_findings.reading import malformed, read_text
from hk3s_hetzner import catalog
from hk3s_kube import nodepool_check
from hk3s_kube.objects import NodePoolObject

UNLIMITED = 1_000_000
ANY_POOL = "any"

UNREADABLE, MALFORMED, WRONG = "HK3S-E101", "HK3S-E102", "HK3S-E105"
NO_POD, NO_SUCH_OFFERING, NO_SUCH_NAME = "HK3S-E108", "HK3S-E109", "HK3S-E110"
NO_CATALOGUE, NO_POOL = "HK3S-E111", "HK3S-E112"

_ARCHITECTURES: Mapping[str, Architecture] = {"amd64": "x86", "arm64": "arm"}


class OfflineError(Exception):
    """The input cannot be used; `reports` hold every problem, file by file."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self.reports = tuple(reports)
        super().__init__(as_text(self.reports))


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
    reports: list[Report] = []
    workload, storage = _workload(question.workload, now, reports)
    pools, offerings = read_sale(question, reports)
    if reports:
        raise OfflineError(reports)
    return Input(workload=workload, storage=storage, pools=pools, offerings=offerings)


def read_sale(
    question: Question, reports: list[Report]
) -> tuple[tuple[NodePool, ...], tuple[Offering, ...]]:
    """Read what may be bought; what is wrong is added to `reports`."""
    return _pools(question, reports), _offerings(question, reports)


def _workload(file: Path, now: datetime, reports: list[Report]) -> tuple[Workload, Storage]:
    text, unreadable = read_text(file, UNREADABLE)
    if unreadable:
        reports.append(report(str(file), None, unreadable))
        return Workload(), NO_STORAGE
    try:
        items = tuple(objects(values(text)))
    except MalformedYaml as error:
        reports.append(report(str(file), EMPTY, (malformed(error, MALFORMED),)))
        return Workload(), NO_STORAGE
    workload = read(items, now)
    problems = list(workload.problems)
    pods, storage = with_storage(items, workload.pods, problems)
    reports += _located(file, text, dict.fromkeys(problems))
    return replace(workload, pods=pods), storage


def _located(file: Path, text: str, problems: Iterable[Problem]) -> Iterator[Report]:
    """Find the lines of problems, which reading for values alone does not know."""
    found = sorted(problems, key=lambda problem: problem.place.document)
    if not found:
        return
    try:
        documents = read_all(text)
    except MalformedYaml as error:
        yield report(str(file), EMPTY, (malformed(error, MALFORMED),))
        return
    for number, some in groupby(found, key=lambda problem: problem.place.document):
        yield report(str(file), documents[number], map(_as_finding, some))


def _as_finding(problem: Problem) -> Finding:
    who = f"{problem.place.name}: " if problem.place.name else ""
    return Finding(
        code=NO_POD,
        path=problem.place.path,
        cause=f"{who}{problem.cause}",
        fix="write it as the API server takes it; requests are such as {cpu: 500m, memory: 1Gi}",
    )


def _pools(question: Question, reports: list[Report]) -> tuple[NodePool, ...]:
    file = question.nodepools
    if file is None:
        return (_any_pool(question, reports),)
    before = len(reports)
    pools: list[NodePool] = []
    for document in _documents(file, reports):
        findings: list[Finding] = []
        pools += _pools_of(document, findings)
        if findings:
            reports.append(report(str(file), document, findings))
    if not pools and len(reports) == before:
        fix = "see examples/production.yaml, or kubectl get nodepools -o yaml"
        none = Finding(code=NO_POOL, path=(), cause="holds no NodePool", fix=fix)
        reports.append(report(str(file), None, (none,)))
    return tuple(pools)


def _pools_of(document: Document, findings: list[Finding]) -> Iterator[NodePool]:
    content: Mapping[str, Any] = document.values
    items: list[tuple[Keys, Any]] = [((), content)]
    if content.get("kind") != "NodePool":
        listed = content.get("items")
        items = [
            (("items", n), i) for n, i in enumerate(listed if isinstance(listed, list) else ())
        ]
    for path, item in items:
        if not isinstance(item, Mapping) or item.get("kind") != "NodePool":
            continue
        try:
            stored = msgspec.convert({**item, "status": {}}, NodePoolObject)
            nodepool_check.read_object(stored)
        except msgspec.ValidationError as error:
            fix = "write it as in kubectl get nodepools -o yaml"
            findings.append(Finding(code=WRONG, path=path, cause=str(error), fix=fix))
        except nodepool_check.NodePoolInvalid as error:
            findings += [replace(each, path=(*path, *each.path)) for each in error.problems]
        else:
            yield nodepool(stored, architecture="x86")


def _any_pool(question: Question, reports: list[Report]) -> NodePool:
    _known("--arch", question.architectures, _ARCHITECTURES, reports)
    chosen = tuple(_ARCHITECTURES[a] for a in question.architectures if a in _ARCHITECTURES)
    return NodePool(
        name=ANY_POOL,
        uid=ANY_POOL,
        types=TypeFilter(names=question.server_types, architectures=chosen or ("x86", "arm")),
        locations=question.locations,
        max_nodes=UNLIMITED,
    )


def _offerings(question: Question, reports: list[Report]) -> tuple[Offering, ...]:
    stock = _stock(question, reports)
    sold = _sold(question.catalog, reports)
    if sold:
        types = {offering.key.server_type for offering in sold}
        locations = {offering.key.location for offering in sold}
        _known("--server-types", question.server_types, types, reports)
        _known("--location", question.locations, locations, reports)
    return tuple(_in_stock(o, stock, ignore=question.ignore_stock) for o in sold)


def _sold(file: Path | None, reports: list[Report]) -> tuple[Offering, ...]:
    if file is None:
        return _offerings_of(bundled_catalog.bundled())
    text, findings = read_text(file, UNREADABLE)
    if not findings:
        try:
            return _offerings_of(next(iter(values(text)), {}))
        except MalformedYaml as error:
            findings = (malformed(error, MALFORMED),)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            wrong = Finding(
                code=NO_CATALOGUE,
                path=(),
                cause=f"is not like GET /server_types: {type(error).__name__} {error}",
                fix="fetch it from https://api.hetzner.cloud/v1/server_types?per_page=50",
            )
            findings = (wrong,)
    reports.append(report(str(file), None, findings))
    return ()


def _offerings_of(content: Any) -> tuple[Offering, ...]:  # noqa: ANN401 - JSON
    return tuple(offering(item) for item in catalog.from_json(content["server_types"]))


def _known(
    option: str, given: Iterable[str], known: Collection[str], reports: list[Report]
) -> None:
    findings = [
        Finding(
            code=NO_SUCH_NAME,
            path=(),
            cause=f"{name} is not known",
            fix=f"choose from {', '.join(sorted(known))}",
        )
        for name in given
        if name not in known
    ]
    if findings:
        reports.append(report(option, None, findings))


def _stock(question: Question, reports: list[Report]) -> dict[str, bool]:
    if question.stock is None:
        return {}
    found: dict[str, bool] = {}
    for document in _documents(question.stock, reports):
        content: Mapping[str, Any] = document.values
        found |= {pattern: bool(value) for pattern, value in content.items()}
        wrong = [
            Finding(code=WRONG, path=(pattern,), cause=f"is {value!r}", fix="write true or false")
            for pattern, value in content.items()
            if not isinstance(value, bool)
        ]
        if wrong:
            reports.append(report(str(question.stock), document, wrong))
    return found


def _in_stock(sold: Offering, stock: Mapping[str, bool], *, ignore: bool) -> Offering:
    available = sold.published_available or ignore
    for pattern, value in stock.items():
        if fnmatchcase(str(sold.key), pattern):
            available = value
    return replace(sold, published_available=available)


def _documents(file: Path, reports: list[Report]) -> Iterator[Document]:
    """The documents of a small file, each of which must hold keys and values."""
    text, unreadable = read_text(file, UNREADABLE)
    if unreadable:
        reports.append(report(str(file), None, unreadable))
        return
    try:
        documents = read_all(text)
    except MalformedYaml as error:
        reports.append(report(str(file), EMPTY, (malformed(error, MALFORMED),)))
        return
    for document in documents:
        if isinstance(document.values, Mapping):
            yield document
            continue
        fix = "write `key: value`"
        wrong = Finding(code=WRONG, path=(), cause="must hold keys and values", fix=fix)
        reports.append(report(str(file), document, (wrong,)))
