"""What cloud-init itself says about our user-data, for every role and family."""

import pytest

from cloudinit.examples import bastion, in_family, master, worker
from hk3s_cloudinit.node import BastionParams, MasterParams, WorkerParams
from hk3s_cloudinit.userdata import cloud_config, encode
from hk3s_data.k3s import OsFamily
from linux.clusters import LinuxCluster

pytestmark = [pytest.mark.linux, pytest.mark.asyncio(loop_scope="session")]

KIB = 1024


@pytest.mark.parametrize("machine", ["demo-master-1", "demo-w-enp7s0"], ids=["22.4", "25.1"])
@pytest.mark.parametrize("family", list(OsFamily))
@pytest.mark.parametrize(
    ("params", "limit"),
    [
        pytest.param(bastion(), 12 * KIB, id="bastion"),
        pytest.param(master(), 24 * KIB, id="master"),
        pytest.param(worker(), 12 * KIB, id="worker"),
    ],
)
async def test_cloud_init_accepts_the_user_data_and_it_is_short(
    cluster: LinuxCluster,
    machine: str,
    family: OsFamily,
    params: BastionParams | MasterParams | WorkerParams,
    limit: int,
) -> None:
    text = cloud_config(in_family(params, family))
    (cluster.container(machine).root / "root/user-data").write_text(text)

    said = await cluster.run(machine, "cloud-init schema --config-file /root/user-data 2>&1")

    assert "Valid" in said
    assert "eprecat" not in said
    assert len(encode(text)) < limit
