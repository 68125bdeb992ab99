"""All checks of a file alone: no network, no clock that matters, no call."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path as FilePath

from hk3s_bootstrap import machines, state
from hk3s_bootstrap.checks import access, network, partial, pools, versions
from hk3s_bootstrap.checks.format import CLUSTER_FILE
from hk3s_bootstrap.config import ClusterConfig
from hk3s_cloudinit.userdata import UserDataTooLarge
from hk3s_findings.finding import Finding, Report, report
from hk3s_findings.reading import read_file

RULES = (*network.RULES, *access.RULES, *versions.RULES, *pools.RULES)

LONGEST_ADDRESS = "255.255.255.255"
SAMPLE = machines.Birth(
    now=datetime(2026, 1, 1, tzinfo=UTC), random_bytes=lambda size: b"\x07" * size
)
SAMPLE_SIZE = machines.Size(cores=64, memory_bytes=1 << 38)


def validate(file: FilePath) -> tuple[ClusterConfig | None, Report]:
    """Return the settings of a file, and all of its findings.

    There are settings whenever the file could be parsed, even if rules found errors. Where it could
    not, the rules still judge what is well-formed.
    """
    parsed = read_file(file, CLUSTER_FILE)
    if parsed.value is not None:
        return parsed.value, report(str(file), parsed.document, check(parsed.value))
    found: tuple[Finding, ...] = ()
    if isinstance(parsed.document.values, dict):
        places = (finding.path for finding in parsed.findings)
        found = partial.check(parsed.document.values, places, RULES)
    return None, report(str(file), parsed.document, (*parsed.findings, *found))


def check(config: ClusterConfig) -> tuple[Finding, ...]:
    """Return what every rule finds."""
    findings = tuple(finding for rule in RULES for finding in rule(config))
    if any(finding.severity == "error" for finding in findings):
        return findings  # user-data cannot be rendered from what is wrong
    return (*findings, *user_data_fits(config))


def user_data_fits(config: ClusterConfig) -> Iterator[Finding]:
    """Hetzner takes 32 KiB: rendered here with secrets of the real sizes."""
    secrets = state.mint(SAMPLE.now, SAMPLE.random_bytes)
    try:
        machines.bastion_user_data(config, secrets, SAMPLE)
        machines.master_user_data(config, secrets, SAMPLE_SIZE, LONGEST_ADDRESS, SAMPLE)
    except UserDataTooLarge as error:
        yield Finding(
            code="HK3S-E049",
            path=("ssh", "publicKeys"),
            cause=f"the user-data of a server would have {error.size} bytes,"
            f" Hetzner takes {error.limit}",
            fix="list fewer or shorter SSH keys",
        )
