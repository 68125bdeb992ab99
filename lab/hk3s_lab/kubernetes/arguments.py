"""Command lines of the control plane's programs: k3s's defaults with a master's own arguments."""

from collections.abc import Iterable, Mapping

from hk3s_lab.kubernetes.files import Paths
from hk3s_lab.kubernetes.spec import ControlPlaneSpec

ETCD_PORT = 2379
_ETCD_PEER_PORT = 2380
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259


def etcd(spec: ControlPlaneSpec, paths: Paths) -> tuple[str, ...]:
    """One member; its short election makes the start a second faster and costs nothing alone."""
    client_url = f"https://{spec.bind_address}:{ETCD_PORT}"
    peer_url = f"https://{spec.bind_address}:{_ETCD_PEER_PORT}"
    return merge(
        {
            "name": spec.node_name,
            "data-dir": str(paths.etcd_data),
            "listen-client-urls": client_url,
            "advertise-client-urls": client_url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": f"{spec.node_name}={peer_url}",
            "client-cert-auth": "true",
            "trusted-ca-file": str(paths.tls("etcd-server-ca.crt")),
            "cert-file": str(paths.tls("etcd-server.crt")),
            "key-file": str(paths.tls("etcd-server.key")),
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": str(paths.tls("etcd-peer-ca.crt")),
            "peer-cert-file": str(paths.tls("etcd-peer.crt")),
            "peer-key-file": str(paths.tls("etcd-peer.key")),
            "heartbeat-interval": "20",
            "election-timeout": "200",
            "unsafe-no-fsync": "true",  # a lab survives the death of its processes, not of the host
            "log-level": "warn",
        }
    )


def apiserver(spec: ControlPlaneSpec, paths: Paths) -> tuple[str, ...]:
    """kube-apiserver as k3s starts it, on one address only, and the supervisor's own flags."""
    issuer = f"https://kubernetes.default.svc.{spec.cluster_domain}"
    defaults = {
        "bind-address": spec.bind_address,
        "secure-port": str(spec.port),
        "advertise-address": spec.advertise_address,
        "endpoint-reconciler-type": "none",  # Endpoints may not hold a loopback address
        "tls-cert-file": str(paths.tls("apiserver.crt")),
        "tls-private-key-file": str(paths.tls("apiserver.key")),
        "client-ca-file": str(paths.tls("client-ca.crt")),
        "etcd-servers": f"https://{spec.bind_address}:{ETCD_PORT}",
        "etcd-cafile": str(paths.tls("etcd-server-ca.crt")),
        "etcd-certfile": str(paths.tls("etcd-client.crt")),
        "etcd-keyfile": str(paths.tls("etcd-client.key")),
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "enable-bootstrap-token-auth": "true",
        "anonymous-auth": "false",
        "allow-privileged": "true",
        "profiling": "false",
        "service-cluster-ip-range": spec.service_cidr,
        "service-account-issuer": issuer,
        "api-audiences": f"{issuer},k3s",
        "service-account-key-file": str(paths.tls("service.key")),
        "service-account-signing-key-file": str(paths.tls("service.key")),
        "requestheader-client-ca-file": str(paths.tls("request-header-ca.crt")),
        "requestheader-allowed-names": "system:auth-proxy",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": str(paths.tls("front-proxy.crt")),
        "proxy-client-key-file": str(paths.tls("front-proxy.key")),
        "kubelet-certificate-authority": str(paths.tls("server-ca.crt")),
        "kubelet-client-certificate": str(paths.tls("apiserver-to-kubelet.crt")),
        "kubelet-client-key": str(paths.tls("apiserver-to-kubelet.key")),
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
    }
    return merge(defaults, spec.apiserver_args) + _supervisor(spec, paths)


