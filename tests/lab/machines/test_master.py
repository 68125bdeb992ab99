"""What keeps a master from starting, before any process is started."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from hk3s_lab.machines import node
from hk3s_lab.machines.agent import Body
from hk3s_lab.machines.master import TLS, Master, cluster_cas
from hk3s_lab.machines.node import NodeFile
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site
from hk3s_lab.machines.userdata import File
from lab.kubernetes.clusters import cluster_cas as make_cas
from lab.machines import sites, told

CONFIG: dict[str, object] = {
    "token": "a-server-token",
    "node-name": "demo-1",
    "node-ip": ("10.4.0.3",),
    "disable-cloud-controller": True,
}
PATHS = {
    "server": "server-ca",
    "client": "client-ca",
    "request_header": "request-header-ca",
    "etcd_server": "etcd/server-ca",
    "etcd_peer": "etcd/peer-ca",
}


def files() -> dict[str, File]:
    cas = make_cas()
    result = {f"{TLS}service.key": File(content=cas.service_key, mode=0o600)}
    for name, path in PATHS.items():
        for kind in ("crt", "key"):
            content = getattr(cas, f"{name}_{kind}")
            result[f"{TLS}{path}.{kind}"] = File(content=content, mode=0o600)
    return result


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sites.site(tmp_path) as (site, _):
        yield site


async def no_binary() -> Path:
    return Path("/nonexistent/control-plane")


async def start(site: Site, disk: Path, given: dict[str, File], **changes: object) -> None:
    body = Body(
        facts=sites.facts(1, "demo-1", "10.4.0.3"),
        node=told_node(),
        nic=sites.nic("10.4.0.3"),
        files=given,
        disk=disk,
    )
    await Master(site, body, {**CONFIG, **changes}, no_binary).start()


def told_node() -> NodeFile:
    return node._parse(told.node_json("master"))


def test_all_that_was_written_is_handed_over() -> None:
    given = files()
    cas = cluster_cas(given)
    contents = {file.content for file in given.values()}
    assert {getattr(cas, one.name) for one in fields(cas)} == contents


@pytest.mark.parametrize("name", ["server-ca.key", "etcd/peer-ca.crt", "service.key"])
def test_a_missing_file_is_named(name: str) -> None:
    given = files()
    del given[TLS + name]
    with pytest.raises(StepError, match=f"bad-config: {TLS}{name} is not written"):
        cluster_cas(given)


def test_a_key_that_others_can_read_is_refused() -> None:
    given = files()
    path = f"{TLS}server-ca.key"
    given[path] = File(content=given[path].content, mode=0o644)
    with pytest.raises(StepError, match="0600"):
        cluster_cas(given)


async def test_a_key_of_another_ca_fails_the_boot_with_a_reason(site: Site, tmp_path: Path) -> None:
    given, other = files(), files()
    given[f"{TLS}client-ca.key"] = other[f"{TLS}client-ca.key"]
    with pytest.raises(StepError) as caught:
        await start(site, tmp_path, given)
    assert caught.value.code == "bad-config"
    assert "PRIVATE KEY" not in caught.value.message


async def test_a_scheduler_profile_that_is_named_must_be_there(site: Site, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"/etc/rancher/k3s/scheduler\.yaml, which is not written"):
        await start(
            site,
            tmp_path,
            files(),
            **{"kube-scheduler-arg": ("config=/etc/rancher/k3s/scheduler.yaml",)},
        )


async def test_a_control_plane_that_does_not_start_is_a_failure_of_k3s(
    site: Site, tmp_path: Path
) -> None:
    with pytest.raises(StepError) as caught:
        await start(site, tmp_path, files())
    assert caught.value.code == "k3s-failed"
