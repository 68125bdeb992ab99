"""Who gets in: the bastion's allowed sources and the SSH keys (E020 to E029)."""

from collections.abc import Iterator
from ipaddress import IPv4Network

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.sshkeys import UnusableKey, resolve
from hk3s_findings.finding import Finding

ANYWHERE = IPv4Network("0.0.0.0/0")
SOURCES_A_RULE = 100
"""Addresses that Hetzner takes in one firewall rule."""


def somebody_is_allowed(config: ClusterConfig) -> Iterator[Finding]:
    """With an empty list nobody could reach the cluster, its maker included."""
    if not config.bastion.allowed_cidrs:
        yield Finding(
            code="HK3S-E020",
            path=("bastion", "allowedCidrs"),
            cause="nobody may reach the bastion",
            fix="list who may reach SSH and the API, such as your own address: 203.0.113.7/32",
        )


def anywhere_is_spelled_out(config: ClusterConfig) -> Iterator[Finding]:
    """The whole internet is let in only by somebody who says so twice."""
    if config.bastion.allow_from_anywhere:
        return
    for index, network in enumerate(config.bastion.allowed_cidrs):
        if network == ANYWHERE:
            yield Finding(
                code="HK3S-E021",
                path=("bastion", "allowedCidrs", index),
                cause="0.0.0.0/0 opens SSH and the Kubernetes API to the whole internet",
                fix="list your own addresses, or say so with bastion.allowFromAnywhere: true",
            )


def sources_fit_a_rule(config: ClusterConfig) -> Iterator[Finding]:
    """Hetzner limits the sources of a rule."""
    count = len(config.bastion.allowed_cidrs)
    if count > SOURCES_A_RULE:
        yield Finding(
            code="HK3S-E022",
            path=("bastion", "allowedCidrs"),
            cause=f"{count} entries, Hetzner takes {SOURCES_A_RULE} in a firewall rule",
            fix="merge neighbouring ranges",
        )


def keys_are_given(config: ClusterConfig) -> Iterator[Finding]:
    """Without a key Hetzner mails a root password for each server."""
    if not config.ssh.public_keys:
        yield Finding(
            code="HK3S-E025",
            path=("ssh", "publicKeys"),
            cause="no SSH key: Hetzner would mail a root password for every server",
            fix="list a public key, such as ~/.ssh/id_ed25519.pub",
        )


def keys_are_usable(config: ClusterConfig) -> Iterator[Finding]:
    """A key that cannot be read, is private or is malformed opens nothing."""
    for index, entry in enumerate(config.ssh.public_keys):
        try:
            resolve(entry)
        except UnusableKey as error:
            yield Finding(
                code="HK3S-E026",
                path=("ssh", "publicKeys", index),
                cause=str(error),
                fix="give the path of a public key file, or the key itself: ssh-ed25519 AAAA...",
            )


RULES = (
    somebody_is_allowed,
    anywhere_is_spelled_out,
    sources_fit_a_rule,
    keys_are_given,
    keys_are_usable,
)
