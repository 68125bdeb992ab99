"""Names of Hetzner objects. A server's name is its hostname, its node's name and its only key."""

import re
from collections.abc import Callable

SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
SUFFIX_LENGTH = 5
LONGEST = 63
"""An RFC 1123 label: node names and hostnames both need it."""

Chooser = Callable[[str], str]
"""Returns one character of the text; `random.choice` in production."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def is_label(text: str) -> bool:
    """Return whether the text is an RFC 1123 label: lower case, digits, inner hyphens, 63 long."""
    return _LABEL.fullmatch(text) is not None


def cluster_object(cluster: str) -> str:
    """Return the name of the cluster's network, firewall and SSH key."""
    return _checked(cluster)


def bastion(cluster: str) -> str:
    """Return the name of the bastion, of its firewall and of its Primary IP."""
    return _checked(f"{cluster}-bastion")


def master(cluster: str, number: int = 1) -> str:
    """Return the name of a master, counted from 1."""
    return _checked(f"{cluster}-master-{number}")


def worker(cluster: str, pool: str, choose: Chooser) -> str:
    """Return a fresh worker name: 36^5 possibilities, so that none is met twice in practice."""
    suffix = "".join(choose(SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))
    return _checked(f"{cluster}-{pool}-{suffix}")


def longest_pool(cluster: str) -> int:
    """Return how long a pool's name may be for its workers' names to fit."""
    return LONGEST - len(cluster) - SUFFIX_LENGTH - 2


def _checked(name: str) -> str:
    if not is_label(name):
        raise ValueError(f"{name!r} is no hostname: a-z, 0-9 and hyphens, at most {LONGEST} long")
    return name
