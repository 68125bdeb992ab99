"""Parameters and secrets as tests use them: one bastion, one master, one worker."""

import dataclasses
import datetime as dt
import functools
import itertools

from hk3s_cloudinit import minting
from hk3s_cloudinit.node import (
    BastionParams,
    Forward,
    K3sParams,
    MasterParams,
    NetworkParams,
    SshParams,
    WorkerParams,
)
from hk3s_data.k3s import OsFamily

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
GIB = 1 << 30


def counting_bytes(count: int) -> bytes:
    """Stand in for randomness: 0, 1, 2, ..."""
    return bytes(itertools.islice(itertools.cycle(range(256)), count))


@functools.cache
def pki() -> minting.ClusterPki:
    """Mint once: RSA keys take their time."""
    return minting.mint_cluster_pki(NOW)


@functools.cache
def ssh() -> SshParams:
    host_ca = minting.mint_ssh_host_ca()
    return SshParams(
        authorized_keys=(minting.mint_ssh_keypair("alice@laptop").public,),
        host_key=minting.mint_host_key(
            host_ca.private, ("demo-machine",), NOW, dt.timedelta(days=3650)
        ),
        root_password_hash=minting.password_hash("secret-password", "abcdefghabcdefgh"),
    )


def network(family: OsFamily = OsFamily.UBUNTU) -> NetworkParams:
    return NetworkParams(ip_range="10.4.0.0/16", os_family=family)


def bastion() -> BastionParams:
    return BastionParams(
        cluster="demo",
        name="demo-bastion",
        network=network(),
        ssh=ssh(),
        api_address="10.4.0.3",
        status_sources=("10.4.0.0/24",),
        private_address="10.4.0.2",
        allowed_sources=("203.0.113.7/32", "198.51.100.0/24"),
        forwards=(Forward(port=6443, to_address="10.4.0.3", to_port=6443),),
    )


def master() -> MasterParams:
    return MasterParams(
        cluster="demo",
        name="demo-master-1",
        network=network(),
        ssh=ssh(),
        api_address="10.4.0.3",
        status_sources=("10.4.0.0/24",),
        k3s=K3sParams(version="v1.36.5+k3s1"),
        labels={"hk3s.dev/cluster": "demo"},
        taints=("node-role.kubernetes.io/control-plane=true:NoSchedule",),
        cores=2,
        memory_bytes=4 * GIB,
        pki=pki(),
        token=minting.server_token(counting_bytes),
        tls_sans=("192.0.2.10",),
    )


def worker() -> WorkerParams:
    token = minting.mint_bootstrap_token(
        "demo-workers-x7k2p", counting_bytes, NOW, dt.timedelta(minutes=20)
    )
    return WorkerParams(
        cluster="demo",
        name="demo-workers-x7k2p",
        network=network(),
        ssh=ssh(),
        api_address="10.4.0.3",
        status_sources=("10.4.0.0/24",),
        k3s=K3sParams(
            version="v1.36.5+k3s1",
            artifacts_url="https://mirror.example/k3s",
            sha256={"amd64": "a" * 64},
        ),
        labels={"hk3s.dev/cluster": "demo", "hk3s.dev/pool": "workers"},
        taints=("dedicated=batch:NoSchedule",),
        cores=4,
        memory_bytes=8 * GIB,
        join_token=minting.join_token("0" * 64, token),
    )


def in_family(
    params: BastionParams | MasterParams | WorkerParams, family: OsFamily
) -> BastionParams | MasterParams | WorkerParams:
    return dataclasses.replace(params, network=network(family))
