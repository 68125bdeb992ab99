"""Workers that are told something wrong, each pool in its own way."""

import asyncio
import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from hk3s_lab.clock import RealClock
from hk3s_lab.kubernetes_client import ApiError
from holds.field import SECRETS, Field, Token
from lab.machines.clusters import Json

K3S, NODE = "/etc/rancher/k3s/config.yaml", "/etc/hk3s/node.json"
FORBIDDEN = "node-restriction.kubernetes.io/team"

Edit = Callable[[str, Json], None]
"""Changes one of the files, given its path and what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a pool's workers go wrong, and the error and the words by which they are refused."""

    error: str
    says: str
    edit: Edit | None = None


def _wrong_ca(path: str, file: Json) -> None:
    if path == K3S:
        file["token"] = re.sub("^K10[0-9a-f]{64}::", f"K10{'0' * 64}::", file["token"])


def _forbidden_label(path: str, file: Json) -> None:
    if path == K3S:
        file["node-label"] = [*file["node-label"], f"{FORBIDDEN}=blue"]
    if path == NODE:
        file["labels"][FORBIDDEN] = "blue"


def _other_name(path: str, file: Json) -> None:
    if path == K3S:
        file["kubelet-arg"] = [*file["kubelet-arg"], "hostname-override=somebody-else"]


FAULTS: Mapping[str, Fault] = {
    "wrong-ca": Fault(
        error="ca-hash-mismatch", says="does not have the expected hash", edit=_wrong_ca
    ),
    "expired": Fault(error="token-rejected", says="does not accept the join token"),
    "label": Fault(error="label-forbidden", says=FORBIDDEN, edit=_forbidden_label),
    "name": Fault(
        error="label-forbidden",
        says='is not allowed to modify node "somebody-else"',
        edit=_other_name,
    ),
    "taken": Fault(error="name-taken", says="another machine joined with this name"),
}
"""By pool."""


def pool_of(server: str) -> str:
    return server.removeprefix("demo-").rpartition("-")[0]


def mistold(server: str, user_data: str) -> str:
    """What a server is told instead, as `Ears.rewrite` takes it."""
    fault = FAULTS.get(pool_of(server))
    if fault is None or fault.edit is None:
        return user_data
    document: dict[str, Any] = yaml.safe_load(user_data)
    for file in document["write_files"]:
        if file["path"] in {K3S, NODE}:
            encoded = file.get("encoding") == "b64"
            content = b64decode(file["content"]).decode() if encoded else file["content"]
            said = yaml.safe_load(content)
            fault.edit(file["path"], said)
            # JSON is YAML, and the reader of node.json insists on it.
            text = yaml.safe_dump(said) if file["path"] == K3S else json.dumps(said)
            file["content"] = b64encode(text.encode()).decode() if encoded else text
    return f"#cloud-config\n{yaml.safe_dump(document, sort_keys=False)}"


async def spoil(field: Field) -> None:
    """Let tokens of one pool end early and take the names of another, until cancelled."""
    done: set[str] = set()
    while True:
        for token in await field.tokens():
            if token.server not in done:
                done.add(token.server)
                with suppress(ApiError):
                    await _SPOILT.get(pool_of(token.server), _leave)(field, token)
        await asyncio.sleep(0.1)


async def _leave(field: Field, token: Token) -> None:
    return


async def _end(field: Field, token: Token) -> None:
    past = (RealClock().now() - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = {"data": {"expiration": b64encode(past.encode()).decode()}}
    await field.cluster.kubernetes.patch(f"{SECRETS}/{token.secret}", patch)


async def _take(field: Field, token: Token) -> None:
    salt = bytes(8)
    key = hashlib.scrypt(b"another", salt=salt, n=1 << 10, r=8, p=1, dklen=64)
    words = f"$1:{salt.hex()}:10:8:1:{b64encode(key).decode().rstrip('=')}"
    await field.create(
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "k3s.cattle.io/node-password",
            "metadata": {"name": f"{token.server}.node-password.k3s"},
            "stringData": {"hash": words},
        },
    )


_SPOILT = {"expired": _end, "taken": _take}
