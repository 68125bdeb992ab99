import base64
import dataclasses
import gzip
import random

import pytest
import yaml

from cloudinit.examples import bastion, in_family, master, ssh, worker
from hk3s_cloudinit import userdata
from hk3s_cloudinit.node import BastionParams, MasterParams, WorkerParams
from hk3s_cloudinit.userdata import UserDataTooLarge
from hk3s_data.k3s import OsFamily

Params = BastionParams | MasterParams | WorkerParams
KIB = 1024


@pytest.mark.parametrize("family", list(OsFamily))
@pytest.mark.parametrize(
    ("params", "limit"),
    [
        pytest.param(bastion(), 12 * KIB, id="bastion"),
        pytest.param(master(), 24 * KIB, id="master"),
        pytest.param(worker(), 12 * KIB, id="worker"),
    ],
)
def test_what_is_sent_is_small(params: Params, limit: int, family: OsFamily) -> None:
    text = userdata.encode(userdata.cloud_config(in_family(params, family)))

    assert len(text) < limit


def test_a_long_text_comes_back_from_base64_and_gzip() -> None:
    sent = userdata.render_master(master())

    text = gzip.decompress(base64.b64decode(sent)).decode()
    assert text == userdata.cloud_config(master())
    assert yaml.safe_load(text)["hostname"] == "demo-master-1"


def test_a_short_text_is_sent_readable() -> None:
    assert userdata.encode("#cloud-config\n{}\n") == "#cloud-config\n{}\n"


def test_equal_parameters_give_equal_user_data() -> None:
    assert userdata.render_worker(worker()) == userdata.render_worker(worker())
    assert userdata.render_bastion(bastion()) == userdata.render_bastion(bastion())


def test_what_does_not_fit_is_refused_with_both_numbers() -> None:
    noise = random.Random(1).randbytes(40_000).hex()  # noqa: S311 - only incompressible
    params = dataclasses.replace(
        worker(), ssh=dataclasses.replace(ssh(), authorized_keys=(f"ssh-ed25519 {noise}",))
    )

    with pytest.raises(UserDataTooLarge) as caught:
        userdata.render_worker(params)

    assert caught.value.limit == 32_768
    assert caught.value.size > 32_768
    assert str(caught.value.size) in str(caught.value)


def test_the_limit_itself_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = userdata.render_worker(worker())

    monkeypatch.setattr(userdata, "LIMIT", len(sent))
    assert userdata.render_worker(worker()) == sent

    monkeypatch.setattr(userdata, "LIMIT", len(sent) - 1)
    with pytest.raises(UserDataTooLarge):
        userdata.render_worker(worker())
