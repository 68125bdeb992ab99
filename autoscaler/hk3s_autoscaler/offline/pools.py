"""The pools of `--nodepools`, as manifests or in a cluster.yaml, or one that takes every type."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from hk3s_autoscaler.adapters.pools import nodepool
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Architecture
from hk3s_autoscaler.offline.question import NO_POOL, WRONG, Question, check_known, documents
from hk3s_findings.finding import Finding, Report, report
from hk3s_findings.located import Document
from hk3s_findings.located import Path as Keys
from hk3s_kube import nodepool_check
from hk3s_kube.nodepool import API_VERSION, KIND
from hk3s_kube.objects import NodePoolObject

At = Callable[[Keys], Keys]

UNLIMITED = 1_000_000
ANY_POOL = "any"

_ARCHITECTURES: Mapping[str, Architecture] = {"amd64": "x86", "arm64": "arm"}


def pools_of(question: Question, reports: list[Report]) -> tuple[NodePool, ...]:
    """Return the pools that a question is about; what is wrong is added to `reports`."""
    file = question.nodepools
    if file is None:
        return (_any_pool(question, reports),)
    before = len(reports)
    pools: list[NodePool] = []
    for document in documents(file, reports):
        findings: list[Finding] = []
        pools += _pools_of(document, findings)
        if findings:
            reports.append(report(str(file), document, findings))
    if not pools and len(reports) == before:
        fix = "give a cluster.yaml, or what kubectl get nodepools -o yaml prints"
        none = Finding(code=NO_POOL, path=(), cause="holds no NodePool", fix=fix)
        reports.append(report(str(file), None, (none,)))
    return tuple(pools)


def _pools_of(document: Document, findings: list[Finding]) -> Iterator[NodePool]:
    for at, manifest in _manifests(document.values):
        try:
            stored = msgspec.convert({**manifest, "status": {}}, NodePoolObject)
            nodepool_check.read_object(stored)
        except msgspec.ValidationError as error:
            fix = "write it as in kubectl get nodepools -o yaml"
            findings.append(Finding(code=WRONG, path=at(()), cause=str(error), fix=fix))
        except nodepool_check.NodePoolInvalid as error:
            findings += [replace(each, path=at(each.path)) for each in error.problems]
        else:
            yield nodepool(stored, architecture="x86")


def _manifests(content: Mapping[str, Any]) -> Iterator[tuple[At, Mapping[str, Any]]]:
    """Each NodePool of a document, and where a path in its manifest stood there."""
    if content.get("kind") == "NodePool":
        yield lambda path: path, content
        return
    for number, item in _items(content, "items"):
        if item.get("kind") == "NodePool":
            yield partial(_in_list, number), item
    for number, item in _items(content, "nodePools"):
        spec = {key: value for key, value in item.items() if key != "name"}
        metadata = {"name": item.get("name")}
        manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
        yield partial(_in_cluster_file, number), manifest


def _items(content: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    listed = content.get(key)
    for number, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, Mapping):
            yield number, item


def _in_list(number: int, path: Keys) -> Keys:
    return ("items", number, *path)


def _in_cluster_file(number: int, path: Keys) -> Keys:
    return ("nodePools", number, *path[1:])


def _any_pool(question: Question, reports: list[Report]) -> NodePool:
    check_known("--arch", question.architectures, _ARCHITECTURES, reports)
    chosen = tuple(_ARCHITECTURES[a] for a in question.architectures if a in _ARCHITECTURES)
    return NodePool(
        name=ANY_POOL,
        uid=ANY_POOL,
        types=TypeFilter(names=question.server_types, architectures=chosen or ("x86", "arm")),
        locations=question.locations,
        max_nodes=UNLIMITED,
    )
