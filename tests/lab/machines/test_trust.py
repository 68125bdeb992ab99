import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from hk3s_lab.machines.trust import BadToken, ca_hash, parse_token
from lab.kubernetes.clusters import ca

HASH = "ab" * 32


def test_a_lone_certificate_is_hashed_as_served() -> None:
    own = ca("alone")
    assert ca_hash(own.bundle) == hashlib.sha256(own.bundle).hexdigest()
    assert ca_hash(own.bundle + b"\n") != ca_hash(own.bundle)


def test_a_chain_is_hashed_by_its_root() -> None:
    root = ca("root")
    leaf = ca("leaf", ca("middle", root))
    expected = hashlib.sha256(root.certificate.public_bytes(Encoding.DER)).hexdigest()
    assert ca_hash(leaf.bundle) == expected


def test_certificates_that_are_no_chain_are_hashed_as_served() -> None:
    bundle = ca("one").bundle + ca("another").bundle
    assert ca_hash(bundle) == hashlib.sha256(bundle).hexdigest()


def test_a_bootstrap_token_is_a_bearer() -> None:
    token = parse_token(f"K10{HASH}::abcdef.0123456789abcdef")
    assert (token.ca_hash, token.bearer, token.password) == (HASH, "abcdef.0123456789abcdef", None)


def test_a_server_token_is_a_password() -> None:
    assert parse_token(f"K10{HASH}::server:secret").password == "secret"
    assert parse_token("just-a-secret").password == "just-a-secret"
    assert parse_token("just-a-secret").ca_hash is None


@pytest.mark.parametrize(
    "text",
    ["", "K10", "K10abc::a.b", f"K10{HASH}", f"K10{HASH}::", f"K10{HASH}::nothing"],
)
def test_other_forms_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        parse_token(text)
    assert HASH not in str(caught.value)
    assert "secret" not in repr(parse_token("just-a-secret"))
