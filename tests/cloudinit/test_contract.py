"""What is rendered is what docs/contract.md says; the document itself is read for it."""

import dataclasses
import json
import pathlib
import re

import pytest
import yaml

from cloudinit.examples import bastion, master, worker
from hk3s_cloudinit.files import LIB
from hk3s_cloudinit.node import BastionParams, MasterParams, WorkerParams, node_json
from hk3s_cloudinit.userdata import cloud_config
from hk3s_data.k3s import JOURNAL_ERRORS

ROOT = pathlib.Path(__file__).parents[2]
CONTRACT = (ROOT / "docs/contract.md").read_text()
SCRIPTS = ROOT / "cloudinit/hk3s_cloudinit/scripts"

Params = BastionParams | MasterParams | WorkerParams
each_role = pytest.mark.parametrize(
    "params",
    [
        pytest.param(bastion(), id="bastion"),
        pytest.param(master(), id="master"),
        pytest.param(worker(), id="worker"),
    ],
)


def files(params: Params) -> dict[str, dict[str, str]]:
    config = yaml.safe_load(cloud_config(params))
    return {entry["path"]: entry for entry in config["write_files"]}


def shape(value: object) -> object:
    """Reduce a document to its keys and types."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def json_examples() -> list[str]:
    return re.findall(r"```json\n(.*?)```", CONTRACT, re.DOTALL)


def keys_named_after(phrase: str) -> set[str]:
    sentence = CONTRACT.split(phrase, 1)[1].split(".\n", 1)[0]
    return set(re.findall(r"`([a-z+-]+)`", sentence))


def test_a_workers_node_json_has_the_shape_of_the_example() -> None:
    example = json.loads(json_examples()[0])

    written = node_json(worker())

    assert shape(written) == shape(example)
    assert written["network"] == example["network"]
    assert written["labels"] == example["labels"]
    assert written["taints"] == example["taints"]


def test_a_bastions_part_is_the_example() -> None:
    example = json.loads("{" + json_examples()[1] + "}")["bastion"]
    params = dataclasses.replace(bastion(), allowed_sources=("203.0.113.7/32",))

    assert node_json(params)["bastion"] == example


@each_role
def test_every_key_is_present_in_every_role(params: Params) -> None:
    assert list(node_json(params)) == list(json.loads(json_examples()[0]))


def test_what_does_not_apply_is_null() -> None:
    assert node_json(bastion())["k3s"] is None
    assert node_json(master())["bastion"] is None


@each_role
def test_the_file_is_private_and_says_the_same(params: Params) -> None:
    entry = files(params)["/etc/hk3s/node.json"]

    assert entry["permissions"] == "0600"
    assert json.loads(entry["content"]) == node_json(params)


@each_role
def test_only_the_contracts_cloud_config_keys_are_used(params: Params) -> None:
    text = cloud_config(params)

    config = yaml.safe_load(text)
    assert text.startswith("#cloud-config\n")
    table = CONTRACT.split("## User-data", 1)[1].split("There is no", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    allowed = set(re.findall(r"`([a-z_]+)", " ".join(rows)))
    assert set(config) == allowed
    assert set(config["users"][0]) == {
        "name",
        "lock_passwd",
        "hashed_passwd",
        "ssh_authorized_keys",
    }
    assert set(config["ssh_keys"]) == {"ed25519_private", "ed25519_public", "ed25519_certificate"}
    for entry in config["write_files"]:
        assert set(entry) == {"path", "permissions", "owner", "content"}
        assert re.fullmatch(r"0[0-7]{3}", entry["permissions"])
    assert config["runcmd"] == [[f"{LIB}/setup"]]
    assert config["hostname"] == params.name


@each_role
def test_a_path_is_written_once(params: Params) -> None:
    config = yaml.safe_load(cloud_config(params))

    paths = [entry["path"] for entry in config["write_files"]]

    assert len(paths) == len(set(paths))


def test_a_workers_config_uses_the_contracts_keys() -> None:
    config = yaml.safe_load(files(worker())["/etc/rancher/k3s/config.yaml"]["content"])

    assert set(config) == keys_named_after("Keys used in the worker's `config.yaml`:")


def test_a_masters_config_uses_the_contracts_keys() -> None:
    params = dataclasses.replace(
        master(),
        cni="cilium",
        embedded_registry=True,
        apiserver_args=("audit-log-maxage=7",),
        controller_manager_args=("node-monitor-grace-period=30s",),
    )
    config = yaml.safe_load(files(params)["/etc/rancher/k3s/config.yaml"]["content"])

    assert set(config) == keys_named_after("Keys used in the master's:")


def test_the_cas_lie_where_k3s_looks_for_them() -> None:
    written = files(master())

    for name, content in master().pki.tls_files().items():
        entry = written[f"/var/lib/rancher/k3s/server/tls/{name}"]
        assert entry["permissions"] == "0600"
        assert entry["content"].encode() == content


@each_role
def test_readers_of_the_steps_meet_no_secret(params: Params) -> None:
    written = files(params)
    readable = [entry["content"] for entry in written.values() if entry["permissions"] != "0600"]
    readable += [
        written["/etc/hk3s/node.json"]["content"],
        written["/etc/hk3s/node.env"]["content"],
    ]
    secrets = [params.ssh.host_key.private, params.ssh.root_password_hash]
    if isinstance(params, MasterParams):
        secrets += [params.token, *(key.decode() for key in params.pki.tls_files().values())]
    if isinstance(params, WorkerParams):
        secrets.append(params.join_token)

    for content in readable:
        assert not any(secret in content for secret in secrets)
        assert "PRIVATE KEY" not in content


def test_a_worker_knows_no_long_lived_secret_of_the_cluster() -> None:
    text = cloud_config(worker())

    assert master().token not in text
    assert text.count("PRIVATE KEY-----") == 2  # begin and end of its own host key


@each_role
def test_parameters_hide_their_secrets(params: Params) -> None:
    shown = repr(params)

    assert "PRIVATE KEY" not in shown
    assert params.ssh.root_password_hash not in shown
    assert master().token not in shown
    assert worker().join_token not in shown


def test_the_scripts_report_the_contracts_errors() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", CONTRACT, re.MULTILINE)
    promised = {code for _, cell in rows for code in re.findall(r"`([a-z-]+)`", cell)}
    promised.add("nat-failed")

    reported = {error.code for error in JOURNAL_ERRORS}
    for script in SCRIPTS.glob("*.sh"):
        reported |= set(re.findall(r"\bfail ([a-z]+-[a-z-]+)", script.read_text()))

    assert reported == promised
