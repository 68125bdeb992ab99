"""Passwords that nobody will ever know, and their hashes."""

from passlib.hash import sha512_crypt

from hk3s_cloudinit.tokens import RandomBytes, random_text


def random_password(random_bytes: RandomBytes) -> str:
    """Return 32 letters and digits (165 bits)."""
    return random_text(32, random_bytes)


def password_salt(random_bytes: RandomBytes) -> str:
    """Return a salt for `password_hash`: 16 letters and digits, the longest that crypt uses."""
    return random_text(16, random_bytes)


def password_hash(password: str, salt: str) -> str:
    """Return the SHA-512 crypt hash `$6$<salt>$<86 characters>`.

    The default of 5000 rounds is enough for passwords of `random_password`'s strength.
    """
    hashed: str = sha512_crypt.using(salt=salt, rounds=5000).hash(password)
    return hashed
