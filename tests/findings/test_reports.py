"""The report on a file, and values without their places."""

import json

import pytest

from hk3s_findings.finding import Finding, Severity, as_text, report
from hk3s_findings.located import MalformedYaml, Position, read, read_all, values

FILE = "a: 1\nlabels:\n  example.com/team: x\n"


def finding(*path: str | int, severity: Severity = "error") -> Finding:
    return Finding(
        code="HK3S-E999", path=path, cause="is wrong", fix="correct it", severity=severity
    )


def test_a_report_is_in_the_order_of_lines_and_counts() -> None:
    found = report(
        "f.yaml",
        read(FILE),
        (finding("labels", "example.com/team"), finding("a", severity="warning")),
    )

    assert as_text((found,)) == (
        "f.yaml:1:1: warning HK3S-E999: a: is wrong\n"
        "    fix: correct it\n"
        "f.yaml:3:3: error HK3S-E999: labels[example.com/team]: is wrong\n"
        "    fix: correct it\n"
        "1 error, 1 warning"
    )
    assert [each["line"] for each in found.as_json()["findings"]] == [1, 3]


def test_an_option_has_no_lines() -> None:
    assert report("--arch", None, (finding(),)).as_text().startswith("--arch: error HK3S-E999: is")


def test_each_document_of_a_stream_knows_its_lines() -> None:
    first, second = read_all("---\na: 1\n---\n---\nb:\n  - c\n")

    assert first.position(("a",)) == Position(2, 1)
    assert second.position(("b", 0)) == Position(6, 5)


def test_two_documents_are_not_one() -> None:
    with pytest.raises(MalformedYaml, match="one document") as caught:
        read("a: 1\n---\nb: 2\n")

    assert caught.value.position == Position(3, 1)


@pytest.mark.parametrize("text", [json.dumps({"a": [1, None]}), "a: [1, null]\n", "---\na: [1, ~]"])
def test_values_come_from_json_and_yaml_alike(text: str) -> None:
    assert values(text) == ({"a": [1, None]},)


def test_values_of_malformed_text_are_refused_with_their_line() -> None:
    with pytest.raises(MalformedYaml) as caught:
        values("a: 1\nb: [1,\n---\n")

    assert caught.value.position is not None
    assert caught.value.position.line == 3
