"""The format of cluster.yaml: E001 to E005."""

from pydantic_core import ErrorDetails

from hk3s_bootstrap.config import ClusterConfig
from hk3s_findings.located import Path
from hk3s_findings.reading import Format
from hk3s_findings.schema import Codes

_MISSING: dict[str | int, str] = {
    "allowedCidrs": "list who may reach SSH and the API, such as your own address: 203.0.113.7/32",
    "publicKeys": "list a public key, such as ~/.ssh/id_ed25519.pub",
    "serverType": "name a server type, such as cpx22",
    "location": "name a location, such as fsn1",
    "cluster": "give the cluster a name",
    "name": "give the pool a name",
}


def _fix(details: ErrorDetails, path: Path) -> str | None:
    if details["type"] == "missing":
        return _MISSING.get(path[-1])
    if details["type"] == "string_pattern_mismatch" and path == ("cluster",):
        return "use a-z, 0-9 and inner hyphens, a letter first, at most 32 characters"
    return None


CLUSTER_FILE = Format(
    model=ClusterConfig,
    unreadable="HK3S-E001",
    malformed="HK3S-E002",
    codes=Codes(unknown="HK3S-E003", missing="HK3S-E004", wrong="HK3S-E005"),
    example="examples/production.yaml",
    fix=_fix,
)
