"""What the lab lends to a machine, read-only: an interpreter, its packages, the control plane.

It stands for what is inside of k3s's one binary. The interpreter is this process's own, so the
host's C library must not be newer than that of the oldest root.
"""

import shlex
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BASE = "/usr/lib/lab"
KUBE = f"{BASE}/bin/kube"
FACTS = f"{BASE}/facts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Binds of a machine (path here -> path there), and the k3s that its installer downloads."""

    binds: Mapping[Path, str]
    environment: Mapping[str, str]

    def program(self, module: str, *, call: str = "") -> str:
        """Return a script that runs a module of this environment, or `call` of it, in a machine."""
        exports = "".join(
            f"export {key}={shlex.quote(value)}\n" for key, value in self.environment.items()
        )
        python = f"{BASE}/python/bin/python3"
        if not call:
            return f'#!/bin/sh\n{exports}exec {python} -m {module} "$@"\n'
        code = f"import sys; from {module} import {call}; sys.argv[0] = {module!r}; {call}()"
        return f'#!/bin/sh\n{exports}exec {python} -c {shlex.quote(code)} "$@"\n'

    def k3s(self) -> bytes:
        """Return the artifact: k3s's command line on top of the lab's control plane."""
        script = self.program("hk3s_lab.linux.k3s").removeprefix("#!/bin/sh\n")
        return (
            "#!/bin/sh\n"
            'case "${1:-}" in\n'
            "kubectl)\n"
            "    shift\n"
            "    export KUBECONFIG=${KUBECONFIG:-/etc/rancher/k3s/k3s.yaml}\n"
            f'    exec {KUBE} kubectl "$@"\n'
            "    ;;\n"
            f"esac\n{script}"
        ).encode()


def find(binary: Path) -> Runtime:
    """Return what this interpreter consists of, and the control plane's `binary`."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binds = {
        Path(sys.executable).resolve(): f"{BASE}/python/bin/python3",
        stdlib: f"{BASE}/python/lib/{version}",
        binary: KUBE,
    }
    library = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("LDLIBRARY"))
    if library.suffix != ".a" and library.exists():
        name = sysconfig.get_config_var("INSTSONAME") or library.name
        binds[library.resolve()] = f"{BASE}/python/lib/{name}"
    places = []
    for number, entry in enumerate(_packages(stdlib)):
        places.append(f"{BASE}/packages/{number}")
        binds[entry] = places[-1]
    environment = {
        "PYTHONHOME": f"{BASE}/python",
        "PYTHONPATH": ":".join(places),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": f"{BASE}/python/lib",
    }
    return Runtime(binds=binds, environment=environment)


def _packages(stdlib: Path) -> list[Path]:
    """Return the directories that modules beyond the standard library come from."""
    entries = [Path(entry) for entry in sys.path if entry]
    return [
        entry
        for entry in dict.fromkeys(entries)
        if entry.is_dir() and entry != stdlib and stdlib not in (*entry.parents, entry.parent)
    ]
