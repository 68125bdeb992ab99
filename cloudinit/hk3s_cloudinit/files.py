"""A file of user-data, and the package's own scripts as such files."""

import dataclasses
import functools
from importlib import resources

LIB = "/usr/local/lib/hk3s"
ETC = "/etc/hk3s"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One entry of `write_files`, owned by root. `content` may be secret and is not in `repr`."""

    path: str
    content: str = dataclasses.field(repr=False)
    permissions: str = "0644"

    def entry(self) -> dict[str, str]:
        """Return the entry as cloud-config spells it."""
        return {
            "path": self.path,
            "permissions": self.permissions,
            "owner": "root:root",
            "content": self.content,
        }


def script(name: str) -> File:
    """Return a program of `scripts/`, installed under its name without the suffix."""
    return File(path=f"{LIB}/{name.partition('.')[0]}", content=_source(name), permissions="0755")


def library(name: str) -> File:
    """Return a file of `scripts/` that others read, installed under its full name."""
    return File(path=f"{LIB}/{name}", content=_source(name))


@functools.cache
def _source(name: str) -> str:
    """Read a script without its comment lines: they are for readers here, user-data is short."""
    text = resources.files(__package__).joinpath("scripts", name).read_text(encoding="utf-8")
    first, *rest = text.splitlines()
    kept = [line for line in rest if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join([first, *kept, ""])
