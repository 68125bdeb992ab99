"""The secrets of a field, where they belong, and what anybody may read of it."""

import asyncio
import json
from base64 import b64decode

import yaml

from bootstrap.leaks import (
    Leaks,
    command_lines,
    password_hashes,
    readable_by_others,
    unpacked,
    user_data,
)
from holds.field import DEPLOYMENTS, POOLS, REPORT, Field
from holds.replicas import Replica
from holds.writes import BUY, TOKEN

QUOTED = "quoted"
"""The pool whose creates Hetzner refuses in words that quote half of the API token."""


async def vex(field: Field) -> None:
    """Let Hetzner refuse, fail and hang up."""
    half = field.lab.token[:32]
    words = f"limit of 3600 requests per hour for {half} reached"
    error = {"status": 429, "code": "rate_limit_exceeded", "message": words}
    only = {"method": "POST", "path": "^/servers$", "name": f"demo-{QUOTED}-*"}
    await field.fault({"error": error}, match=only)
    failure = {"status": 503, "code": "unavailable", "message": f"no host for {half}"}
    attach = {"method": "POST", "path": "attach_to_network$"}
    await field.fault({"error": failure}, match={**attach, "name": "demo-label-*"}, times=1)
    await field.fault({"drop_after": True}, match={**attach, "name": "demo-taken-*"}, times=1)


async def look(arguments: set[str]) -> None:
    """Note the arguments of all processes, until cancelled."""
    while True:
        arguments.update((await asyncio.to_thread(command_lines)).split("\n"))
        await asyncio.sleep(0.2)


def orders(field: Field) -> list[str]:
    """What servers were told."""
    return [user_data(write.body.encode()) for write in field.ears.effects(*BUY)]


def join_tokens(field: Field) -> list[str]:
    """The secret halves of the join tokens that were ever made."""
    secrets = [json.loads(write.body) for write in field.ears.effects(*TOKEN)]
    return [_told(secret, "token-secret") for secret in secrets]


def _told(secret: dict[str, dict[str, str]], key: str) -> str:
    plain = secret.get("stringData", {}).get(key)
    return plain if plain is not None else b64decode(secret["data"][key]).decode()


def leaks_of(field: Field) -> Leaks:
    """Look for every secret that the daemon, its servers and its cluster have."""
    leaks = Leaks()
    for name, text in _plain(field).items():
        if "KEY" in text:
            leaks.add_keys(name, text)
        else:
            leaks.add(name, *text.split())
    for told in orders(field):
        leaks.add_keys("host keys", told)
        leaks.add("password hashes", *password_hashes(told))
    return leaks


def _plain(field: Field) -> dict[str, str]:
    pki = field.cluster.pki
    return {
        "API token": field.lab.token,
        "daemon's own token": field.kubeconfig["users"][0]["user"]["token"],
        "k3s token": field.cluster.token,
        "join tokens": "\n".join(join_tokens(field)),
        "server CA": pki.server_ca.private_key.decode(),
        "client CA": pki.client_ca.private_key.decode(),
        "request header CA": pki.request_header_ca.private_key.decode(),
        "etcd server CA": pki.etcd_server_ca.private_key.decode(),
        "etcd peer CA": pki.etcd_peer_ca.private_key.decode(),
        "service-account key": pki.service_key.decode(),
        "SSH host CA": field.ssh_host_ca,
    }


async def carriers_of(field: Field) -> dict[str, str]:
    """Where each secret belongs, as the run has put it there: its name and that text."""
    told = "\n".join(orders(field))
    (master,) = [m for m in field.lab.servers if m.name == "demo-master-1"]
    birth = _files(unpacked(master.user_data or ""))
    at_birth = {name: birth for name in _plain(field) if "CA" in name or "service" in name}
    config = field.replicas[-1].log.parent
    return {
        **at_birth,
        "API token": (config / "token").read_text(encoding="utf-8"),
        "daemon's own token": (config / "kubeconfig").read_text(encoding="utf-8"),
        "k3s token": birth,
        "join tokens": _files(told),
        "SSH host CA": (config / "ssh-ca").read_text(encoding="utf-8"),
        "host keys": told,
        "password hashes": told,
    }


def _files(text: str) -> str:
    """User-data with the contents of its files decoded."""
    contents = []
    for document in text.split("#cloud-config")[1:]:
        for file in yaml.safe_load(document)["write_files"]:
            content = file["content"]
            encoded = file.get("encoding") == "b64"
            contents.append(b64decode(content).decode() if encoded else content)
    return "\n".join((text, *contents))


async def shown_by(field: Field, replica: Replica) -> dict[str, str]:
    """Whatever a user of the cluster, of its metrics or of the machine gets to see."""
    client = field.cluster.kubernetes
    async with field.cluster.http.get(replica.metrics_url) as answer:
        metrics = await answer.text()
    files = readable_by_others(field.directory)
    return {
        "log": replica.text,
        "events": json.dumps(await field.events()),
        "metrics": metrics,
        "status": json.dumps(await client.get(REPORT)),
        "pools": json.dumps(await field.listed(POOLS)),
        "nodes": json.dumps(await field.listed("/api/v1/nodes")),
        "workloads": json.dumps(await field.listed(DEPLOYMENTS)),
        "files": "\n".join(str(p) + p.read_text(errors="replace") for p in files) or "none",
    }
