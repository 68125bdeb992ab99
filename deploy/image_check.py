"""Carry out the Dockerfile's build without a container builder.

Every path that it copies must exist and pass .dockerignore; the locked requirements install with
hashes into a fresh environment, the wheel builds without isolation and installs beside them, and
the entry point runs. Exits 1 with one line per problem.
"""

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = re.compile(r"^COPY (?!--from)(?P<arguments>.+)$", re.MULTILINE)


def copied_paths(dockerfile: str) -> list[str]:
    """List the sources of every COPY from the build context."""
    return [
        source
        for match in COPY.finditer(dockerfile)
        for source in shlex.split(match["arguments"])[:-1]
    ]


def ignored(path: str, rules: list[str]) -> bool:
    """Whether .dockerignore keeps a path out of the context: the last matching rule wins."""
    verdict = False
    for rule in rules:
        pattern = rule.removeprefix("!").rstrip("/")
        if fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/"):
            verdict = not rule.startswith("!")
    return verdict


def run(*command: str | Path) -> None:
    """Run a step of the build; its output goes to ours."""
    subprocess.run([str(part) for part in command], check=True, timeout=600)


def main() -> int:
    """Check, then build."""
    sources = copied_paths((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    problems = [f"Dockerfile copies {s}: no such path" for s in sources if not (ROOT / s).exists()]
    problems += [f".dockerignore keeps {s} out" for s in sources if ignored(s, lines)]
    for problem in problems:
        sys.stderr.write(problem + "\n")
    if problems:
        return 1
    with tempfile.TemporaryDirectory(prefix="hk3s-image-") as scratch:
        context, image = Path(scratch, "src"), Path(scratch, "opt")
        for source in sources:
            target = context / source
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source,
                    target,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__"),
                    dirs_exist_ok=True,
                )
            else:
                shutil.copy(ROOT / source, target)
        uv = Path(sys.executable).with_name("uv")
        for name, lock in (("hk3s", "runtime.txt"), ("build", "build.txt")):
            run(uv, "venv", "--quiet", "--seed", "--python", sys.executable, image / name)
            run(
                *(uv, "pip", "install", "--quiet", "--python", image / name / "bin/python"),
                *("--require-hashes", "-r", context / "requirements" / lock),
            )
        wheels = Path(scratch, "wheels")
        run(
            *(image / "build/bin/pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", wheels, context),
        )
        run(image / "hk3s/bin/pip", "install", "--quiet", "--no-deps", *wheels.glob("*.whl"))
        run(image / "hk3s/bin/hk3s-autoscaler", "version")
        run(image / "hk3s/bin/hk3s-autoscaler", "run", "--help")
    return 0


if __name__ == "__main__":
    sys.exit(main())
