"""A pod's volumes as directories of this machine, filled with the node's own credentials.

The Node authorizer lets a kubelet read only what pods bound to it refer to; a pod that could not
be started on a real node for that reason cannot be started here.
"""

import base64
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hk3s_lab.clock import Clock
from hk3s_lab.kubernetes_client import ApiError, KubernetesClient
from hk3s_lab.machines.pod_fields import CannotStart, field_value

Pod = Mapping[str, Any]

_NOT_FOUND = 404
_DEFAULT_TOKEN_SECONDS = 3600
_RENEW_SHARE = 0.8
_IGNORED = frozenset({"hostPath"})
"""Volumes whose absence a local process does not notice: there is no host beneath it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A container's path and what stands for it here."""

    path: str
    host: Path


class PodFiles:
    """The volumes of one pod below `directory`."""

    def __init__(self, client: KubernetesClient, pod: Pod, directory: Path, clock: Clock) -> None:
        self._client = client
        self._pod = pod
        self._namespace = pod["metadata"]["namespace"]
        self.directory = directory
        self.tokens = Tokens(client, pod, clock)

    async def write(self) -> None:
        """Write all volumes anew.

        Raises:
            CannotStart: a source is missing or of a kind that the lab does not know.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for volume in self._pod["spec"].get("volumes") or ():
            await self._write_volume(volume)

    def remove(self) -> None:
        """Remove everything of the pod."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def mounts(self, container: Mapping[str, Any]) -> tuple[Mount, ...]:
        """Return where a container's paths are, the longest path first."""
        mounts = [
            Mount(
                path=mount["mountPath"].rstrip("/"),
                host=self._volume(mount["name"]) / mount.get("subPath", ""),
            )
            for mount in container.get("volumeMounts") or ()
        ]
        return tuple(sorted(mounts, key=lambda mount: -len(mount.path)))

    def _volume(self, name: str) -> Path:
        return self.directory / "volumes" / name

    async def _write_volume(self, volume: Mapping[str, Any]) -> None:
        kind = next(key for key in volume if key != "name")
        target = self._volume(volume["name"])
        if kind in _IGNORED:
            return
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind == "emptyDir":
            return
        sources = volume[kind]["sources"] if kind == "projected" else [volume]
        for source in sources:
            for name, content in (await self._files(source)).items():
                path = (target / name).resolve()
                if not path.is_relative_to(target.resolve()):
                    raise CannotStart("CreateContainerConfigError", f"{name} leaves its volume")
                write_private(path, content)

    async def _files(self, source: Mapping[str, Any]) -> dict[str, bytes]:
        kind, detail = next((key, value) for key, value in source.items() if key != "name")
        match kind:
            case "configMap":
                return await self._keyed("configmaps", detail.get("name"), detail)
            case "secret":
                name = detail.get("secretName") or detail.get("name")
                return await self._keyed("secrets", name, detail)
            case "downwardAPI":
                return {
                    item["path"]: field_value(self._pod, item["fieldRef"]["fieldPath"]).encode()
                    for item in detail.get("items") or ()
                    if "fieldRef" in item
                }
            case "serviceAccountToken":
                seconds = detail.get("expirationSeconds", _DEFAULT_TOKEN_SECONDS)
                token = await self.tokens.get(seconds, detail.get("audience"))
                return {detail["path"]: token.encode()}
            case _:
                raise CannotStart("FailedMount", f"the lab has no volumes of kind {kind}")

    async def _keyed(
        self, collection: str, name: str | None, detail: Mapping[str, Any]
    ) -> dict[str, bytes]:
        content = await read_keys(
            self._client, self._namespace, collection, name or "", optional=detail.get("optional")
        )
        items = detail.get("items")
        if items is None:
            return content
        missing = [item["key"] for item in items if item["key"] not in content]
        if missing and not detail.get("optional"):
            raise CannotStart("FailedMount", f"{collection} {name} lacks {', '.join(missing)}")
        return {item["path"]: content[item["key"]] for item in items if item["key"] in content}


class Tokens:
    """The tokens of a pod's ServiceAccount, each bound to the pod, renewed at 80 % of its life."""

    def __init__(self, client: KubernetesClient, pod: Pod, clock: Clock) -> None:
        self._client = client
        self._pod = pod
        self._clock = clock
        self._known: dict[tuple[int, str | None], tuple[str, float]] = {}

    async def get(self, seconds: int, audience: str | None = None) -> str:
        """Return a token that lives for at least a fifth of `seconds`.

        Raises:
            CannotStart: the API refuses it.
        """
        token, renew = self._known.get((seconds, audience), ("", 0.0))
        if not token or self._clock.monotonic() >= renew:
            token = await self._request(seconds, audience)
            renew = self._clock.monotonic() + _RENEW_SHARE * seconds
            self._known[seconds, audience] = (token, renew)
        return token

    async def _request(self, seconds: int, audience: str | None = None) -> str:
        metadata, spec = self._pod["metadata"], self._pod["spec"]
        account = spec.get("serviceAccountName", "default")
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        bound = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        body: dict[str, Any] = {"expirationSeconds": seconds, "boundObjectRef": bound}
        if audience:
            body["audiences"] = [audience]
        try:
            answer = await self._client.create(
                path,
                {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": body},
            )
        except ApiError as error:
            raise CannotStart("FailedMount", f"no token for {account}: {error.message}") from error
        token: str = answer["status"]["token"]
        return token


async def read_keys(
    client: KubernetesClient,
    namespace: str,
    collection: str,
    name: str,
    *,
    optional: bool | None = False,
) -> dict[str, bytes]:
    """Return a ConfigMap's or Secret's content; nothing for one that may be absent.

    Raises:
        CannotStart: it is absent or the node may not read it.
    """
    try:
        found = await client.get(f"/api/v1/namespaces/{namespace}/{collection}/{name}")
    except ApiError as error:
        if error.status == _NOT_FOUND and optional:
            return {}
        raise CannotStart("CreateContainerConfigError", error.message) from error
    data: dict[str, str] = found.get("data") or {}
    if collection == "secrets":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary: dict[str, str] = found.get("binaryData") or {}
    return {
        **{key: value.encode() for key, value in data.items()},
        **{key: base64.b64decode(value) for key, value in binary.items()},
    }


def write_private(path: Path, content: bytes) -> None:
    """Replace a file, 0600 in directories 0700; a reader sees all of the old or of the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    part.replace(path)


def rewrite(text: str, mounts: Iterable[Mount]) -> str:
    """Replace a container's paths in an argument or a value by those of this machine."""
    by_path = {mount.path: str(mount.host) for mount in mounts}
    if not by_path:
        return text
    paths = "|".join(re.escape(path) for path in by_path)
    inside = re.compile(rf"(?<![\w./-])({paths})(?=/|$|[\s,:;])")
    return inside.sub(lambda match: by_path[match[1]], text)


def rewrite_all(texts: Sequence[str], mounts: Sequence[Mount]) -> list[str]:
    """Rewrite several texts."""
    return [rewrite(text, mounts) for text in texts]
