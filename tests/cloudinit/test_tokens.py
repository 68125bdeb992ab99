import datetime as dt
import re

from passlib.hash import sha512_crypt

from cloudinit.examples import NOW, counting_bytes
from hk3s_cloudinit import minting

LIFETIME = dt.timedelta(minutes=20)


def mint(name: str = "demo-workers-x7k2p") -> minting.BootstrapToken:
    return minting.mint_bootstrap_token(name, counting_bytes, NOW, LIFETIME)


def test_a_server_token_is_not_taken_for_a_bootstrap_token() -> None:
    token = minting.server_token(counting_bytes)

    assert re.fullmatch(r"[0-9a-f]{64}", token)


def test_a_bootstrap_token_has_the_form_that_kubernetes_wants() -> None:
    token = mint()

    assert re.fullmatch(r"[a-z0-9]{6}", token.id)
    assert re.fullmatch(r"[a-z0-9]{16}", token.secret)
    assert token.expires == NOW + LIFETIME


def test_the_id_follows_from_the_servers_name_alone() -> None:
    assert mint().id == minting.bootstrap_token_id("demo-workers-x7k2p")
    assert mint().id != minting.bootstrap_token_id("demo-workers-x7k2q")


def test_the_secret_is_no_part_of_repr() -> None:
    token = mint()

    assert token.secret not in repr(token)


def test_the_secret_of_a_token_is_as_k3s_writes_it() -> None:
    token = mint()

    assert minting.bootstrap_token_secret(token, "hk3s node x") == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"bootstrap-token-{token.id}", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": token.id,
            "token-secret": token.secret,
            "expiration": "2026-11-23T12:20:00Z",
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "false",
            "auth-extra-groups": "system:bootstrappers:k3s:default-node-token",
            "description": "hk3s node x",
        },
    }


def test_a_join_token_pins_the_ca() -> None:
    token = mint()

    assert minting.join_token("ab" * 32, token) == f"K10{'ab' * 32}::{token.id}.{token.secret}"


def test_bytes_beyond_the_last_whole_alphabet_are_thrown_away() -> None:
    draws = iter([bytes([252, 253, 254, 255] * 8), bytes(range(32))])

    token = minting.mint_bootstrap_token("x", lambda _: next(draws), NOW, LIFETIME)

    assert token.secret == "abcdefghijklmnop"


def test_a_password_hash_is_sha512_crypt_and_verifies() -> None:
    password = minting.random_password(counting_bytes)

    hashed = minting.password_hash(password, minting.password_salt(counting_bytes))

    assert len(password) == 32
    assert re.fullmatch(r"\$6\$[a-z0-9]{16}\$[./0-9A-Za-z]{86}", hashed)
    assert sha512_crypt.verify(password, hashed)