def controller_manager(spec: ControlPlaneSpec, paths: Paths) -> tuple[str, ...]:
    """kube-controller-manager as k3s starts it when its own cloud controller is disabled."""
    kubeconfig = str(paths.kubeconfig("controller-manager"))
    client_ca = str(paths.tls("signing-client-ca.crt"))
    client_key = str(paths.tls("client-ca.key"))
    server_ca = str(paths.tls("signing-server-ca.crt"))
    server_key = str(paths.tls("server-ca.key"))
    defaults = {
        **_component(spec, paths, CONTROLLER_MANAGER_PORT, kubeconfig),
        "kubeconfig": kubeconfig,
        "leader-elect": "false",
        "controllers": "*,tokencleaner",
        "configure-cloud-routes": "false",
        "use-service-account-credentials": "true",
        # the default 20 a second make it spend five seconds on its controllers' tokens at start
        "kube-api-qps": "500",
        "kube-api-burst": "1000",
        "service-account-private-key-file": str(paths.tls("service.key")),
        "root-ca-file": str(paths.tls("server-ca.crt")),
        "allocate-node-cidrs": "true",
        "cluster-cidr": spec.cluster_cidr,
        "service-cluster-ip-range": spec.service_cidr,
        "cluster-signing-kube-apiserver-client-cert-file": client_ca,
        "cluster-signing-kube-apiserver-client-key-file": client_key,
        "cluster-signing-kubelet-client-cert-file": client_ca,
        "cluster-signing-kubelet-client-key-file": client_key,
        "cluster-signing-legacy-unknown-cert-file": client_ca,
        "cluster-signing-legacy-unknown-key-file": client_key,
        "cluster-signing-kubelet-serving-cert-file": server_ca,
        "cluster-signing-kubelet-serving-key-file": server_key,
    }
    return merge(defaults, spec.controller_manager_args)


def scheduler(spec: ControlPlaneSpec, paths: Paths) -> tuple[str, ...]:
    """kube-scheduler; a configuration that was handed over replaces `config=` in the arguments."""
    kubeconfig = str(paths.kubeconfig("scheduler"))
    defaults = _component(spec, paths, SCHEDULER_PORT, kubeconfig)
    if spec.scheduler_config is None:
        defaults |= {"kubeconfig": kubeconfig, "leader-elect": "false"}
        return merge(defaults, spec.scheduler_args)
    defaults["config"] = str(paths.scheduler_config)
    extra = (one for one in spec.scheduler_args if one.lstrip("-").partition("=")[0] != "config")
    return merge(defaults, extra)


def merge(defaults: Mapping[str, str], extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Return `--key=value` flags: what k3s makes of its defaults and a user's `*-arg` list.

    An extra argument replaces the default of its key; several of one key are all passed on;
    `key+=value` and `key-=value` keep the default, before and after it; no value means true.
    """
    given: dict[str, list[str]] = {}
    for argument in extra:
        key, has_value, value = argument.removeprefix("--").partition("=")
        value = value if has_value else "true"
        name = key.rstrip("+-")
        earlier = given.get(name, [defaults[name]] if name in defaults else [])
        match key[len(name) :]:
            case "+":
                given[name] = [*earlier, value]
            case "-":
                given[name] = [value, *earlier]
            case _:
                given[name] = [*given.get(name, []), value]
    merged = {key: [value] for key, value in defaults.items()} | given
    return tuple(f"--{key}={value}" for key, values in merged.items() for value in values)


def _component(spec: ControlPlaneSpec, paths: Paths, port: int, kubeconfig: str) -> dict[str, str]:
    return {
        "bind-address": spec.bind_address,
        "secure-port": str(port),
        "tls-cert-file": str(paths.tls("components.crt")),
        "tls-private-key-file": str(paths.tls("components.key")),
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "profiling": "false",
    }


def _supervisor(spec: ControlPlaneSpec, paths: Paths) -> tuple[str, ...]:
    flags = {
        "k3s-server-ca-file": str(paths.tls("server-ca.crt")),
        "k3s-server-ca-key-file": str(paths.tls("server-ca.key")),
        "k3s-client-ca-cert-file": str(paths.tls("client-ca.crt")),
        "k3s-client-ca-key-file": str(paths.tls("client-ca.key")),
        "k3s-token-file": str(paths.token),
        "k3s-cluster-cidr": spec.cluster_cidr,
        "k3s-service-cidr": spec.service_cidr,
        "k3s-cluster-domain": spec.cluster_domain,
        "k3s-cluster-dns": spec.dns_service_address,
        "k3s-advertise": f"{spec.advertise_address}:{spec.port}",
    }
    if spec.dial_map is not None:
        flags["k3s-dial"] = "=".join(spec.dial_map)
    return merge(flags)
