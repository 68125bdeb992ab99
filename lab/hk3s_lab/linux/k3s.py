"""k3s's stand-in inside a Linux machine: `k3s server` and `k3s agent`, as its unit runs them.

It reads k3s's own files, does the real join over the machine's own network and runs the lab's
control plane and hollow kubelet. What it writes to the journal when something is wrong are k3s's
words, for the machine's own diagnosis reads them.
"""

import asyncio
import dataclasses
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
import yaml

from hk3s_lab.addresses import Addresses
from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.events import MachineFacts, PrivateNic
from hk3s_lab.kubernetes_client import Access
from hk3s_lab.linux import runtime
from hk3s_lab.machines import k3s_config, node
from hk3s_lab.machines.agent import Agent, Body
from hk3s_lab.machines.heartbeat import NodeGone
from hk3s_lab.machines.master import TLS, Master
from hk3s_lab.machines.node import NodeFile
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Options, Site
from hk3s_lab.machines.userdata import File, UserData
from hk3s_lab.machines.work import together

log = structlog.get_logger()

DISK = Path("/var/lib/rancher/k3s/lab")
KUBECONFIG = Path("/etc/rancher/k3s/k3s.yaml")
KUBELET_KUBECONFIG = Path("/var/lib/rancher/k3s/agent/kubelet.kubeconfig")
_PASSWORD = Path("/etc/rancher/node/password")
_RETRY_SECONDS = 2.0

# k3s v1.36: pkg/clientaccess/token.go, pkg/agent/config/config.go, urfave/cli, the kubelet.
_WORDS = {
    "ca-hash-mismatch": (
        "fatal",
        "Error: token CA hash does not match the Cluster CA certificate hash",
    ),
    "token-rejected": (
        "error",
        "Failed to retrieve agent configuration: /v1-k3s/client-kubelet.crt: 401 Unauthorized",
    ),
    "name-taken": (
        "info",
        "Waiting to retrieve agent configuration; server is not ready: Node password rejected",
    ),
    "label-forbidden": (
        "fatal",
        "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels",
    ),
    "bad-config": ("fatal", "flag provided but not defined"),
    "api-unreachable": ("error", "failed to get CA certs: dial tcp: i/o timeout"),
    "k3s-failed": ("fatal", "k3s exited"),
}
"""Code of step `join` -> level and text of k3s's own line; after a fatal one it exits."""


class DirectAddresses(Addresses):
    """Inside of a machine every address is its own."""

    def private(self, network_id: int, address: str) -> str:  # noqa: ARG002 - the base's signature
        """Return the address."""
        return address

    def range(self, network_id: int, network_range: str) -> str:  # noqa: ARG002 - as above
        """Return the range."""
        return network_range

    def origin(self, local: str) -> tuple[int, str] | None:
        """Return the address; there is one network."""
        return 0, local


class MachineSite(Site):
    """The surroundings as seen from inside: there is no hypervisor to ask."""

    def resolve(self, address: str) -> str | None:
        """Return the address: the machine's own routes lead there."""
        return str(ipaddress.IPv4Address(address))


@dataclasses.dataclass(frozen=True, slots=True)
class _Alone:
    """A hypervisor that knows only the machine itself."""

    facts: MachineFacts

    def machine(self, server_id: int) -> MachineFacts:
        if server_id != self.facts.server_id:
            raise KeyError(server_id)
        return self.facts

    def machines(self) -> tuple[MachineFacts, ...]:
        return (self.facts,)

    def routes(self, network_id: int) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 - unknown here
        return ()


def dump_facts(facts: MachineFacts, options: dict[str, Any]) -> str:
    """Return what a machine is told about its hardware, and the lab's options for it."""
    plain = dataclasses.asdict(facts) | {"user_data": None, "firewall_rules": None, "ssh_keys": ()}
    return json.dumps({"facts": plain, "options": options})


def load_facts(text: str) -> tuple[MachineFacts, Options]:
    """Read what `dump_facts` wrote."""
    content = json.loads(text)
    plain = content["facts"]
    plain["private"] = tuple(
        PrivateNic(**nic | {"alias_ips": tuple(nic["alias_ips"])}) for nic in plain["private"]
    )
    options = content["options"]
    options["images"] = {name: tuple(argv) for name, argv in options.get("images", {}).items()}
    return MachineFacts(**plain), Options(**options)


