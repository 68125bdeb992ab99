"""The files of `plan -f`, read with all their problems: workload, NodePools, catalogue, stock."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

from hk3s_autoscaler.adapters.cloud import offering
from hk3s_autoscaler.model.manifests import Problem, Workload, objects, read
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.volumes import NO_STORAGE, Storage
from hk3s_autoscaler.offline.pools import pools_of
from hk3s_autoscaler.offline.question import (
    MALFORMED,
    NO_CATALOGUE,
    NO_POD,
    UNREADABLE,
    WRONG,
    OfflineError,
    Question,
    check_known,
    documents,
)
from hk3s_autoscaler.offline.storage import KINDS, with_storage
from hk3s_data import catalog as bundled_catalog
from hk3s_findings.finding import Finding, Report, report
from hk3s_findings.located import EMPTY, MalformedYaml, read_all, values
from hk3s_findings.reading import malformed, read_text
from hk3s_hetzner import catalog


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
    return pools_of(question, reports), _offerings(question, reports)


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
    others = tuple((kind, number) for kind, number in workload.passed_over if kind not in KINDS)
    return replace(workload, pods=pods, passed_over=others), storage


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


def _offerings(question: Question, reports: list[Report]) -> tuple[Offering, ...]:
    stock = _stock(question, reports)
    sold = _sold(question.catalog, reports)
    if sold:
        types = {offering.key.server_type for offering in sold}
        locations = {offering.key.location for offering in sold}
        check_known("--server-types", question.server_types, types, reports)
        check_known("--location", question.locations, locations, reports)
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
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
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


def _stock(question: Question, reports: list[Report]) -> dict[str, bool]:
    if question.stock is None:
        return {}
    found: dict[str, bool] = {}
    for document in documents(question.stock, reports):
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
