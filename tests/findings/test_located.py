import pytest

from hk3s_findings.located import MalformedYaml, Position, read

TEXT = """\
cluster: demo
bastion:
  allowedCidrs:
    - 10.0.0.0/8
    - 192.0.2.0/24
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        pytest.param(("cluster",), 1, 1, id="key"),
        pytest.param(("bastion", "allowedCidrs"), 3, 3, id="nested key"),
        pytest.param(("bastion", "allowedCidrs", 1), 5, 7, id="list item"),
        pytest.param(("bastion", "image"), 2, 1, id="missing key: its parent"),
        pytest.param(("master", "image"), 1, 1, id="missing section: the file"),
    ],
)
def test_a_path_has_a_position(path: tuple[str | int, ...], line: int, column: int) -> None:
    assert read(TEXT).position(path) == Position(line, column)


def test_values_are_those_of_yaml() -> None:
    assert read(TEXT).values == {
        "cluster": "demo",
        "bastion": {"allowedCidrs": ["10.0.0.0/8", "192.0.2.0/24"]},
    }


def test_an_empty_file_has_no_values() -> None:
    assert read("").values is None


def test_merged_keys_may_be_replaced() -> None:
    document = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")

    assert document.values["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a: 1\nb: [1,\n", 3, id="unclosed"),
        pytest.param("a: 1\n  b: 2\n", 2, id="wrong indent"),
        pytest.param("a: 1\nb: 2\na: 3\n", 3, id="key given twice"),
        pytest.param("a: &a\n  b: *a\n", 1, id="contains itself"),
    ],
)
def test_malformed_text_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(MalformedYaml) as caught:
        read(text)

    assert caught.value.position is not None
    assert caught.value.position.line == line
