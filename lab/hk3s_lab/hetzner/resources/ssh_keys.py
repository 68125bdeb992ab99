"""SSH keys: unique by name and by fingerprint."""

import base64
import binascii
import hashlib
from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import errors, listing, lookup
from hk3s_lab.hetzner.call import CREATED, NO_CONTENT, OK, Answer, Call, Route, timestamp
from hk3s_lab.hetzner.model.records import SshKey

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
    known = call.project.ssh_keys.values()
    lookup.check_name(known, name)
    if any(key.fingerprint == fingerprint for key in known):
        message = "SSH key with the same fingerprint already exists"
        raise errors.not_unique("public_key", message)
    lookup.check_room(call, "ssh_keys", "ssh_key_limit", len(known) + 1)
    key = SshKey(
        id=call.world.new_id(),
        name=name,
        created=call.now,
        labels=labels or {},
        public_key=public_key,
        fingerprint=str(fingerprint),
    )
    call.project.ssh_keys[key.id] = key
    call.touched.append(key.id)
    return Answer(CREATED, {"ssh_key": view(key)})


def list_all(call: Call) -> Answer:
    """List the keys."""
    keys = listing.by_name_and_labels(call, call.project.ssh_keys.values())
    prints = call.values("fingerprint")
    keys = [key for key in keys if not prints or key.fingerprint in prints]
    return listing.page(call, "ssh_keys", listing.ordered(call, keys, listing.BY_ID_OR_NAME), view)


def get(call: Call) -> Answer:
    """Return one key."""
    return Answer(OK, {"ssh_key": view(lookup.wanted(call, call.project.ssh_keys, "ssh_key"))})


def update(call: Call) -> Answer:
    """Change name or labels."""
    key = lookup.wanted(call, call.project.ssh_keys, "ssh_key")
    name, labels = lookup.new_name_and_labels(call.body, key, call.project.ssh_keys.values())
    call.project.ssh_keys[key.id] = changed = replace(key, name=name, labels=labels)
    return Answer(OK, {"ssh_key": view(changed)})


def delete(call: Call) -> Answer:
    """Forget a key; servers keep what they were born with."""
    key = lookup.wanted(call, call.project.ssh_keys, "ssh_key")
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


ROUTES = (
    Route("GET", "/ssh_keys", list_all),
    Route("POST", "/ssh_keys", create, has_body=True),
    Route("GET", "/ssh_keys/{id}", get),
    Route("PUT", "/ssh_keys/{id}", update, has_body=True),
    Route("DELETE", "/ssh_keys/{id}", delete),
)
