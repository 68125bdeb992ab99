"""The server side of k3s on one machine: its files become a real control plane."""

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog
import yaml

from hk3s_lab.errors import LabError
from hk3s_lab.kubernetes.controlplane import ControlPlane
from hk3s_lab.kubernetes.errors import BadCertificates, BadSettings, ProcessFailed
from hk3s_lab.kubernetes.spec import ClusterCAs, ControlPlaneSpec
from hk3s_lab.kubernetes_client import (
    ApiError,
    ApiUnreachable,
    KubernetesClient,
    access_from_kubeconfig,
)
from hk3s_lab.machines import k3s_config, packaged
from hk3s_lab.machines.agent import Body
from hk3s_lab.machines.ccm import CloudController
from hk3s_lab.machines.k3s_config import ServerConfig
from hk3s_lab.machines.pod_files import write_private
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site
from hk3s_lab.machines.userdata import File

log = structlog.get_logger()

TLS = "/var/lib/rancher/k3s/server/tls/"

Binary = Callable[[], Awaitable[Path]]
"""Returns the control plane's program, building it first if need be."""


class Master:
    """One control plane between two boots; its data stays on the machine's disk."""

    def __init__(
        self, site: Site, body: Body, config: Mapping[str, object], binary: Binary
    ) -> None:
        self._site = site
        self._body = body
        self._config = config
        self._binary = binary
        self._plane: ControlPlane | None = None

    @property
    def plane(self) -> ControlPlane | None:
        """The control plane, once started."""
        return self._plane

    async def start(self) -> None:
        """Start the control plane and deploy what k3s packages.

        Raises:
            StepError: `bad-config`, `k3s-failed` or `api-unreachable`.
        """
        if self._plane is not None:
            return
        server = k3s_config.server_config(self._config)
        spec = self._spec(server)
        plane = ControlPlane(spec, binary=await self._binary(), clock=self._site.clock)
        try:
            await plane.start()
        except (BadCertificates, BadSettings) as error:
            raise StepError("bad-config", str(error)) from error
        except LabError as error:
            raise StepError("k3s-failed", str(error)) from error
        self._plane = plane
        try:
            async with self.admin() as admin:
                await packaged.deploy(admin, server)
        except (ApiError, ApiUnreachable) as error:
            raise StepError("api-unreachable", str(error)) from error

    def admin(self) -> KubernetesClient:
        """Return a client with all rights, as k3s's own controllers have."""
        if self._plane is None:
            raise StepError("k3s-failed", "the control plane does not run")
        return KubernetesClient(access_from_kubeconfig(self._plane.admin_kubeconfig.read_text()))

    async def label_node(self) -> None:
        """Label the master's Node as k3s's server does, since a kubelet must not.

        Raises:
            StepError: `api-unreachable`.
        """
        labels = {"node-role.kubernetes.io/control-plane": "true"}
        if self._config.get("cluster-init"):
            labels["node-role.kubernetes.io/etcd"] = "true"
        try:
            async with self.admin() as admin:
                await admin.patch(
                    f"/api/v1/nodes/{self._body.node.name}", {"metadata": {"labels": labels}}
                )
        except (ApiError, ApiUnreachable) as error:
            raise StepError("api-unreachable", str(error)) from error

    async def control(self) -> None:
        """Run the cloud controller that a chart asks for, until cancelled."""
        async with self.admin() as admin:
            await CloudController(self._site, admin).run()

    async def watch(self) -> None:
        """Return when a process of the control plane died, with the rest of it ended."""
        if self._plane is None:
            return
        try:
            await self._plane.watch()
        except ProcessFailed as error:
            log.warning("master.failed", machine=self._body.node.name, error=str(error))
            await self.stop(graceful=False)

    async def stop(self, *, graceful: bool) -> None:
        """End the control plane, as a shutdown or as a power cut."""
        plane, self._plane = self._plane, None
        if plane is not None:
            await (plane.stop() if graceful else plane.kill())

    def _spec(self, server: ServerConfig) -> ControlPlaneSpec:
        body, site = self._body, self._site
        options = site.options
        manager = list(server.controller_manager_args)
        if options.node_monitor_grace_seconds:
            manager += [
                f"node-monitor-grace-period={options.node_monitor_grace_seconds}s",
                "node-monitor-period=1s",
            ]
        apiserver = [self._on_disk(arg) for arg in server.apiserver_args]
        if server.secrets_encryption:
            apiserver.append(f"encryption-provider-config={self._encryption()}")
        if not server.disable_cloud_controller:
            log.warning("k3s.cloud_controller_ignored", machine=body.node.name)
        return ControlPlaneSpec(
            directory=body.disk / "control-plane",
            bind_address=site.local(body.nic),
            advertise_address=server.advertise_address,
            port=body.node.api_port,
            node_name=body.node.name,
            cas=cluster_cas(body.files),
            token=str(self._config["token"]),
            tls_sans=(body.nic.ip, *server.tls_sans),
            cluster_cidr=server.cluster_cidr,
            service_cidr=server.service_cidr,
            cluster_domain=server.cluster_domain,
            scheduler_config=self._scheduler(server.scheduler_args),
            apiserver_args=tuple(apiserver),
            controller_manager_args=tuple(self._on_disk(arg) for arg in manager),
            scheduler_args=tuple(
                arg for arg in server.scheduler_args if not arg.startswith("config=")
            ),
            dial_map=(
                body.nic.network_range,
                site.addresses.range(body.nic.network_id, body.nic.network_range),
            ),
        )

    def _scheduler(self, args: tuple[str, ...]) -> str | None:
        path = next(
            (arg.removeprefix("config=") for arg in args if arg.startswith("config=")), None
        )
        if path is None:
            return None
        if path not in self._body.files:
            raise StepError("bad-config", f"kube-scheduler-arg names {path}, which is not written")
        return self._body.files[path].content.decode()

    def _on_disk(self, arg: str) -> str:
        """Let an argument that names a file of the machine name its copy on this one."""
        name, _, value = arg.partition("=")
        file = self._body.files.get(value)
        if file is None:
            return arg
        copy = self._body.disk / "root" / value.lstrip("/")
        write_private(copy, file.content)
        return f"{name}={copy}"

    def _encryption(self) -> Path:
        """Return an EncryptionConfiguration with a key of the machine's own, as k3s makes one."""
        path = self._body.disk / "encryption-config.json"
        if not path.exists():
            key = {
                "name": "aescbckey",
                "secret": base64.b64encode(secrets.token_bytes(32)).decode(),
            }
            providers = [{"aescbc": {"keys": [key]}}, {"identity": {}}]
            config = {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "EncryptionConfiguration",
                "resources": [{"resources": ["secrets"], "providers": providers}],
            }
            write_private(path, yaml.safe_dump(config).encode())
        return path


def cluster_cas(files: Mapping[str, File]) -> ClusterCAs:
    """Return the CAs that the master was given.

    k3s would make up what is absent; here that is an error, for then nobody outside could know
    the cluster's identity.

    Raises:
        StepError: `bad-config`: one is absent or readable by others.
    """
    contents: dict[str, bytes] = {}
    for key, path in {
        "server": "server-ca",
        "client": "client-ca",
        "request_header": "request-header-ca",
        "etcd_server": "etcd/server-ca",
        "etcd_peer": "etcd/peer-ca",
    }.items():
        contents[f"{key}_crt"] = _content(files, f"{TLS}{path}.crt")
        contents[f"{key}_key"] = _content(files, f"{TLS}{path}.key")
    return ClusterCAs(service_key=_content(files, f"{TLS}service.key"), **contents)


def _content(files: Mapping[str, File], path: str) -> bytes:
    file = files.get(path)
    if file is None:
        raise StepError("bad-config", f"{path} is not written")
    if not file.is_private:
        raise StepError("bad-config", f"{path} must have mode 0600")
    return file.content
