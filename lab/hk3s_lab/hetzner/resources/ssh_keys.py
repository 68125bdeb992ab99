"""SSH keys: unique by name and by fingerprint."""

import base64
import binascii
import hashlib
from typing import Any

from hk3s_lab.hetzner import errors, listing
from hk3s_lab.hetzner.call import CREATED, NO_CONTENT, Answer, Call, timestamp
from hk3s_lab.hetzner.model.records import SshKey
from hk3s_lab.hetzner.resources.kind import Kind

_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def create(call: Call) -> Answer:
    """Register a public key."""
    name, labels = call.body.name(required=True), call.body.labels()
    public_key = call.body.text("public_key", required=True).strip()
    fingerprint = fingerprint_of(public_key)
    if public_key and fingerprint is None:
        call.body.note("public_key", "is not a valid SSH public key")
    call.body.check()
    if any(key.fingerprint == fingerprint for key in call.project.ssh_keys.values()):
        message = "SSH key with the same fingerprint already exists"
        raise errors.not_unique("public_key", message)
    KIND.check_new(call, name)
    key = SshKey(
        id=call.world.new_id(),
        name=name,
        created=call.now,
        labels=labels or {},
        public_key=public_key,
        fingerprint=str(fingerprint),
    )
    return Answer(CREATED, {"ssh_key": view(KIND.add(call, key))})


def list_all(call: Call) -> Answer:
    """List the keys."""
    prints = call.values("fingerprint")
    return KIND.list(call, lambda key: not prints or key.fingerprint in prints)


def delete(call: Call) -> Answer:
    """Forget a key; servers keep what they were born with."""
    key = KIND.wanted(call)
    del call.project.ssh_keys[key.id]
    return Answer(NO_CONTENT)


def view(key: SshKey) -> dict[str, Any]:
    """Return the key as the API shows it."""
    return {
        "id": key.id,
        "name": key.name,
        "fingerprint": key.fingerprint,
        "public_key": key.public_key,
        "labels": dict(key.labels),
        "created": timestamp(key.created),
    }


def fingerprint_of(public_key: str) -> str | None:
    """Return the MD5 fingerprint with colons; None when the text is no public key."""
    kind, _, rest = public_key.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return None
    length = int.from_bytes(blob[:4], "big")
    if kind not in _KEY_TYPES or blob[4 : 4 + length] != kind.encode() or "\n" in public_key:
        return None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


KIND = Kind(
    singular="ssh_key",
    table=lambda project: project.ssh_keys,
    view=lambda _call, key: view(key),
    sorts=listing.BY_ID_OR_NAME,
    has_actions=False,
)
ROUTES = KIND.routes(create=create, delete=delete, list_all=list_all)
