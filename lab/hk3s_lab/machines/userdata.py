"""Read user-data as cloud-init on Hetzner would, and refuse what the contract does not know.

cloud-init skips keys that it does not know with a warning; here they are an error, because a
misspelt key would be found on a real server only by what is missing later.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

MAX_BYTES = 32_768
"""Hetzner's limit for `user_data` as sent."""

SETUP = "/usr/local/lib/hk3s/setup"
"""The one command of `runcmd`."""

_FIXED: Mapping[str, bool] = {
    "preserve_hostname": False,
    "manage_etc_hosts": True,
    "ssh_pwauth": False,
    "disable_root": False,
    "ssh_deletekeys": True,
}
_KEYS = frozenset({*_FIXED, "hostname", "users", "ssh_keys", "write_files", "runcmd"})
_USER_KEYS = frozenset({"name", "lock_passwd", "hashed_passwd", "ssh_authorized_keys"})
_SSH_KEYS = frozenset({"ed25519_private", "ed25519_public", "ed25519_certificate"})
_FILE_KEYS = frozenset({"path", "content", "permissions", "owner", "encoding"})
_PERMISSIONS = re.compile(r"0?[0-7]{3}")
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HEADER = "#cloud-config"
_MAX_TEXT = 1 << 20


class BadUserData(Exception):
    """User-data that a real server would not boot with as meant; the text names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file on the machine's disk."""

    content: bytes
    mode: int

    @property
    def is_private(self) -> bool:
        """Whether only root can read it."""
        return self.mode & 0o077 == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    """What cloud-init made of the user-data; `files` maps absolute paths."""

    hostname: str
    files: Mapping[str, File]
    authorized_keys: tuple[str, ...]
    root_password_hash: str | None
    ssh_host_keys: Mapping[str, str]


def parse(text: str | None) -> UserData:
    """Return what the machine is told.

    Raises:
        BadUserData: it is missing, too long, not decodable, or says what the contract does not.
    """
    if not text:
        raise BadUserData("no user-data")
    if len(text.encode()) > MAX_BYTES:
        raise BadUserData(f"{len(text.encode())} bytes, {MAX_BYTES} are allowed")
    config = _load(_decode(text))
    unknown = sorted(str(key) for key in config.keys() - _KEYS)
    if unknown:
        raise BadUserData(f"unknown keys: {', '.join(unknown)}")
    for key, wanted in _FIXED.items():
        if key in config and config[key] is not wanted:
            raise BadUserData(f"{key} must be {str(wanted).lower()}")
    hostname = _string(config, "hostname")
    if not _HOSTNAME.fullmatch(hostname):
        raise BadUserData("hostname is no DNS label")
    files = _files(config.get("write_files"))
    _check_runcmd(config.get("runcmd"), files)
    keys, password = _root(config.get("users", []))
    return UserData(
        hostname=hostname,
        files=files,
        authorized_keys=keys,
        root_password_hash=password,
        ssh_host_keys=_strings(config.get("ssh_keys", {}), "ssh_keys", _SSH_KEYS),
    )


def _decode(text: str) -> str:
    if text.startswith(_HEADER):
        return text
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise BadUserData(f"neither {_HEADER} nor base64") from error
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        raw = inflate.decompress(packed, _MAX_TEXT)
    except zlib.error as error:
        raise BadUserData("base64, but not of gzip") from error
    if inflate.unconsumed_tail or not inflate.eof:
        raise BadUserData("the gzip stream is cut off or too long")
    try:
        plain = raw.decode()
    except UnicodeDecodeError as error:
        raise BadUserData("not UTF-8") from error
    if not plain.startswith(_HEADER):
        raise BadUserData(f"the first line is not {_HEADER}")
    return plain


