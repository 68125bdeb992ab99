"""Whole user-data, a file for each role and OS family. HK3S_GOLDEN=write renews them."""

import dataclasses
import os
import pathlib

import pytest
import yaml

from cloudinit.examples import bastion, in_family, master, worker
from hk3s_cloudinit.files import LIB
from hk3s_cloudinit.minting import ClusterPki, HostKey
from hk3s_cloudinit.node import BastionParams, MasterParams, SshParams, WorkerParams
from hk3s_cloudinit.userdata import _Dumper, cloud_config
from hk3s_data.k3s import OsFamily

GOLDEN = pathlib.Path(__file__).parent / "golden"
SSH = SshParams(
    authorized_keys=("ssh-ed25519 AAAA alice@laptop",),
    host_key=HostKey(
        private="the host's private key\n", public="its public key", certificate="its certificate"
    ),
    root_password_hash="$6$salt$hash",
)
PKI_FILES = {name: f"the content of {name}\n".encode() for name in master().pki.tls_files()}


def fixed(params: BastionParams | MasterParams | WorkerParams) -> str:
    """Render with texts in place of keys, and without the scripts, which are files of their own."""
    params = dataclasses.replace(params, ssh=SSH)
    if isinstance(params, MasterParams):
        params = dataclasses.replace(params, pki=ClusterPki.from_tls_files(PKI_FILES))
    config = yaml.safe_load(cloud_config(params))
    for entry in config["write_files"]:
        if entry["content"].startswith("#") and entry["path"].startswith(LIB):
            entry["content"] = "..."
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=1000)


@pytest.mark.parametrize("family", list(OsFamily))
@pytest.mark.parametrize(
    "params",
    [
        pytest.param(bastion(), id="bastion"),
        pytest.param(master(), id="master"),
        pytest.param(worker(), id="worker"),
    ],
)
def test_golden(
    params: BastionParams | MasterParams | WorkerParams,
    family: OsFamily,
    request: pytest.FixtureRequest,
) -> None:
    name = request.node.callspec.id.replace("-", "_")
    path = GOLDEN / f"{name}.yaml"
    text = fixed(in_family(params, family))
    if os.environ.get("HK3S_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    assert text == path.read_text()
