"""The files of a control plane: certificates, kubeconfigs, the scheduler's configuration.

Written before each start; leaf certificates are made anew each time.
"""

import base64
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from hk3s_lab.kubernetes import pki
from hk3s_lab.kubernetes.errors import BadSettings
from hk3s_lab.kubernetes.spec import ControlPlaneSpec

_LEAF_LIFE = timedelta(days=365)  # as k3s
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the files of a control plane lie, all below its directory."""

    root: Path

    def tls(self, name: str) -> Path:
        """Return a certificate or key, such as `apiserver.crt`."""
        return self.root / "tls" / name

    def kubeconfig(self, user: str) -> Path:
        """Return a component's kubeconfig."""
        return self.root / "cred" / f"{user}.kubeconfig"

    @property
    def token(self) -> Path:
        """The server token."""
        return self.root / "cred" / "token"

    @property
    def scheduler_config(self) -> Path:
        """The scheduler's configuration with the connection filled in."""
        return self.root / "etc" / "scheduler.yaml"

    @property
    def etcd_data(self) -> Path:
        """What survives a stop."""
        return self.root / "etcd"


def write_files(spec: ControlPlaneSpec, *, now: datetime) -> Paths:
    """Write everything the processes read; all of it 0600 in 0700 directories.

    Raises:
        BadCertificates: a CA cannot sign.
        BadSettings: the scheduler's configuration is not a YAML mapping.
    """
    paths = Paths(root=spec.directory.absolute())
    for folder in (paths.root, *(paths.root / name for name in ("tls", "cred", "etc", "etcd"))):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_authorities(spec, paths)
    _write_leaves(spec, paths, now)
    for user in ("admin", "controller-manager", "scheduler"):
        _write_private(paths.kubeconfig(user), _kubeconfig(spec, paths, user))
    _write_private(paths.token, spec.token.encode())
    if spec.scheduler_config is not None:
        _write_private(paths.scheduler_config, _scheduler_config(spec.scheduler_config, paths))
    return paths


def _write_authorities(spec: ControlPlaneSpec, paths: Paths) -> None:
    cas = spec.cas
    for name, content in {
        "server-ca.crt": cas.server_crt,
        "server-ca.key": cas.server_key,
        "client-ca.crt": cas.client_crt,
        "client-ca.key": cas.client_key,
        "request-header-ca.crt": cas.request_header_crt,
        "etcd-server-ca.crt": cas.etcd_server_crt,
        "etcd-peer-ca.crt": cas.etcd_peer_crt,
        "service.key": cas.service_key,
    }.items():
        _write_private(paths.tls(name), content)


def _write_leaves(spec: ControlPlaneSpec, paths: Paths, now: datetime) -> None:
    cas = spec.cas
    server = pki.load_authority(cas.server_crt, cas.server_key)
    client = pki.load_authority(cas.client_crt, cas.client_key)
    request_header = pki.load_authority(cas.request_header_crt, cas.request_header_key)
    etcd_server = pki.load_authority(cas.etcd_server_crt, cas.etcd_server_key)
    etcd_peer = pki.load_authority(cas.etcd_peer_crt, cas.etcd_peer_key)
    local = ("localhost", "127.0.0.1", "::1", spec.bind_address)
    # kube-controller-manager refuses to sign with a bundle; k3s hands it the first one alone, too
    _write_private(paths.tls("signing-server-ca.crt"), server.first)
    _write_private(paths.tls("signing-client-ca.crt"), client.first)
    leaves = {
        "apiserver": (server, pki.serving("kube-apiserver", *_apiserver_names(spec), *local)),
        "components": (server, pki.serving("localhost", *local)),
        "apiserver-to-kubelet": (client, pki.APISERVER_TO_KUBELET),
        "admin": (client, pki.ADMIN),
        "controller-manager": (client, pki.CONTROLLER_MANAGER),
        "scheduler": (client, pki.SCHEDULER),
        "front-proxy": (request_header, pki.FRONT_PROXY),
        "etcd-server": (etcd_server, pki.serving("etcd-server", spec.node_name, *local)),
        "etcd-client": (etcd_server, pki.ETCD_CLIENT),
        "etcd-peer": (etcd_peer, pki.peer("etcd-peer", spec.node_name, *local)),
    }
    for name, (authority, subject) in leaves.items():
        pair = pki.issue(
            authority, subject, not_before=now - _CLOCK_SKEW, not_after=now + _LEAF_LIFE
        )
        _write_private(paths.tls(f"{name}.crt"), pair.certificate)
        _write_private(paths.tls(f"{name}.key"), pair.key)


def _apiserver_names(spec: ControlPlaneSpec) -> tuple[str, ...]:
    return (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{spec.cluster_domain}",
        spec.node_name,
        spec.advertise_address,
        spec.api_service_address,
        *spec.tls_sans,
    )


def _kubeconfig(spec: ControlPlaneSpec, paths: Paths, user: str) -> bytes:
    def inline(name: str) -> str:
        return base64.b64encode(paths.tls(name).read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "default",
                "cluster": {
                    "server": spec.url,
                    "certificate-authority-data": inline("server-ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": inline(f"{user}.crt"),
                    "client-key-data": inline(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": user}}],
        "current-context": "default",
    }
    return yaml.safe_dump(content, sort_keys=False).encode()


def _scheduler_config(text: str, paths: Paths) -> bytes:
    """Point the connection at our kubeconfig; kube-scheduler ignores --kubeconfig with --config."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadSettings(f"the scheduler's configuration is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise BadSettings(
            "the scheduler's configuration is not a mapping; see KubeSchedulerConfiguration"
        )
    connection = config.get("clientConnection") or {}
    config["clientConnection"] = {**connection, "kubeconfig": str(paths.kubeconfig("scheduler"))}
    config["leaderElection"] = {"leaderElect": False}
    return yaml.safe_dump(config, sort_keys=False).encode()


def _write_private(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old or the new content, never a part."""
    unfinished = path.with_name(f".{path.name}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.rename(path)
