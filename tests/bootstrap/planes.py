"""Control planes as a master of this cluster would run them."""

from pathlib import Path

from hk3s_bootstrap import state
from hk3s_lab.kubernetes.spec import ClusterCAs, ControlPlaneSpec


def spec_of(
    directory: Path, address: str, secrets: state.State, names: tuple[str, ...] = ()
) -> ControlPlaneSpec:
    pki = secrets.pki
    return ControlPlaneSpec(
        directory=directory,
        bind_address=address,
        advertise_address="10.4.0.3",
        node_name="demo-master-1",
        cas=ClusterCAs(
            server_crt=pki.server_ca.certificate,
            server_key=pki.server_ca.private_key,
            client_crt=pki.client_ca.certificate,
            client_key=pki.client_ca.private_key,
            request_header_crt=pki.request_header_ca.certificate,
            request_header_key=pki.request_header_ca.private_key,
            etcd_server_crt=pki.etcd_server_ca.certificate,
            etcd_server_key=pki.etcd_server_ca.private_key,
            etcd_peer_crt=pki.etcd_peer_ca.certificate,
            etcd_peer_key=pki.etcd_peer_ca.private_key,
            service_key=pki.service_key,
        ),
        token=secrets.token,
        tls_sans=(address, *names),
        # Hollow nodes send no heartbeats.
        controller_manager_args=("node-monitor-grace-period=24h",),
    )