def _load(text: str) -> dict[Any, Any]:
    if text.splitlines()[0].rstrip() != _HEADER:
        raise BadUserData(f"the first line is not {_HEADER}")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadUserData(f"not YAML, line {mark.line + 1 if mark else '?'}") from error
    if not isinstance(config, dict):
        raise BadUserData("not a mapping")
    return config


def _files(entries: object) -> dict[str, File]:
    if not isinstance(entries, list) or not entries:
        raise BadUserData("write_files must be a list with entries")
    files: dict[str, File] = {}
    for index, entry in enumerate(entries):
        place = f"write_files[{index}]"
        if not isinstance(entry, dict):
            raise BadUserData(f"{place} is not a mapping")
        if unknown := sorted(str(key) for key in entry.keys() - _FILE_KEYS):
            raise BadUserData(f"{place}: unknown keys: {', '.join(unknown)}")
        path = _string(entry, "path", place)
        if not path.startswith("/") or str(PurePosixPath(path)) != path or ".." in path.split("/"):
            raise BadUserData(f"{place}: {path!r} is no plain absolute path")
        if path in files:
            raise BadUserData(f"{place}: {path} is written twice")
        permissions = entry.get("permissions")
        if not isinstance(permissions, str) or not _PERMISSIONS.fullmatch(permissions):
            raise BadUserData(f"{place}: permissions must be an octal string such as '0600'")
        if entry.get("owner", "root:root") != "root:root":
            raise BadUserData(f"{place}: owner must be root:root")
        content = _content(entry, place)
        files[path] = File(content=content, mode=int(permissions, 8))
    return files


def _content(entry: Mapping[Any, Any], place: str) -> bytes:
    text = _string(entry, "content", place, empty=True)
    match entry.get("encoding"):
        case None:
            return text.encode()
        case "b64":
            try:
                return base64.b64decode("".join(text.split()), validate=True)
            except binascii.Error as error:
                raise BadUserData(f"{place}: content is not base64") from error
        case _:
            raise BadUserData(f"{place}: encoding must be absent or b64")


def _check_runcmd(runcmd: object, files: Mapping[str, File]) -> None:
    if runcmd != [[SETUP]]:
        raise BadUserData(f"runcmd must be [[{SETUP}]]")
    script = files.get(SETUP)
    if script is None:
        raise BadUserData(f"runcmd names {SETUP}, which write_files does not write")
    if not script.mode & 0o100:
        raise BadUserData(f"{SETUP} is not executable")
    if not script.content.startswith(b"#!"):
        raise BadUserData(f"{SETUP} names no interpreter")


def _root(users: object) -> tuple[tuple[str, ...], str | None]:
    if not isinstance(users, list) or len(users) > 1:
        raise BadUserData("users must be a list with root alone")
    if not users:
        return (), None
    root = users[0]
    if not isinstance(root, dict) or root.get("name") != "root":
        raise BadUserData("users must be a list with root alone")
    if unknown := sorted(str(key) for key in root.keys() - _USER_KEYS):
        raise BadUserData(f"users[0]: unknown keys: {', '.join(unknown)}")
    keys = root.get("ssh_authorized_keys", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BadUserData("users[0]: ssh_authorized_keys must be a list of strings")
    password = root.get("hashed_passwd")
    if password is not None and not (isinstance(password, str) and password.startswith("$6$")):
        raise BadUserData("users[0]: hashed_passwd must be a SHA-512 crypt hash")
    return tuple(keys), password


def _string(config: Mapping[Any, Any], key: str, place: str = "", *, empty: bool = False) -> str:
    value = config.get(key)
    if not isinstance(value, str) or not (value or empty):
        raise BadUserData(f"{place}{': ' if place else ''}{key} must be a string")
    return value


def _strings(value: object, key: str, allowed: frozenset[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BadUserData(f"{key} must be a mapping")
    if unknown := sorted(str(name) for name in value.keys() - allowed):
        raise BadUserData(f"{key}: unknown keys: {', '.join(unknown)}")
    return {name: _string(value, name, key) for name in value}
