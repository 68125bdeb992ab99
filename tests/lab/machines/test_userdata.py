import base64
import json

import pytest

from hk3s_lab.machines import node, userdata
from hk3s_lab.machines.userdata import BadUserData
from lab.machines import told


def test_plain_and_packed_user_data_say_the_same() -> None:
    plain = told.text(told.config())
    assert userdata.parse(plain) == userdata.parse(told.packed(plain))


def test_files_come_with_their_modes_and_decoded() -> None:
    extra = {
        "path": "/etc/extra",
        "content": base64.b64encode(b"\x00\x01").decode(),
        "encoding": "b64",
        "permissions": "600",
        "owner": "root:root",
    }
    files = userdata.parse(told.text(told.config(extra))).files
    assert files["/etc/extra"].content == b"\x00\x01"
    assert files["/etc/extra"].is_private
    assert not files["/usr/local/lib/hk3s/setup"].is_private


def file(**changes: object) -> dict[str, object]:
    return {"path": "/etc/x", "content": "x", "permissions": "0644", **changes}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no user-data"),
        ("", "no user-data"),
        ("#cloud-config\n" + "#" * 32_768, "32768 are allowed"),
        ("#!/bin/sh\n", "neither #cloud-config nor base64"),
        (base64.b64encode(b"#cloud-config\n").decode(), "not of gzip"),
        (told.packed("#include http://x\n"), "first line"),
        (told.packed("#cloud-config\n" + "#" * (1 << 21)), "cut off or too long"),
        ("#cloud-configuration\n{}", "first line"),
        ("#cloud-config\na: [", "not YAML"),
        ("#cloud-config\n- a", "not a mapping"),
        (told.text(told.config(packages=["curl"])), "unknown keys: packages"),
        (told.text(told.config(bootcmd=[["true"]])), "unknown keys: bootcmd"),
        (told.text(told.config(ssh_pwauth=True)), "ssh_pwauth must be false"),
        (told.text(told.config(hostname="A_b")), "no DNS label"),
        (told.text(told.config(runcmd=None)), "runcmd must be"),
        (told.text(told.config(runcmd=["/bin/true"])), "runcmd must be"),
        (told.text(told.config(write_files=[])), "write_files"),
        (told.text(told.config(write_files=[file()])), "does not write"),
        (told.text(told.config(write_files=[{**told.SETUP, "permissions": "0644"}])), "executable"),
        (told.text(told.config(file(permissions=644))), "permissions must be"),
        (told.text(told.config(file(permissions="u+x"))), "permissions must be"),
        (told.text(told.config(file(permissions="0888"))), "permissions must be"),
        (told.text(told.config(file(permissions=None))), "permissions must be"),
        (told.text(told.config(file(path="etc/x"))), "no plain absolute path"),
        (told.text(told.config(file(path="/etc/../x"))), "no plain absolute path"),
        (told.text(told.config(file(), file())), "written twice"),
        (told.text(told.config(file(owner="me:me"))), "owner must be"),
        (told.text(told.config(file(encoding="gz+b64"))), "encoding must be"),
        (told.text(told.config(file(encoding="b64", content="?"))), "not base64"),
        (told.text(told.config(file(content=3))), "content must be a string"),
        (told.text(told.config(file(append=True))), "unknown keys: append"),
        (told.text(told.config(users=[{"name": "me"}])), "root alone"),
        (told.text(told.config(users=[{"name": "root", "sudo": "x"}])), "unknown keys: sudo"),
        (
            told.text(told.config(users=[{"name": "root", "hashed_passwd": "plain"}])),
            "SHA-512",
        ),
        (told.text(told.config(ssh_keys={"rsa_private": "x"})), "unknown keys: rsa_private"),
    ],
)
def test_what_the_contract_does_not_know_is_refused(value: str | None, reason: str) -> None:
    with pytest.raises(BadUserData, match=reason):
        userdata.parse(value)


def read(content: object, permissions: str = "0600") -> node.NodeFile:
    entry = {
        "path": node.PATH,
        "content": content if isinstance(content, str) else json.dumps(content),
        "permissions": permissions,
    }
    return node.read(userdata.parse(told.text(told.config(write_files=[entry, told.SETUP]))))


@pytest.mark.parametrize("role", ["bastion", "master", "worker"])
def test_the_node_file_of_each_role_is_read(role: str) -> None:
    assert read(told.node_json(role)).role == role


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in told.node_json().items() if name != key}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ([], "must be an object"),
        *((without(key), f"lacks {key}") for key in told.node_json()),
        (told.node_json(extra=1), "unknown extra"),
        (told.node_json(schema=2), "schema must be 1"),
        (told.node_json(role="boss"), "role must be"),
        (told.node_json(name="other"), "is not the name"),
        (told.node_json(k3s=None), "k3s must not be null"),
        (told.node_json("bastion", k3s={}), "k3s must be null"),
        (told.node_json(bastion={}), "bastion must be null"),
        (told.node_json("bastion", bastion=None), "bastion must not be null"),
        (told.node_json(taints="x"), "taints must be a list"),
        (told.node_json(labels={"a": 1}), "labels must map"),
        (told.node_json(api={"address": "x", "port": 6443}), "no IPv4 address"),
        (told.node_json(api={"address": "10.4.0.3", "port": 0}), "must be a port"),
        (told.node_json(api={"address": "10.4.0.3", "port": True}), "must be a port"),
        (
            told.node_json(network={"range": "10.4.0.0/16", "gateway": "10.4.0.2", "dns": []}),
            "must be 10.4.0.1",
        ),
        (
            told.node_json(network={"range": "10.4.0.1/16", "gateway": "10.4.0.1", "dns": []}),
            "no IPv4 range",
        ),
    ],
)
def test_a_node_file_that_differs_from_the_contract_is_refused(
    content: object, reason: str
) -> None:
    with pytest.raises(BadUserData, match=reason):
        read(content)


def test_a_node_file_that_others_can_read_is_refused() -> None:
    with pytest.raises(BadUserData, match="0600"):
        read(told.node_json(), permissions="0644")
