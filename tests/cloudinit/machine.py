"""A directory that stands in for a machine: user-data's files in it, and fake system tools.

The scripts name absolute paths; here each is moved below the directory, and a path that escapes
the move fails the test before anything runs: tests must not touch the machine they run on.
The tools log their arguments to `calls` and answer as a test tells them.
"""

import os
import pathlib
import re
import subprocess

import yaml

from hk3s_cloudinit.node import BastionParams, MasterParams, WorkerParams
from hk3s_cloudinit.userdata import cloud_config

_SYSTEM = r"/(etc|run|sys|root|var|usr/local)(?![\w-])"
_MOVED = re.compile(r"(?<![\w.}])" + _SYSTEM)
_ESCAPED = re.compile(r"(?<!\0)" + _SYSTEM)
_PROGRAMS = ("/usr/local/lib/hk3s/", "/etc/hk3s/network/")
_TOOLS = (
    "systemctl",
    "sysctl",
    "nft",
    "ip",
    "sleep",
    "journalctl",
    "ifdown",
    "sshd",
    "systemd-run",
)


class Machine:
    def __init__(
        self, root: pathlib.Path, params: BastionParams | MasterParams | WorkerParams
    ) -> None:
        self.root = root
        self.tools = root / "tools"
        for entry in yaml.safe_load(cloud_config(params))["write_files"]:
            self.write(entry["path"], entry["content"], int(entry["permissions"], 8))
        for tool in _TOOLS:
            self.tool(tool, "")
        (root / "run/hk3s").mkdir(parents=True)

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.startswith(_PROGRAMS):
            content = _MOVED.sub(rf"{self.root}/\1", content)
            escaped = _ESCAPED.search(content.replace(str(self.root), "\0"))
            assert escaped is None, f"{path}: {escaped}"
        target.write_text(content)
        target.chmod(mode)

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def tool(self, name: str, body: str) -> None:
        """Make a command; its shell `body` says what it prints and how it ends."""
        self.tools.mkdir(exist_ok=True)
        path = self.tools / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.root}/calls\n{body}\n')
        path.chmod(0o755)

    def nic(self, name: str, mac: str) -> None:
        self.write(f"/sys/class/net/{name}/address", f"{mac}\n")

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, program: str, step: str, attempt: int = 1) -> int:
        """Run an installed program as `node` would; returns its exit code."""
        environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HK3S_RUN": str(self.root / "run/hk3s"),
            "HK3S_STEP": step,
            "HK3S_ATTEMPT": str(attempt),
        }
        command = [str(self.root / "usr/local/lib/hk3s" / program)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        self.output = done.stdout + done.stderr
        return done.returncode
