"""Join tokens. Time and randomness are arguments."""

import base64
import dataclasses
import datetime as dt
import hashlib
import string
from collections.abc import Callable

RandomBytes = Callable[[int], bytes]
"""Returns that many random bytes: `secrets.token_bytes` outside tests."""

TOKEN_GROUP = "system:bootstrappers:k3s:default-node-token"  # noqa: S105 - a group's name
_TOKEN_ALPHABET = string.ascii_lowercase + string.digits


def server_token(random_bytes: RandomBytes) -> str:
    """Return a new server token: 64 hex digits. It is all of the cluster: masters only."""
    return random_bytes(32).hex()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapToken:
    """A join token of one worker; `expires` is aware UTC."""

    id: str
    secret: str = dataclasses.field(repr=False)
    expires: dt.datetime


def bootstrap_token_id(server_name: str) -> str:
    """Derive the token's id from the server's name: `[a-z0-9]{6}`.

    So a token can be revoked by name without the right to read Secrets.
    """
    digest = hashlib.sha256(server_name.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:6]


def mint_bootstrap_token(
    server_name: str,
    random_bytes: RandomBytes,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> BootstrapToken:
    """Mint the join token of one server; `now` is aware UTC."""
    return BootstrapToken(
        id=bootstrap_token_id(server_name),
        secret=random_text(16, random_bytes),
        expires=(now + lifetime).astimezone(dt.UTC).replace(microsecond=0),
    )


def bootstrap_token_secret(token: BootstrapToken, description: str) -> dict[str, object]:
    """Return the Secret that makes `token` valid, as `k3s token create` would write it.

    Signing is off: k3s runs no bootstrap signer.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"bootstrap-token-{token.id}", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": token.id,
            "token-secret": token.secret,
            "expiration": token.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "false",
            "auth-extra-groups": TOKEN_GROUP,
            "description": description,
        },
    }


def join_token(ca_hash: str, token: BootstrapToken) -> str:
    """Return the full form, which lets the joiner verify the CA before it sends the secret."""
    return f"K10{ca_hash}::{token.id}.{token.secret}"


def random_text(length: int, random_bytes: RandomBytes) -> str:
    """Draw letters and digits evenly: bytes beyond the last whole alphabet are thrown away."""
    limit = 256 - 256 % len(_TOKEN_ALPHABET)
    text = ""
    while len(text) < length:
        drawn = random_bytes(2 * length)
        text += "".join(
            _TOKEN_ALPHABET[byte % len(_TOKEN_ALPHABET)] for byte in drawn if byte < limit
        )
    return text[:length]
