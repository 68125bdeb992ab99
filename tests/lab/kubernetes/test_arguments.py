from dataclasses import replace
from pathlib import Path

import pytest

from hk3s_lab.clock import RealClock
from hk3s_lab.kubernetes import arguments
from hk3s_lab.kubernetes.errors import BadSettings
from hk3s_lab.kubernetes.files import Paths, write_files
from lab.kubernetes import clusters

SPEC = clusters.spec(Path("/master"), 23, clusters.cluster_cas())
PATHS = Paths(root=SPEC.directory)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param((), ("--a=1",), id="default"),
        pytest.param(("a=2",), ("--a=2",), id="replaces"),
        pytest.param(("a=2", "a=3"), ("--a=2", "--a=3"), id="repeats"),
        pytest.param(("a+=2",), ("--a=1", "--a=2"), id="appends"),
        pytest.param(("a-=2",), ("--a=2", "--a=1"), id="prepends"),
        pytest.param(("b",), ("--a=1", "--b=true"), id="no value is true"),
        pytest.param(("--b=x=y",), ("--a=1", "--b=x=y"), id="value with equals sign"),
    ],
)
def test_extra_arguments_mean_what_they_mean_to_k3s(
    extra: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert arguments.merge({"a": "1"}, extra) == expected


def test_all_programs_listen_on_the_masters_own_address_only() -> None:
    for build in (arguments.apiserver, arguments.controller_manager, arguments.scheduler):
        assert "--bind-address=127.23.0.3" in build(SPEC, PATHS)
    assert "--listen-client-urls=https://127.23.0.3:2379" in arguments.etcd(SPEC, PATHS)
    assert "--listen-peer-urls=https://127.23.0.3:2380" in arguments.etcd(SPEC, PATHS)


def test_the_schedulers_own_config_path_gives_way_to_the_one_on_this_machine() -> None:
    flags = arguments.scheduler(SPEC, PATHS)

    assert "--config=/master/etc/scheduler.yaml" in flags
    assert "--config=/etc/rancher/k3s/scheduler.yaml" not in flags


def test_without_a_profile_the_scheduler_gets_its_connection_by_flag() -> None:
    flags = arguments.scheduler(replace(SPEC, scheduler_config=None, scheduler_args=()), PATHS)

    assert "--kubeconfig=/master/cred/scheduler.kubeconfig" in flags


def test_secrets_are_passed_by_file(tmp_path: Path) -> None:
    flags = arguments.apiserver(SPEC, PATHS)
    assert not any(clusters.TOKEN in flag for flag in flags)

    paths = write_files(replace(SPEC, directory=tmp_path), now=RealClock().now())

    modes = {file.stat().st_mode & 0o777 for file in paths.root.rglob("*") if file.is_file()}
    assert modes == {0o600}
    assert paths.token.read_text() == clusters.TOKEN


@pytest.mark.parametrize("text", ["- a list", "a: [", ""])
def test_a_scheduler_configuration_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    spec = replace(SPEC, directory=tmp_path, scheduler_config=text)

    with pytest.raises(BadSettings, match="scheduler's configuration"):
        write_files(spec, now=RealClock().now())
