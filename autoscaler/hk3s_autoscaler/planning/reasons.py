"""Reasons: a machine-readable code and a sentence, the same in log, event, metric and report."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Every reason there is. Metric labels and alerts use these words, so they never change."""

    # why a server is bought or finished
    PENDING_PODS = "PendingPods"
    MIN_NODES = "MinNodes"
    UNFINISHED_CREATE = "UnfinishedCreate"
    JOINED = "Joined"
    REPLACEMENT = "Replacement"
    # why a pod is not served (yet)
    WAITING_FOR_SERVER = "WaitingForServer"
    WAITING_FOR_SCHEDULER = "WaitingForScheduler"
    NO_OFFERING_FITS = "NoOfferingFits"
    NO_POOL_MATCHES = "NoPoolMatches"
    POD_RULES = "PodRules"
    UNSUPPORTED_CONSTRAINT = "UnsupportedConstraint"
    MAX_NODES = "MaxNodes"
    MAX_SERVERS = "MaxServers"
    POOL_LIMIT = "PoolLimit"
    EURO_LIMIT = "EuroLimit"
    NETWORK_FULL = "NetworkFull"
    ACCOUNT_LIMIT = "AccountLimit"
    OUT_OF_STOCK = "OutOfStock"
    POOL_PAUSED = "PoolPaused"
    POOL_INVALID = "PoolInvalid"
    PAUSED = "Paused"
    # why a node or server goes
    EMPTY = "Empty"
    UNDERUTILIZED = "Underutilized"
    DRIFTED = "Drifted"
    EXPIRED = "Expired"
    NODE_LOST = "NodeLost"
    DRAIN_DEADLINE = "DrainDeadline"
    JOIN_TIMED_OUT = "JoinTimedOut"
    JOIN_FAILED = "JoinFailed"
    TOKEN_EXPIRED = "TokenExpired"  # noqa: S105 - a reason, not a secret
    ORPHANED_SERVER = "OrphanedServer"
    ORPHANED_NODE = "OrphanedNode"
    SERVER_GONE = "ServerGone"
    # why a node stays
    IN_USE = "InUse"
    NEEDED_BY_PENDING = "NeededByPendingPods"
    RECENTLY_BUSY = "RecentlyBusy"
    HOUR_PAID = "HourPaidUntil"
    DISRUPTION_NEVER = "DisruptionNever"
    DISRUPTION_WHEN_EMPTY = "DisruptionWhenEmpty"
    DO_NOT_DISRUPT = "DoNotDisrupt"
    BLOCKED_BY_PDB = "BlockedByPdb"
    DISRUPTION_BUDGET = "DisruptionBudget"
    FROZEN = "FrozenAfterOutage"
    NO_LONGER_UNNEEDED = "NoLongerUnneeded"
    TOO_MANY_ORPHANS = "TooManyOrphans"
    TOO_MANY_LOST = "TooManyNodesLost"
    WAITING_FOR_REPLACEMENT = "WaitingForReplacement"
    REPLACEMENT_FAILED = "ReplacementFailed"
    STANDS_IN = "StandsInForAnother"
    NO_PLACE = "NoPlaceToMovePods"
    SAVES_TOO_LITTLE = "SavesTooLittle"
    DRAIN_STUCK = "DrainStuck"
    NOT_REPLICATED = "NotReplicated"
    SYSTEM_POD = "UnmovableKubeSystemPod"
    NOT_SAFE_TO_EVICT = "NotSafeToEvict"
    ON_COMPLETION = "BlockedByOnCompletionPod"
    LOCAL_STORAGE = "LocalStorage"
    JOINING = "Joining"
    NOT_READY = "NotReady"


@dataclass(frozen=True, slots=True)
class Reason:
    """A code and what it means here, as one sentence for a person. Never holds a secret."""

    code: Code
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
