"""A master's control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from hk3s_lab.clock import Clock, RealClock
from hk3s_lab.kubernetes import arguments
from hk3s_lab.kubernetes.errors import ProcessFailed
from hk3s_lab.kubernetes.files import Paths, write_files
from hk3s_lab.kubernetes.leftovers import remove_leftovers
from hk3s_lab.kubernetes.rest import Endpoint, tls_context
from hk3s_lab.kubernetes.spec import ControlPlaneSpec
from hk3s_lab.kubernetes.supervise import ProcessGroup, Program

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SERVED = (
    "/apis/helm.cattle.io/v1/helmcharts",
    "/apis/helm.cattle.io/v1/helmchartconfigs",
    "/api/v1/namespaces/kube-system/serviceaccounts/default",
    "/api/v1/namespaces/default/serviceaccounts/default",
    "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt",
)
_SETTLE_SECONDS = 30.0
_POLL_SECONDS = 0.05
# A collection at four times the live heap: start-up allocates much and keeps little.
_ENVIRONMENT = {"GOGC": "400", "GOTRACEBACK": "single"}

_log = structlog.get_logger(__name__)


class ControlPlane:
    """Processes of one master; `start` and `stop` may alternate, the cluster's data stays."""

    def __init__(self, spec: ControlPlaneSpec, *, binary: Path, clock: Clock | None = None) -> None:
        self._spec = spec
        self._binary = binary
        self._clock = clock or RealClock()
        self._paths = Paths(root=spec.directory.absolute())
        self._group = ProcessGroup(self._paths.root, self._clock)

    @property
    def admin_kubeconfig(self) -> Path:
        """Full rights on the loopback address; written by `start`."""
        return self._paths.kubeconfig("admin")

    @property
    def kubectl(self) -> tuple[str, ...]:
        """The command that runs kubectl as admin; append its arguments."""
        return (str(self._binary), "kubectl", f"--kubeconfig={self.admin_kubeconfig}")

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs, by name."""
        return self._group.pids

    async def start(self) -> None:
        """Return when the API is ready, all components are healthy and k3s's CRDs are served.

        Raises:
            LabError: bad certificates or settings, or a process failed; nothing is left running.
        """
        began = self._clock.monotonic()
        remove_leftovers(self._paths.root / "run")
        write_files(self._spec, now=self._clock.now())
        try:
            await self._start_processes()
        except ExceptionGroup as several:  # of the components that start together
            await self._group.kill()
            raise several.exceptions[0] from several
        except BaseException:
            await self._group.kill()
            raise
        seconds = round(self._clock.monotonic() - began, 2)
        _log.info("control_plane.ready", node=self._spec.node_name, seconds=seconds)

    async def stop(self) -> None:
        """Shut down in order, as a machine that is told to."""
        await self._group.stop()

    async def kill(self) -> None:
        """End at once, as a machine whose power is cut."""
        await self._group.kill()

    async def watch(self) -> None:
        """Return never; raise ProcessFailed when a process ends on its own."""
        await self._group.watch()

    async def _start_processes(self) -> None:
        spec, paths = self._spec, self._paths
        async with AsyncExitStack() as stack:
            etcd = await stack.enter_async_context(
                self._endpoint(arguments.ETCD_PORT, "etcd-client", ca="etcd-server-ca.crt")
            )
            api = await stack.enter_async_context(self._endpoint(spec.port, "admin"))
            manager = await stack.enter_async_context(
                self._endpoint(arguments.CONTROLLER_MANAGER_PORT, "admin")
            )
            scheduler = await stack.enter_async_context(
                self._endpoint(arguments.SCHEDULER_PORT, "admin")
            )
            await self._start("etcd", arguments.etcd(spec, paths), etcd, "/health")
            await self._start("apiserver", arguments.apiserver(spec, paths), api, "/readyz")
            async with asyncio.TaskGroup() as together:
                together.create_task(_install_crds(api))
                together.create_task(
                    self._start(
                        "controller-manager",
                        arguments.controller_manager(spec, paths),
                        manager,
                        "/healthz",
                    )
                )
                together.create_task(
                    self._start("scheduler", arguments.scheduler(spec, paths), scheduler, "/readyz")
                )
            await self._settle(api)

    async def _settle(self, api: Endpoint) -> None:
        """Wait for what pods need: each proves that another part works, not just answers."""
        served = asyncio.ensure_future(_wait_served(api, self._clock))
        watch = asyncio.ensure_future(self._group.watch())
        try:
            await asyncio.wait({served, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch
            await served
        finally:
            served.cancel()
            watch.cancel()

    def _endpoint(self, port: int, identity: str, ca: str = "server-ca.crt") -> Endpoint:
        context = tls_context(
            ca=self._paths.tls(ca),
            certificate=self._paths.tls(f"{identity}.crt"),
            key=self._paths.tls(f"{identity}.key"),
        )
        return Endpoint(f"https://{self._spec.bind_address}:{port}", context)

    async def _start(
        self, applet: str, flags: tuple[str, ...], endpoint: Endpoint, health: str
    ) -> None:
        async def healthy() -> bool:
            return await endpoint.probe(health)

        await self._group.start(
            Program(
                name=applet,
                argv=(str(self._binary), applet, *flags),
                env=_ENVIRONMENT,
                healthy=healthy,
            )
        )


async def _install_crds(api: Endpoint) -> None:
    """Create the types of k3s's Helm controller, which k3s itself brings."""
    for kind, plural in (("HelmChart", "helmcharts"), ("HelmChartConfig", "helmchartconfigs")):
        await api.create(_CRDS, _helm_crd(kind, plural))


async def _wait_served(api: Endpoint, clock: Clock) -> None:
    deadline = clock.monotonic() + _SETTLE_SECONDS
    for path in _SERVED:
        while not await api.probe(path):
            if clock.monotonic() >= deadline:
                raise ProcessFailed(
                    f"after {_SETTLE_SECONDS:.0f} s there is no {path}; "
                    "the logs of the apiserver and the controller-manager say why"
                )
            await clock.sleep(_POLL_SECONDS)


def _helm_crd(kind: str, plural: str) -> dict[str, Any]:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.helm.cattle.io"},
        "spec": {
            "group": "helm.cattle.io",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": free, "status": free},
                        }
                    },
                    "subresources": {"status": {}},
                }
            ],
        },
    }
