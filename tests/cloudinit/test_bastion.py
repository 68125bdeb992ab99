import dataclasses

import pytest

from cloudinit.examples import bastion
from hk3s_cloudinit.bastion import ruleset


def chain(name: str, rules: str) -> list[str]:
    body = rules.split(f"chain {name} {{", 1)[1].split("  }\n", 1)[0]
    return [line.strip() for line in body.strip().splitlines()]


def test_the_mss_is_clamped_before_anything_is_accepted() -> None:
    rules = chain("forward", ruleset(bastion()))

    assert rules[0].endswith("policy drop;")
    assert "maxseg" in rules[1]
    assert "accept" in rules[2]


def test_callers_are_forwarded_with_the_bastions_private_address() -> None:
    rules = ruleset(bastion())

    assert 'iifname "@WAN@" ip saddr @allowed tcp dport 6443 dnat ip to 10.4.0.3:6443' in chain(
        "prerouting", rules
    )
    assert "ct status dnat ip daddr 10.4.0.3 tcp dport 6443 snat ip to 10.4.0.2" in chain(
        "postrouting", rules
    )


def test_without_allowed_sources_the_set_is_empty() -> None:
    rules = ruleset(dataclasses.replace(bastion(), allowed_sources=()))

    assert "elements" not in rules
    assert "ip saddr @allowed tcp dport 22 accept" in chain("input", rules)


@pytest.mark.parametrize("source", ["2001:db8::/32", "everyone", "10.0.0.1/8"])
def test_a_source_that_is_no_ipv4_network_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"permitted|host bits|Expected"):
        ruleset(dataclasses.replace(bastion(), allowed_sources=(source,)))


def test_private_addresses_mean_nothing_outside() -> None:
    """On either side of a packet, and before any rule that forwards."""
    rules = chain("outside", ruleset(bastion()))

    assert "hook prerouting priority -300" in rules[0]
    assert rules[1:] == [
        f'iifname "@WAN@" ip {side} {bastion().network.ip_range} drop'
        for side in ("saddr", "daddr")
    ]


def test_no_protocol_needs_a_name() -> None:
    """Images without /etc/protocols know none, and a bastion without rules serves nobody."""
    assert "meta l4proto { 1, 58 } accept" in "\n".join(chain("input", ruleset(bastion())))
