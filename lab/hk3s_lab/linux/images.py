"""Debian roots: made once per recipe by mmdebstrap, kept in the user's cache directory.

A cached root is only ever read: each server gets a writable layer of its own above it.
"""

import datetime as dt
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hk3s_lab.clock import Clock
from hk3s_lab.linux import recipe, shell
from hk3s_lab.linux.recipe import Release, Shape

Progress = Callable[[str], None]

_BUILD_SECONDS = 900.0
_LOCK_SECONDS = 0.5
_YEARS = dt.timedelta(days=3650)
_CA_USAGE = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
_CA_PATH = "usr/local/share/ca-certificates/hk3s-lab.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The read-only layers of a server's disk, the uppermost first."""

    shape: Shape
    layers: tuple[Path, ...]


def cache_directory() -> Path:
    """Return where roots are kept: `hk3s-lab/linux` in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hk3s-lab" / "linux"


class Images:
    """Makes and finds images; several processes may do so at once."""

    def __init__(self, progress: Progress, clock: Clock, cache: Path | None = None) -> None:
        self._progress = progress
        self._clock = clock
        self._cache = cache or cache_directory()

    async def ensure(self, shape: Shape) -> Image:
        """Return an image, making what is not in the cache: about 30 s a release.

        Raises:
            LabError: mmdebstrap failed, for want of a mirror for example.
        """
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = await self._root(shape.release)
        layer = self._cache / f"shape-{shape.name}-{_hash(_shape_recipe(shape))}"
        with self._locked():
            if not layer.exists():
                part = _fresh(layer)
                _write_tree(part, recipe.shape_files(shape), recipe.shape_links(shape))
                part.rename(layer)
        return Image(shape=shape, layers=(layer, root))

    def authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Return the CA that all roots trust, with which the lab stands in for public sites."""
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            return _authority(self._cache / "ca.pem", self._clock.now())

    async def _root(self, release: Release) -> Path:
        authority, _ = self.authority()
        pem = authority.public_bytes(serialization.Encoding.PEM).decode()
        root = self._cache / f"debian-{release.version}-{_hash(_root_recipe(release, pem))}"
        if root.exists():
            return root
        lock = os.open(self._cache / f"{root.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # No thread may be started here: it would stay behind when this process leaves.
            while not _try_lock(lock):
                await self._clock.sleep(_LOCK_SECONDS)
            if not root.exists():
                await self._make(release, root, pem)
        finally:
            os.close(lock)
        return root

    async def _make(self, release: Release, root: Path, authority: str) -> None:
        began = self._clock.monotonic()
        self._progress(f"making a Debian {release.version} root (once; about half a minute)")
        part = _fresh(root)
        await shell.run(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={release.packages}",
            release.suite,
            str(part),
            seconds=_BUILD_SECONDS,
        )
        files = {**recipe.ROOT_FILES, f"/{_CA_PATH}": authority}
        _write_tree(part, files, recipe.ROOT_LINKS)
        await shell.run("sh", "-c", recipe.ROOT_SCRIPT, "finish", str(part))
        await shell.run("chroot", str(part), "update-ca-certificates")
        part.rename(root)
        seconds = self._clock.monotonic() - began
        self._progress(f"made a Debian {release.version} root in {seconds:.0f} s")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self._cache / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _root_recipe(release: Release, authority: str) -> str:
    parts = (release, recipe.ROOT_FILES, recipe.ROOT_LINKS, recipe.ROOT_SCRIPT)
    return repr((*parts, authority))


def _shape_recipe(shape: Shape) -> str:
    return repr((recipe.shape_files(shape), recipe.shape_links(shape)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _fresh(target: Path) -> Path:
    """Return the path to build `target` at, without what a killed build left there."""
    part = target.with_name(f"{target.name}.part")
    if part.exists():
        shutil.rmtree(part)
    return part


def _write_tree(root: Path, files: Mapping[str, str], links: Mapping[str, str]) -> None:
    root.mkdir(mode=0o755, exist_ok=True)
    root.chmod(0o755)
    for name, content in files.items():
        path = root / name.lstrip("/")
        _make_parents(path, root)
        path.unlink(missing_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(0o644)
    for name, target in links.items():
        path = root / name.lstrip("/")
        _make_parents(path, root)
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def _make_parents(path: Path, root: Path) -> None:
    """Make directories that everybody on the machine may enter, whatever this process's umask."""
    for parent in reversed(path.relative_to(root).parents[:-1]):
        directory = root / parent
        if not directory.exists():
            directory.mkdir()
            directory.chmod(0o755)


def _authority(path: Path, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if path.exists():
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return x509.load_pem_x509_certificate(pem), key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hk3s lab")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    part = path.with_suffix(".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    part.replace(path)
    return certificate, key
