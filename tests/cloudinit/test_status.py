"""The status port and the reports behind it."""

import importlib.util
import json
import pathlib
import threading
import types
from collections.abc import Iterator

import pytest
import requests

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = ROOT / "cloudinit/hk3s_cloudinit/scripts"


def load(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"hk3s_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("HK3S_RUN", str(tmp_path))
    monkeypatch.setenv("HK3S_NAME", "demo-workers-x7k2p")
    monkeypatch.setenv("HK3S_ROLE", "worker")
    monkeypatch.setenv("HK3S_STATUS_PORT", "0")
    monkeypatch.setenv("HK3S_STATUS_SOURCES", "10.4.0.0/24 127.0.0.0/8")
    monkeypatch.setenv("HK3S_STATUS_SECONDS", "0.01")
    (tmp_path / "address").write_text("127.0.0.1\n")
    return tmp_path


@pytest.fixture
def url(run: pathlib.Path) -> Iterator[str]:
    """Serve with the machine's own handler."""
    status = load("status")
    server = status.http.server.ThreadingHTTPServer(("127.0.0.1", 0), status.Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def read(run: pathlib.Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((run / "status.json").read_text())
    return document


def test_a_report_has_the_contracts_shape(run: pathlib.Path) -> None:
    report = load("report")
    report.main("boot", "running", "1")
    report.main("boot", "done", "1")

    report.main("join", "failed", "3", "ca-hash-mismatch", "the API's CA does not match")

    contract = (ROOT / "docs/contract.md").read_text().rsplit("```json\n", 1)[1].split("```")[0]
    said = read(run)
    assert list(said) == list(json.loads(contract))
    assert said["attempt"] == 3
    assert said["error"] == "ca-hash-mismatch"
    assert set(json.loads((run / "timer.json").read_text())["began"]) == {"boot", "join"}
    assert list(said["steps"]) == ["boot"]  # type: ignore[call-overload]


def test_no_error_is_null(run: pathlib.Path) -> None:
    load("report").main("network", "running", "1")

    assert (read(run)["error"], read(run)["message"]) == (None, None)


def test_the_answer_is_the_last_report(run: pathlib.Path, url: str) -> None:
    load("report").main("egress", "failed", "2", "no-egress", "no answer")

    answer = requests.get(f"{url}/status", timeout=30)

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == read(run)


def test_nothing_else_is_served(run: pathlib.Path, url: str) -> None:
    (run / "secret").write_text("secret")

    assert requests.get(f"{url}/secret", timeout=30).status_code == 404


def test_other_callers_are_turned_away(
    run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("HK3S_STATUS_SOURCES", "10.4.0.0/24")
    load("report").main("boot", "running", "1")

    url = request.getfixturevalue("url")

    assert requests.get(f"{url}/status", timeout=30).status_code == 403


def test_the_port_closes_some_time_after_ready(run: pathlib.Path) -> None:
    load("report").main("ready", "done", "1")

    load("status").main()


def test_fetch_saves_what_it_is_told_to(run: pathlib.Path, url: str) -> None:
    load("report").main("boot", "running", "1")
    fetch = load("fetch")

    assert fetch.main(f"{url}/status", str(run / "saved")) == 0
    assert json.loads((run / "saved").read_text()) == read(run)
    assert fetch.main(f"{url}/missing", str(run / "missing")) == 1


def test_an_error_page_is_an_answer_too(url: str) -> None:
    assert load("fetch").main(f"{url}/missing") == 0


def test_a_silent_host_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert load("fetch").main("http://127.0.0.1:1/") == 1

    assert "refused" in capsys.readouterr().err
