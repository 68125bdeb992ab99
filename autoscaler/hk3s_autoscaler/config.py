"""The daemon's settings: one mounted file, written by `hk3s-bootstrap`, parsed once.

NodePools are not here: they live in the cluster and change without a restart.
"""

from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_findings.finding import as_text, report
from hk3s_findings.reading import Format, read_file
from hk3s_findings.schema import Codes

DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class ConfigError(Exception):
    """The file cannot be used; the text names every problem with line, code, cause and fix."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class HetznerSection(_Section):
    """Where the API is; the token comes in a file of its own, named on the command line."""

    endpoint: str = DEFAULT_ENDPOINT


class NetworkSection(_Section):
    """The private network, as bootstrap made it."""

    id: int
    range: IPv4Network
    master_subnet: IPv4Network
    worker_subnet: IPv4Network
    dns: tuple[IPv4Address, ...]

    @property
    def gateway(self) -> IPv4Address:
        """The first address of the network's range: Hetzner's gateway."""
        return self.range[1]


class ApiSection(_Section):
    """How workers reach the API. `ca_hash` is 64 hex digits."""

    address: IPv4Address
    port: int = 6443
    ca_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ChecksumSection(_Section):
    """SHA-256 of the k3s binary by architecture; empty: the release's own list decides."""

    amd64: Sha256 = ""
    arm64: Sha256 = ""


class K3sSection(_Section):
    """Which k3s workers install."""

    version: str
    artifacts_url: str
    sha256: ChecksumSection = ChecksumSection()
    embedded_registry: bool = False


class SshSection(_Section):
    """Keys that open workers. `key_ids` go into the create call, or Hetzner mails a password."""

    key_ids: Annotated[tuple[int, ...], Field(min_length=1)]
    authorized_keys: Annotated[tuple[str, ...], Field(min_length=1)]


class LimitsSection(_Section):
    """Ceilings over all pools."""

    max_servers: Annotated[int, Field(ge=0, le=1000)] = 10
    max_euro_per_hour: Decimal | None = None


class LoopSection(_Section):
    """Timing, in seconds.

    A batch of new pods closes `batch_idle_seconds` after the last or `batch_max_seconds` after the
    first; without news the loop runs each `interval_seconds`.
    """

    batch_idle_seconds: float = 0.3
    batch_max_seconds: float = 2.0
    interval_seconds: float = 10.0
    orphan_grace_seconds: float = 300.0
    health_wait_seconds: float = 600.0


class Config(_Section):
    """All of it."""

    cluster: str
    hetzner: HetznerSection = HetznerSection()
    network: NetworkSection
    api: ApiSection
    k3s: K3sSection
    image: str
    ssh: SshSection
    limits: LimitsSection = LimitsSection()
    loop: LoopSection = LoopSection()
    paused: bool = False
    namespace: str = "hk3s-system"

    def plan_config(self) -> PlanConfig:
        """Return the bounds of every plan."""
        euro = self.limits.max_euro_per_hour
        return PlanConfig(
            max_servers=self.limits.max_servers,
            max_micro_eur_per_hour=None if euro is None else int(euro * 1_000_000),
            paused=self.paused,
            k3s_version=self.k3s.version,
            orphan_grace=timedelta(seconds=self.loop.orphan_grace_seconds),
            health_wait=timedelta(seconds=self.loop.health_wait_seconds),
        )


CONFIG_FILE = Format(
    model=Config,
    unreadable="HK3S-E101",
    malformed="HK3S-E102",
    codes=Codes(unknown="HK3S-E103", missing="HK3S-E104", wrong="HK3S-E105"),
    example="the ConfigMap hk3s-autoscaler-config that hk3s-bootstrap writes",
)


def parse(path: Path) -> Config:
    """Read the file.

    Raises:
        ConfigError: unreadable, not YAML, or wrong; all problems at once.
    """
    parsed = read_file(path, CONFIG_FILE)
    if parsed.value is None:
        raise ConfigError(as_text((report(str(path), parsed.document, parsed.findings),)))
    return parsed.value


def dump(config: Config) -> str:
    """Write settings in the form that `parse` reads."""
    values = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(values, sort_keys=False)
