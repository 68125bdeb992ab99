"""A cluster of booted Debians, bought over the emulated API with user-data the product renders."""

import asyncio
import dataclasses
import datetime as dt
import json
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hk3s_cloudinit import minting, userdata
from hk3s_cloudinit.node import K3sParams, NetworkParams, SshParams, WorkerParams
from hk3s_data.k3s import OsFamily
from hk3s_lab.linux import internet, shell
from hk3s_lab.linux.container import Container
from hk3s_lab.linux.provider import Provider
from lab.machines.clusters import CLOCK, GIB, Cluster, Json, eventually

VERSION = "v1.36.5+k3s1"
WORKERS = {
    "demo-w-enp7s0": ("ubuntu-24.04", "enp7s0", "10.4.1.11"),
    "demo-w-ens10": ("debian-12", "ens10", "10.4.1.12"),
    "demo-w-eth0": ("debian-13", "eth0", "10.4.1.13"),
    "demo-w-old": ("ubuntu-22.04", "ens10", "10.4.1.14"),
}
"""Name -> image, name of the private NIC, address: every shape, every name."""
FAMILIES = {"ubuntu": OsFamily.UBUNTU, "debian": OsFamily.DEBIAN}
BOOT_SECONDS = 300.0
SECRETS = "/api/v1/namespaces/kube-system/secrets"


