"""Looks for secrets by their real values, and for pieces of them."""

import base64
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

PIECE = 16
"""Characters of a secret in a row that are too many."""
SHARED = "b3BlbnNzaC1rZXktdjE"
"""How OpenSSH's private keys begin, for a whole line: no secret."""


class Leaks:
    """Finds pieces of secrets in texts; knows them by name, so that none is ever printed."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}
        self._values: set[str] = set()

    def __len__(self) -> int:
        return len(self._values)

    def add(self, name: str, *secrets: str) -> None:
        """Look for values from now on, under one name."""
        for secret in secrets:
            if len(secret) < PIECE:
                raise ValueError(f"{name} is too short to be told from other texts")
            self._values.add(secret)
            for start in range(len(secret) - PIECE + 1):
                self._pieces.setdefault(secret[start : start + PIECE], name)

    def add_keys(self, name: str, text: str) -> None:
        """Look for the private keys in a text: for the lines that are a key's own."""
        self.add(name, *private_lines(text))

    def found_in(self, text: str) -> set[str]:
        """The names of the secrets that a text shows pieces of."""
        windows = {text[start : start + PIECE] for start in range(len(text) - PIECE + 1)}
        return {self._pieces[piece] for piece in windows & self._pieces.keys()}

    def assert_none_in(self, text: str) -> None:
        found = self.found_in(text)
        assert found == set(), f"shows: {sorted(found)}"


def private_lines(text: str) -> Iterator[str]:
    """Lines of private keys, without those that all keys share."""
    inside = False
    for line in (line.strip() for line in text.splitlines()):
        if "PRIVATE KEY" in line:
            inside = "BEGIN" in line
        elif inside and len(line) >= PIECE and not line.startswith(SHARED):
            yield line


def user_data(order: bytes) -> str:
    """The user-data of a POST /servers, as text."""
    return unpacked(str(yaml.safe_load(order)["user_data"]))


def unpacked(user_data: str) -> str:
    """User-data as text, whether it was packed or not."""
    if user_data.startswith("#"):
        return user_data
    return gzip.decompress(base64.b64decode(user_data)).decode()


def password_hashes(text: str) -> Iterable[str]:
    return (word for word in text.replace('"', " ").split() if word.startswith("$6$"))


def command_lines() -> str:
    """Arguments of all processes, of which some end while we look."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


def readable_by_others(directory: Path) -> Iterator[Path]:
    """Files that any other user of the machine could open, from the directory on."""
    for path in directory.iterdir():
        mode = path.stat(follow_symlinks=False).st_mode
        if path.is_symlink():
            continue
        if path.is_dir():
            if mode & 0o011:
                yield from readable_by_others(path)
        elif path.is_file() and mode & 0o044:
            yield path