def main() -> None:
    """Run `k3s server` or `k3s agent` until a signal, or until k3s would exit."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in {"server", "agent"}:
        sys.exit(f"k3s: no command {command!r} in the lab's stand-in")
    os.umask(0o077)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.LogfmtRenderer()]
    )
    try:
        status = asyncio.run(_run(server=command == "server"))
    except asyncio.CancelledError:
        status = 0
    sys.exit(status)


async def _run(*, server: bool) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(_work(server=server))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except _Exit:
        return 1
    return 0


class _Exit(Exception):
    """k3s ends itself; its unit starts it again."""


async def _work(*, server: bool) -> None:
    facts, options = _read_facts()
    files = dict(_files())
    told = node.read(
        UserData(
            hostname=socket.gethostname(),
            files=files,
            authorized_keys=(),
            root_password_hash=None,
            ssh_host_keys={},
        )
    )
    _prepare_disk()
    site = MachineSite(
        hypervisor=_Alone(facts),
        addresses=DirectAddresses(runtime=DISK),
        clock=RealClock(),
        directory=DISK,
        options=options,
    )
    try:
        config = k3s_config.load(files, server=server)
        agent_config = k3s_config.agent_config(config, server=server)
        body = _body(facts, told, files, agent_config.node_ip)
    except StepError as error:
        _say(error)
        raise _Exit from error
    agent = Agent(site, body, agent_config)
    master = Master(site, body, config, _binary) if server else None
    try:
        while True:
            await _join(site, agent, agent_config.server, body, master)
            try:
                await agent.become_ready()
                more = [master.watch(), master.control()] if master else []
                await together(agent.run(), *more)
            except NodeGone:
                # k3s exits when its Node is deleted; its unit brings it back
                raise _Exit from None
    finally:
        await agent.close()
        if master is not None:
            await master.stop(graceful=True)


def _read_facts() -> tuple[MachineFacts, Options]:
    return load_facts(Path(runtime.FACTS).read_text(encoding="utf-8"))


async def _join(
    site: Site, agent: Agent, url: str | None, body: Body, master: Master | None
) -> None:
    """Start the control plane (server) and join, with k3s's patience and k3s's words."""
    while True:
        try:
            if master is not None:
                await master.start()
                if master.plane is not None:
                    _write_private(KUBECONFIG, master.plane.admin_kubeconfig.read_bytes())
                await agent.join(f"https://{body.nic.ip}:{body.node.api_port}")
                await master.label_node()
            else:
                await agent.join(url or "")
        except StepError as error:
            if _say(error):
                raise _Exit from error
            await site.clock.sleep(_RETRY_SECONDS)
        else:
            _write_private(KUBELET_KUBECONFIG, kubeconfig(agent.access))
            notify("READY=1")
            return


def _say(error: StepError) -> bool:
    """Write k3s's line for an error to the journal; tell whether k3s exits after it."""
    level, words = _WORDS[error.code]
    sys.stderr.write(f'level={level} msg="{words}" lab={json.dumps(error.message)}\n')
    sys.stderr.flush()
    return level == "fatal"


def _body(facts: MachineFacts, told: NodeFile, files: dict[str, File], node_ip: str) -> Body:
    nic = next((nic for nic in facts.private if nic.ip == node_ip), None)
    if nic is None:
        raise StepError("k3s-failed", f"{node_ip} is no address of this machine")
    return Body(facts=facts, node=told, nic=nic, files=files, disk=DISK)


def _files() -> Iterator[tuple[str, File]]:
    """Yield the files that k3s reads, with their modes."""
    for top in (node.PATH, "/etc/rancher", TLS):
        path = Path(top)
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                yield str(file), File(content=file.read_bytes(), mode=file.stat().st_mode & 0o777)


def _prepare_disk() -> None:
    DISK.mkdir(mode=0o700, parents=True, exist_ok=True)
    _PASSWORD.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = DISK / "node-password"
    if not link.is_symlink():
        link.symlink_to(_PASSWORD)


async def _binary() -> Path:
    return Path(runtime.KUBE)


def kubeconfig(access: Access) -> bytes:
    """Return a kubeconfig for an access; its certificate and key are beside it as files."""
    directory = KUBELET_KUBECONFIG.parent
    parts = {
        "server-ca.crt": access.ca,
        "client-kubelet.crt": access.certificate,
        "client-kubelet.key": access.key,
    }
    for name, content in parts.items():
        _write_private(directory / name, content or b"")
    user = {
        "client-certificate": str(directory / "client-kubelet.crt"),
        "client-key": str(directory / "client-kubelet.key"),
    }
    cluster = {"server": access.url, "certificate-authority": str(directory / "server-ca.crt")}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "Default", "context": {"cluster": "local", "user": "user"}}],
            "current-context": "Default",
        }
    ).encode()


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)


def notify(state: str) -> None:
    """Tell systemd; without it nothing happens (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send(state.encode())


if __name__ == "__main__":
    main()
