"""How k3s is fetched, checked and started, and why it does not join."""

import dataclasses
import hashlib
import pathlib

import pytest
import yaml

from cloudinit.booted import machine, status
from cloudinit.examples import worker
from cloudinit.machine import Machine
from hk3s_cloudinit.node import K3sParams
from hk3s_data.k3s import JOURNAL_ERRORS


def k3s_source(root: pathlib.Path, content: bytes, sums: str) -> str:
    """Make a directory that serves as the artifacts' host, by file: URLs."""
    folder = root / "artifacts" / "v1.36.5%2Bk3s1"
    for directory in (folder, root / "artifacts" / "v1.36.5+k3s1"):
        directory.mkdir(parents=True)
        (directory / "k3s").write_bytes(content)
        (directory / "k3s-arm64").write_bytes(content)
        (directory / "sha256sum-amd64.txt").write_text(sums)
        (directory / "sha256sum-arm64.txt").write_text(sums)
    return f"file://{root}/artifacts"


def downloading(root: pathlib.Path, sums: str, sha256: str = "") -> Machine:
    url = k3s_source(root, b"#!/bin/sh\n", sums)
    k3s = K3sParams(
        version="v1.36.5+k3s1", artifacts_url=url, sha256={"amd64": sha256, "arm64": sha256}
    )
    made = machine(root, dataclasses.replace(worker(), k3s=k3s))
    (root / "usr/local/bin").mkdir(parents=True)
    return made


GOOD = hashlib.sha256(b"#!/bin/sh\n").hexdigest()


@pytest.mark.parametrize(
    ("sums", "pinned"),
    [
        pytest.param(f"{GOOD}  k3s\n{GOOD}  k3s-arm64\n", "", id="the release's own sums"),
        pytest.param("", GOOD, id="pinned"),
    ],
)
def test_k3s_is_installed_when_its_checksum_matches(
    tmp_path: pathlib.Path, sums: str, pinned: str
) -> None:
    made = downloading(tmp_path, sums, pinned)

    assert made.run("k3s-install", "install") == 0, made.output

    binary = tmp_path / "usr/local/bin/k3s"
    assert binary.stat().st_mode & 0o777 == 0o755
    (tmp_path / "artifacts").rename(tmp_path / "offline")
    assert made.run("k3s-install", "install") == 0, "an installed binary needs no network"


@pytest.mark.parametrize(
    ("sums", "pinned", "error"),
    [
        pytest.param("", "0" * 64, "checksum-mismatch", id="pinned"),
        pytest.param(f"{'0' * 64}  k3s\n", "", "checksum-mismatch", id="the release's own"),
        pytest.param(f"{GOOD}  other\n", "", "checksum-mismatch", id="not listed"),
    ],
)
def test_a_binary_with_another_checksum_is_not_installed(
    tmp_path: pathlib.Path, sums: str, pinned: str, error: str
) -> None:
    made = downloading(tmp_path, sums, pinned)

    assert made.run("k3s-install", "install") == 1

    assert status(made)["error"] == error
    assert list((tmp_path / "usr/local/bin").iterdir()) == []


def test_a_missing_artifact_is_a_failed_download(tmp_path: pathlib.Path) -> None:
    made = downloading(tmp_path, "", GOOD)
    (tmp_path / "artifacts").rename(tmp_path / "offline")

    assert made.run("k3s-install", "install") == 1

    assert status(made)["error"] == "download-failed"


def test_what_only_the_machine_knows_is_written_before_k3s_starts(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    made.write("/run/hk3s/nic", "enp7s0\n")
    made.write("/run/hk3s/address", "10.4.1.5\n")
    made.write("/sys/class/dmi/id/product_serial", "4711\n")
    made.tool("k3s", "exit 0")

    assert made.run("k3s-join", "join") == 0, made.output

    written = yaml.safe_load(made.read("/etc/rancher/k3s/config.yaml.d/50-hk3s-network.yaml"))
    assert written == {
        "node-ip": "10.4.1.5",
        "flannel-iface": "enp7s0",
        "kubelet-arg+": ["provider-id=hcloud://4711"],
    }
    assert "systemctl start --no-block k3s-agent.service" in made.calls


SEEN = {
    "ca-hash-mismatch": "token CA hash does not match the Cluster CA certificate hash: a != b",
    "name-taken": "Node password rejected, duplicate hostname or contents of '/etc/rancher'",
    "token-rejected": "https://127.0.0.1:6444/v1-k3s/serving-kubelet.crt: 401 Unauthorized",
    "label-forbidden": "unknown 'kubernetes.io' labels specified with --node-labels: [x]",
    "bad-config": 'level=fatal msg="flag provided but not defined: -embedded-registry"',
    "api-unreachable": "dial tcp 10.4.0.3:6443: connect: no route to host",
}


def joining(root: pathlib.Path, journal: str) -> Machine:
    made = machine(root, worker())
    made.write("/run/hk3s/nic", "enp7s0\n")
    made.write("/run/hk3s/address", "10.4.1.5\n")
    made.tool("k3s", "exit 1")
    made.write("/journal", f"starting\n{journal}\n")
    made.tool("journalctl", f"cat {root}/journal")
    return made


def test_every_known_error_has_an_example() -> None:
    assert set(SEEN) == {error.code for error in JOURNAL_ERRORS}


@pytest.mark.parametrize("code", SEEN)
def test_why_k3s_does_not_join_is_found_in_the_journal(tmp_path: pathlib.Path, code: str) -> None:
    made = joining(tmp_path, SEEN[code])

    assert made.run("k3s-join", "join", attempt=2) == 1

    said = status(made)
    assert (said["step"], said["state"], said["error"]) == ("join", "failed", code)
    assert said["message"] == next(row.message for row in JOURNAL_ERRORS if row.code == code)


def test_a_k3s_that_keeps_restarting_is_reported_as_such(tmp_path: pathlib.Path) -> None:
    made = joining(tmp_path, "panic")
    made.tool("systemctl", f'case "$1" in show) grep -c "systemctl show" {tmp_path}/calls ;; esac')

    assert made.run("k3s-join", "join") == 1

    assert status(made)["error"] == "k3s-failed"


def test_a_slow_k3s_is_waited_for(tmp_path: pathlib.Path) -> None:
    made = joining(tmp_path, "still pulling")
    made.tool("k3s", f'[ "$(grep -c ^k3s {tmp_path}/calls)" -gt 40 ]')

    assert made.run("k3s-join", "join") == 0, made.output
