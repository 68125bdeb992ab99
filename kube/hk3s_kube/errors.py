"""What can go wrong with the API server, as kinds. HTTP and TLS errors end here.

Reasons and codes are those of `meta/v1 Status` in the Kubernetes API conventions.
"""

import json
from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Any refusal or failure.

    `status` is the HTTP status, 0 when there was no answer; `reason` is the Status's reason,
    e.g. `Forbidden`; `causes` are the reasons of its causes; `retry_after` is in seconds.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        causes: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{message} ({status} {reason})" if status else f"{message} ({reason})")
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after


class NotFound(KubeError):
    """No such object, or no such API."""


class Conflict(KubeError):
    """The object changed since it was read, another field manager owns it, or a UID differs."""


class AlreadyExists(KubeError):
    """The name is taken."""


class Forbidden(KubeError):
    """RBAC or an admission policy says no."""


class Unauthorized(KubeError):
    """The API server does not know us: token expired, certificate foreign."""


class Invalid(KubeError):
    """The object or the call is malformed."""


class Expired(KubeError):
    """The resource version or continue token is too old: list again."""


class TooManyRequests(KubeError):
    """Asked to wait; `retry_after` says how long, if known."""


class EvictionBlocked(TooManyRequests):
    """A PodDisruptionBudget does not allow this eviction now."""


class ServerFailure(KubeError):
    """The API server answered with an error of its own (5xx)."""


class Unreachable(KubeError):
    """No usable answer: name resolution, connection, TLS, or time out."""


class NotLeader(Exception):
    """We do not hold the Lease, or might not any more: nothing may be written."""


KINDS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    410: Expired,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}


def from_answer(status: int, body: bytes, retry_after: str | None = None) -> KubeError:
    """Return the kind of a refusal; the body is a Status in JSON, or any text."""
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        text = body.decode("utf-8", "replace").strip()
        decoded = {"message": text[:500] or "no message"}
    return from_status({"code": status, **decoded}, retry_after)


def from_status(status: Mapping[str, Any], retry_after: str | None = None) -> KubeError:
    """Return the kind of a decoded Status object, as watches send them in ERROR events."""
    code = int(status.get("code") or 0)
    reason = str(status.get("reason") or "Unknown")
    details = status.get("details") or {}
    kind: type[KubeError]
    if reason == "AlreadyExists":
        kind = AlreadyExists
    elif code >= 500:  # noqa: PLR2004 - HTTP's server errors
        kind = ServerFailure
    else:
        kind = KINDS.get(code, KubeError)
    seconds = retry_after if retry_after and retry_after.isdigit() else None
    seconds = seconds or details.get("retryAfterSeconds")
    return kind(
        code,
        reason,
        str(status.get("message") or "no message"),
        causes=tuple(str(cause.get("reason") or "") for cause in details.get("causes") or ()),
        retry_after=None if seconds is None else float(seconds),
    )
