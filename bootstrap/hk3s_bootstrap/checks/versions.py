"""What k3s of this version, this CNI and this image can do together (E030 to E039)."""

from collections.abc import Iterator

from hk3s_bootstrap.config import ClusterConfig
from hk3s_data import k3s
from hk3s_findings.finding import Finding
from hk3s_findings.located import Path


def version_is_a_version(config: ClusterConfig) -> Iterator[Finding]:
    """Channels such as `stable` are not versions: two servers would get different ones."""
    if _version(config) is None:
        yield Finding(
            code="HK3S-E030",
            path=("k3s", "version"),
            cause=f"{config.k3s.version!r} is not a k3s version",
            fix=f"name a release exactly, such as {k3s.DEFAULT_VERSION}",
        )


def version_is_supported(config: ClusterConfig) -> Iterator[Finding]:
    """Older ones leave what blocks the names of deleted nodes."""
    version = _version(config)
    reason = None if version is None else k3s.unsupported_reason(version)
    if reason is not None:
        yield Finding(
            code="HK3S-E031",
            path=("k3s", "version"),
            cause=f"{version} is not supported: {reason}",
            fix=f"use {k3s.DEFAULT_VERSION}",
        )


def registry_is_supported(config: ClusterConfig) -> Iterator[Finding]:
    """A k3s that does not know the embedded registry does not start with it."""
    version = _version(config)
    if not config.k3s.embedded_registry or version is None:
        return
    match k3s.registry_support(version):
        case k3s.RegistrySupport.NONE:
            yield Finding(
                code="HK3S-E032",
                path=("k3s", "embeddedRegistry"),
                cause=f"{version} has no embedded registry, k3s would not start",
                fix=f"use {k3s.DEFAULT_VERSION}, or set embeddedRegistry to false",
            )
        case k3s.RegistrySupport.EXPERIMENTAL:
            yield Finding(
                code="HK3S-E032",
                path=("k3s", "embeddedRegistry"),
                cause=f"the embedded registry of {version} is experimental",
                fix=f"use {k3s.DEFAULT_VERSION}, where it is stable",
                severity="warning",
            )
        case k3s.RegistrySupport.STABLE:
            return


def cni_works_on_the_images(config: ClusterConfig) -> Iterator[Finding]:
    """Some operating systems break some networks."""
    for path, image in kubernetes_images(config):
        refused = k3s.refusal(config.k3s.cni, image)
        if refused is not None:
            yield Finding(
                code="HK3S-E033",
                path=path,
                cause=f"{config.k3s.cni} does not work on {image}: {refused.reason}",
                fix=f"choose one of: {', '.join(refused.choices)}",
            )


def there_is_one_master(config: ClusterConfig) -> Iterator[Finding]:
    """More masters need a stable address in front of them, which hk3s does not make yet."""
    if config.master.count != 1:
        yield Finding(
            code="HK3S-E034",
            path=("master", "count"),
            cause=f"{config.master.count} masters: this version of hk3s makes one",
            fix="set master.count to 1, or leave it out",
        )


def images_are_known(config: ClusterConfig) -> Iterator[Finding]:
    """The network of a server is set up in the ways of its operating system."""
    places = ((("bastion", "image"), config.bastion.image), *kubernetes_images(config))
    for path, image in places:
        if image not in k3s.IMAGES:
            yield Finding(
                code="HK3S-E035",
                path=path,
                cause=f"hk3s does not know how to set up {image!r}",
                fix=f"choose one of: {', '.join(sorted(k3s.IMAGES))}",
            )


def kubernetes_images(config: ClusterConfig) -> tuple[tuple[Path, str], ...]:
    """Return the images that run Kubernetes, and where they are named."""
    pools = (
        (("nodePools", index, "image"), pool.image)
        for index, pool in enumerate(config.node_pools)
        if pool.image
    )
    return ((("master", "image"), config.master.image), *pools)


def _version(config: ClusterConfig) -> k3s.K3sVersion | None:
    try:
        return k3s.K3sVersion.parse(config.k3s.version)
    except ValueError:
        return None


RULES = (
    version_is_a_version,
    version_is_supported,
    registry_is_supported,
    cni_works_on_the_images,
    there_is_one_master,
    images_are_known,
)
