"""The command line and environment of a container that runs as a process of this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from hk3s_lab.kubernetes_client import Access, KubernetesClient
from hk3s_lab.machines.pod_fields import CannotStart, expand, field_value
from hk3s_lab.machines.pod_files import PodFiles, read_keys, rewrite, rewrite_all, write_private

_TOKEN_SECONDS = 24 * 3600
"""Clients read a kubeconfig's token once; this outlives any lab's use of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to execute; the environment may hold secrets."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node adds to its processes."""

    address: str
    """The node's mapped address, where processes listen."""
    proxy_url: str
    api: Access
    images: Mapping[str, tuple[str, ...]]


def image_name(image: str) -> str:
    """Return an image's name without tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


async def build(
    client: KubernetesClient,
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    files: PodFiles,
    node: NodeFacts,
) -> Command:
    """Return a container's command as its image, spec and node decide it.

    Raises:
        CannotStart: a reference of the environment cannot be resolved, or `command` names another
            program than the image table does.
    """
    mounts = files.mounts(container)
    values = await _values(client, pod, container)
    spec_env = {name: rewrite(value, mounts) for name, value in values.items()}
    prefix = node.images[image_name(container["image"])]
    command = container.get("command") or prefix[-1:]
    if PurePosixPath(command[0]).name != PurePosixPath(prefix[-1]).name:
        raise CannotStart("RunContainerError", f"the image has no {command[0]} in this lab")
    arguments = [
        expand(argument, values) for argument in (*command[1:], *(container.get("args") or ()))
    ]
    home = files.directory / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "HOSTNAME": pod["metadata"]["name"],
        "HTTP_PROXY": node.proxy_url,
        "http_proxy": node.proxy_url,
        **_no_proxy(node),
        "HK3S_BIND_ADDRESS": node.address,
        "PYTHONUNBUFFERED": "1",
        **spec_env,
    }
    if pod["spec"].get("automountServiceAccountToken", True):
        path = files.directory / "kubeconfig"
        write_private(path, await kubeconfig(client, pod, files, node.api))
        env["KUBECONFIG"] = str(path)
    return Command(argv=(*prefix, *rewrite_all(arguments, mounts)), env=env)


def _no_proxy(node: NodeFacts) -> dict[str, str]:
    # Not every client reads ranges in NO_PROXY, so the apiserver is named as well.
    api = node.api.url.removeprefix("https://").partition(":")[0]
    value = f"localhost,127.0.0.1,127.0.0.0/8,{api},{node.address}"
    return {"NO_PROXY": value, "no_proxy": value}


async def kubeconfig(
    client: KubernetesClient, pod: Mapping[str, Any], files: PodFiles, api: Access
) -> bytes:
    """Return a kubeconfig for the pod's ServiceAccount; the CA is the cluster's published one.

    Raises:
        CannotStart: there is no such account, or the CA is not published in the namespace yet.
    """
    namespace = pod["metadata"]["namespace"]
    published = await read_keys(client, namespace, "configmaps", "kube-root-ca.crt")
    ca = files.directory / "ca.crt"
    write_private(ca, published["ca.crt"])
    token = await files.tokens.get(_TOKEN_SECONDS)
    cluster = {"server": api.url, "certificate-authority": str(ca)}
    if api.server_name:
        cluster["tls-server-name"] = api.server_name
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "pod", "user": {"token": token}}],
            "contexts": [
                {
                    "name": "pod",
                    "context": {"cluster": "lab", "user": "pod", "namespace": namespace},
                }
            ],
            "current-context": "pod",
        }
    ).encode()


async def _values(
    client: KubernetesClient, pod: Mapping[str, Any], container: Mapping[str, Any]
) -> dict[str, str]:
    values: dict[str, str] = {}
    namespace = pod["metadata"]["namespace"]
    for source in container.get("envFrom") or ():
        kind, detail = next((k, v) for k, v in source.items() if k.endswith("Ref"))
        collection = "secrets" if kind == "secretRef" else "configmaps"
        found = await read_keys(
            client, namespace, collection, detail["name"], optional=detail.get("optional")
        )
        prefix = source.get("prefix", "")
        values.update({prefix + key: value.decode() for key, value in found.items()})
    for entry in container.get("env") or ():
        value = await _value(client, pod, container, entry)
        if value is not None:
            values[entry["name"]] = expand(value, values)
    return values


async def _value(
    client: KubernetesClient,
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    entry: Mapping[str, Any],
) -> str | None:
    source = entry.get("valueFrom")
    if source is None:
        return str(entry.get("value", ""))
    kind, detail = next(iter(source.items()))
    match kind:
        case "fieldRef":
            return field_value(pod, detail["fieldPath"])
        case "resourceFieldRef":
            return _resource(container, detail["resource"])
        case "secretKeyRef" | "configMapKeyRef":
            collection = "secrets" if kind == "secretKeyRef" else "configmaps"
            found = await read_keys(
                client,
                pod["metadata"]["namespace"],
                collection,
                detail["name"],
                optional=detail.get("optional"),
            )
            if detail["key"] in found:
                return found[detail["key"]].decode()
            if detail.get("optional"):
                return None
            raise CannotStart(
                "CreateContainerConfigError",
                f"couldn't find key {detail['key']} in {collection} {detail['name']}",
            )
        case _:
            raise CannotStart("CreateContainerConfigError", f"unsupported valueFrom {kind}")


def _resource(container: Mapping[str, Any], name: str) -> str:
    kind, _, resource = name.partition(".")
    return str(((container.get("resources") or {}).get(kind) or {}).get(resource, "0"))
