"""Who may log in, and how the server proves who it is."""

from hk3s_cloudinit.files import File
from hk3s_cloudinit.node import SshParams

# A drop-in, read before the image's own settings: sshd keeps the first value it meets.
SSHD_DROP_IN = """\
HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


def ssh_config(params: SshParams) -> dict[str, object]:
    """Return the cloud-config keys for root's log-in and the host key.

    Root gets a password that nobody keeps: an image's own may be expired, which makes sshd turn
    down keys as well.
    """
    return {
        "ssh_pwauth": False,
        "disable_root": False,
        "users": [
            {
                "name": "root",
                "lock_passwd": False,
                "hashed_passwd": params.root_password_hash,
                "ssh_authorized_keys": list(params.authorized_keys),
            }
        ],
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": params.host_key.private,
            "ed25519_public": params.host_key.public,
            "ed25519_certificate": params.host_key.certificate,
        },
    }


def ssh_files() -> list[File]:
    """Return sshd's drop-in."""
    return [File(path="/etc/ssh/sshd_config.d/10-hk3s.conf", content=SSHD_DROP_IN)]
