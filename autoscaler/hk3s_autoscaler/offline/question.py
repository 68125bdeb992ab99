"""What `plan` and `simulate` are asked, and how what is wrong with it is told."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hk3s_findings.finding import Finding, Report, as_text, report
from hk3s_findings.located import EMPTY, Document, MalformedYaml, read_all
from hk3s_findings.reading import malformed, read_text

UNREADABLE, MALFORMED, WRONG = "HK3S-E101", "HK3S-E102", "HK3S-E105"
NO_POD, NO_SUCH_OFFERING, NO_SUCH_NAME = "HK3S-E108", "HK3S-E109", "HK3S-E110"
NO_CATALOGUE, NO_POOL = "HK3S-E111", "HK3S-E112"


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


class OfflineError(Exception):
    """The input cannot be used; `reports` hold every problem, file by file."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self.reports = tuple(reports)
        super().__init__(as_text(self.reports))


def check_known(
    option: str, given: Iterable[str], known: Collection[str], reports: list[Report]
) -> None:
    """Report the names given to an option that the catalogue does not have."""
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


def documents(file: Path, reports: list[Report]) -> Iterator[Document]:
    """The documents of a small file, each of which must hold keys and values."""
    text, unreadable = read_text(file, UNREADABLE)
    if unreadable:
        reports.append(report(str(file), None, unreadable))
        return
    try:
        found = read_all(text)
    except MalformedYaml as error:
        reports.append(report(str(file), EMPTY, (malformed(error, MALFORMED),)))
        return
    for document in found:
        if isinstance(document.values, Mapping):
            yield document
            continue
        fix = "write `key: value`"
        wrong = Finding(code=WRONG, path=(), cause="must hold keys and values", fix=fix)
        reports.append(report(str(file), document, (wrong,)))
