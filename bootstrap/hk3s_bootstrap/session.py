"""What every command starts from: the file, the project, the local state, the ways to wait."""

import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hk3s_bootstrap import kubeconfig, state
from hk3s_bootstrap.config import DEFAULT_ENDPOINT, ClusterConfig
from hk3s_bootstrap.progress import Reporter
from hk3s_bootstrap.state import State
from hk3s_findings.finding import Finding
from hk3s_hetzner.client import Hetzner
from hk3s_kube.client import Kube
from hk3s_kube.clock import Clock

Connect = Callable[[str], Awaitable[Kube]]
"""Opens an API server by the text of a kubeconfig."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run. `token` never leaves for a log, an error or an argument list."""

    config: ClusterConfig
    hetzner: Hetzner
    endpoint: str
    token: str
    state_directory: Path
    kubeconfig_path: Path
    clock: Clock
    random_bytes: Callable[[int], bytes]
    connect: Connect
    reporter: Reporter

    def load_state(self) -> State | None:
        """Return the cluster's secrets, `None` when this machine has none of them."""
        return state.load(self.state_directory)

    async def open_api(self, secrets: State, address: str) -> Kube:
        """Connect to the cluster's API through the bastion, with a certificate made for now."""
        now = self.clock.now()
        return await self.connect(kubeconfig.render(self.config.cluster, secrets, address, now))


def endpoint_of(config: ClusterConfig, environment: Mapping[str, str]) -> str:
    """Return the base URL of Hetzner's API: the file's, else HCLOUD_ENDPOINT, else Hetzner's."""
    endpoint = config.hetzner.endpoint or environment.get("HCLOUD_ENDPOINT") or DEFAULT_ENDPOINT
    return endpoint.rstrip("/")


def token_of(config: ClusterConfig, environment: Mapping[str, str]) -> tuple[str, Finding | None]:
    """Return the API token, or why there is none that could be sent."""
    name = config.hetzner.token_env
    token = environment.get(name, "").strip()
    path = ("hetzner", "tokenEnv")
    fix = f"export {name}=... with a token of the project (console, Security, API tokens)"
    if not token:
        finding = Finding(
            code="HK3S-E060", path=path, cause=f"the variable {name} is not set", fix=fix
        )
        return "", finding
    if not set(token) <= set(string.ascii_letters + string.digits + "-_"):
        finding = Finding(
            code="HK3S-E061", path=path, cause=f"the content of {name} is no API token", fix=fix
        )
        return "", finding
    return token, None
