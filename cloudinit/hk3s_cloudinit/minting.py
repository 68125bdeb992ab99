"""Everything secret that a cluster is born with: the public face of four modules."""

from hk3s_cloudinit.certificates import (
    ADMIN_LIFETIME,
    CA_LIFETIME,
    CLOCK_SKEW,
    ClusterPki,
    KeyPair,
    ca_hash,
    mint_admin_certificate,
    mint_cluster_pki,
    render_kubeconfig,
)
from hk3s_cloudinit.passwords import password_hash, password_salt, random_password
from hk3s_cloudinit.sshkeys import (
    HostKey,
    SshKeyPair,
    known_hosts_line,
    mint_host_key,
    mint_ssh_host_ca,
    mint_ssh_keypair,
    ssh_fingerprint_md5,
)
from hk3s_cloudinit.tokens import (
    TOKEN_GROUP,
    BootstrapToken,
    RandomBytes,
    bootstrap_token_id,
    bootstrap_token_secret,
    join_token,
    mint_bootstrap_token,
    server_token,
)

__all__ = [
    "ADMIN_LIFETIME",
    "CA_LIFETIME",
    "CLOCK_SKEW",
    "TOKEN_GROUP",
    "BootstrapToken",
    "ClusterPki",
    "HostKey",
    "KeyPair",
    "RandomBytes",
    "SshKeyPair",
    "bootstrap_token_id",
    "bootstrap_token_secret",
    "ca_hash",
    "join_token",
    "known_hosts_line",
    "mint_admin_certificate",
    "mint_bootstrap_token",
    "mint_cluster_pki",
    "mint_host_key",
    "mint_ssh_host_ca",
    "mint_ssh_keypair",
    "password_hash",
    "password_salt",
    "random_password",
    "render_kubeconfig",
    "server_token",
    "ssh_fingerprint_md5",
]
