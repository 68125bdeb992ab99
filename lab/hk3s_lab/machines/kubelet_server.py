"""The kubelet's own port, 10250: the logs of pods, for the API server alone.

Only what `kubectl logs` needs; pods without a process have an empty log.
"""

import ssl
from pathlib import Path

from aiohttp import web

from hk3s_lab.kubernetes_client import load_pair
from hk3s_lab.machines.join import Identity
from hk3s_lab.machines.kubelet import Kubelet

PORT = 10250
_API_SERVER = "system:kube-apiserver"


class KubeletServer:
    """Serves with the kubelet's certificate; callers must show the API server's."""

    def __init__(self, kubelet: Kubelet, identity: Identity, directory: Path) -> None:
        self._kubelet = kubelet
        self._identity = identity
        self._directory = directory
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> None:
        """Listen on the machine's private address."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, PORT, ssl_context=self._tls()).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_pair(context, self._identity.serving_certificate, self._identity.serving_key)
        context.load_verify_locations(cadata=self._identity.client_ca.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _logs(self, request: web.Request) -> web.Response:
        if not _is_api_server(request):
            raise web.HTTPForbidden
        names = request.match_info
        pod = next(
            (
                pod
                for pod in self._kubelet.pods
                if pod["metadata"]["namespace"] == names["namespace"]
                and pod["metadata"]["name"] == names["pod"]
            ),
            None,
        )
        if pod is None:
            raise web.HTTPNotFound(text="no such pod on this node")
        path = self._directory / f"{pod['metadata']['uid']}.{names['container']}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        if tail := request.query.get("tailLines"):
            lines = text.splitlines(keepends=True)
            text = "".join(lines[max(0, len(lines) - int(tail)) :])
        return web.Response(text=text)


def _is_api_server(request: web.Request) -> bool:
    peer = request.get_extra_info("peercert") or {}
    names = {
        value for part in peer.get("subject", ()) for key, value in part if key == "commonName"
    }
    return _API_SERVER in names