@dataclass
class LinuxCluster(Cluster):
    """`images` says what a server boots; servers that it does not name boot `ubuntu-24.04`."""

    directory: Path = field(default_factory=Path)
    allowed: tuple[str, ...] = (f"{internet.LAPTOP}/32",)
    images: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        pair = minting.mint_ssh_keypair("laptop")
        self._authorized = pair.public
        key = self.directory / "id"
        key.write_text(pair.private)
        key.chmod(0o600)
        ca = minting.mint_ssh_host_ca()
        self._host_ca = ca.private
        known = self.directory / "known_hosts"
        known.write_text(f"@cert-authority * {ca.public}\n")

    @property
    def linux(self) -> Provider:
        assert self.cloud.linux is not None
        return self.cloud.linux

    def container(self, name: str) -> Container:
        return self.linux.container_of(name)

    async def server(
        self, name: str, user_data: str, ip: str, *, public: bool = False, type_: str = "cx33"
    ) -> Json:
        """Buy a server of the wanted image, attach it and power it on."""
        image = self.images.get(name, "ubuntu-24.04")
        body = {
            "name": name,
            "server_type": type_,
            "image": image,
            "location": "fsn1",
            "start_after_create": False,
            "user_data": user_data,
            "public_net": {"enable_ipv4": public, "enable_ipv6": False},
        }
        created = await self.api("POST", "/servers", body)
        number = self.ids[name] = created["server"]["id"]
        attach = {"network": self.ids["network"], "ip": ip}
        await self.api("POST", f"/servers/{number}/actions/attach_to_network", attach)
        await self.api("POST", f"/servers/{number}/actions/poweron")
        server: Json = (await self.api("GET", f"/servers/{number}"))["server"]
        self.addresses[name] = server["public_net"]["ipv4"]["ip"] if public else ip
        return server

    def ssh(self, name: str) -> SshParams:
        life = dt.timedelta(days=30)
        password = secrets.token_urlsafe(24)
        return SshParams(
            authorized_keys=(self._authorized,),
            host_key=minting.mint_host_key(self._host_ca, (name,), CLOCK.now(), life),
            root_password_hash=minting.password_hash(password, secrets.token_hex(8)),
        )

    def common(self, name: str) -> Json:
        family = FAMILIES[self.images.get(name, "ubuntu").partition("-")[0]]
        network = NetworkParams(ip_range="10.4.0.0/16", os_family=family)
        return super().common(name) | {"network": network}

    async def member(
        self,
        name: str,
        ip: str,
        *,
        ca_hash: str | None = None,
        token_minutes: int = 20,
        sha256: str = "",
        user_data: dict[str, str] | None = None,
    ) -> None:
        """Buy a worker; the options say what is wrong with it, `user_data` replaces texts."""
        text = await self.member_text(
            name, ca_hash=ca_hash, token_minutes=token_minutes, sha256=sha256
        )
        for old, new in (user_data or {}).items():
            assert old in text
            text = text.replace(old, new)
        await self.server(name, userdata.encode(text), ip)

    async def member_text(
        self, name: str, *, ca_hash: str | None = None, token_minutes: int = 20, sha256: str = ""
    ) -> str:
        """Return a worker's cloud-config, and give it its token."""
        token = minting.mint_bootstrap_token(
            name, secrets.token_bytes, CLOCK.now(), dt.timedelta(minutes=token_minutes)
        )
        secret: Json = dict(minting.bootstrap_token_secret(token, name))
        await self.kubernetes.create(SECRETS, secret)
        self.tokens[name] = f"{SECRETS}/{secret['metadata']['name']}"
        params = WorkerParams(
            **self.common(name),
            k3s=K3sParams(version=VERSION, sha256={"amd64": sha256}),
            labels={"hk3s.dev/cluster": "demo", "hk3s.dev/pool": "workers"},
            cores=4,
            memory_bytes=8 * GIB,
            join_token=minting.join_token(ca_hash or self.ca_hash, token),
        )
        return userdata.cloud_config(params)

    async def delete(self, name: str) -> None:
        await self.api("DELETE", f"/servers/{self.ids.pop(name)}")

    async def run(self, name: str, command: str, seconds: float = 60.0) -> str:
        """Run a shell command in a machine; it must succeed."""
        status, output = await self.container(name).execute("sh", "-c", command, seconds=seconds)
        assert status == 0, f"{name}: {command}: {status}: {output}"
        return output

    async def status(self, name: str) -> Json:
        """Return the machine's answer at its status port, as the master gets it."""
        url = f"http://{self.addresses[name]}:9101/status"
        fetch = f"import urllib.request as u; print(u.urlopen('{url}', timeout=3).read().decode())"
        _, output = await self.container("demo-master-1").execute("python3", "-c", fetch)
        try:
            answer: Json = json.loads(output)
        except ValueError:
            return {}
        return answer

    async def error(self, name: str, seconds: float = BOOT_SECONDS) -> str:
        """Wait until a machine reports why it does not get on; return the step and the code."""

        async def ask() -> str | None:
            answer = await self.status(name)
            return f"{answer['step']}: {answer['error']}" if answer.get("error") else None

        return await eventually(f"{name} reports an error", ask, seconds)

    async def ready(self, name: str, seconds: float = BOOT_SECONDS) -> Json:
        """Wait until a Node is Ready; a failure tells where its machine stands."""

        async def ask() -> Json | None:
            node = await self.kubernetes.get(f"/api/v1/nodes/{name}")
            conditions = {one["type"]: one["status"] for one in node["status"]["conditions"]}
            return node if conditions.get("Ready") == "True" else None

        try:
            return await eventually(f"{name} is Ready", ask, seconds)
        except AssertionError as error:
            views = {view.name: dataclasses.asdict(view) for view in self.cloud.machines}
            raise AssertionError(f"{error}; {views.get(name)}") from error

    def ssh_command(self, name: str, *argv: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the ssh command that a user would run from outside."""
        config = self.directory / "ssh_config"
        common = (
            f"  IdentityFile {self.directory / 'id'}\n  IdentitiesOnly yes\n  User root\n"
            f"  UserKnownHostsFile {self.directory / 'known_hosts'}\n"
            "  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10\n"
        )
        blocks = [
            f"Host {host}\n  HostName {address}\n  HostKeyAlias {host}\n{common}"
            + ("" if host == "demo-bastion" else "  ProxyJump demo-bastion\n")
            for host, address in self.addresses.items()
        ]
        config.write_text("".join(blocks))
        return ("ssh", "-F", str(config), *options, name, *argv)


async def attempt(*argv: str, seconds: float = 60.0) -> tuple[int, str]:
    """Run a command of the laptop; return its status and both outputs."""
    status, output, said = await shell.attempt(*argv, seconds=seconds)
    return status, output + said


async def all_of(*work: Coroutine[Any, Any, object]) -> None:
    """Do all of it at once; the first failure ends the rest."""
    async with asyncio.TaskGroup() as tasks:
        for one in work:
            tasks.create_task(one)
