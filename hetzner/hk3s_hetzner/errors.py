"""What can go wrong with Hetzner, as kinds. SDK and HTTP errors end here.

Codes are those of the official API description, plus what its clients met in the wild
(`no_space_left_in_location`, `maintenance`, `token_readonly`).
"""

from collections.abc import Mapping
from typing import Any

import requests
from hcloud import APIException
from hcloud.actions import ActionException

from hk3s_hetzner import domain
from hk3s_hetzner.redaction import Redactor


class HetznerError(Exception):
    """Any refusal or failure. `code` is Hetzner's word, or ours when there was no answer.

    `message` never holds the API token. `details` is Hetzner's object, redacted too.
    `action_id` is set when the call was accepted and its action failed later.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        action_id: int | None = None,
    ) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.correlation_id = correlation_id
        self.action_id = action_id


class CapacityUnavailable(HetznerError):
    """This type cannot be had in this location now: try the next offering."""


class QuotaExceeded(HetznerError):
    """The project's limits are reached: no offering of this kind will do.

    `limit_names` are what Hetzner calls them, empty when unsaid.
    """

    @property
    def limit_names(self) -> tuple[str, ...]:
        """The limits that were hit."""
        limits = self.details.get("limits")
        if not isinstance(limits, list):
            return ()
        return tuple(str(entry["name"]) for entry in limits if "name" in entry)

    @property
    def limit_name(self) -> str:
        """The first limit that was hit, `unknown` when Hetzner did not say."""
        return next(iter(self.limit_names), "unknown")


class RateLimited(HetznerError):
    """Too many requests in this project; the SDK's own retries were used up."""


class Transient(HetznerError):
    """The same call may succeed later. Says nothing about the offering that was asked for."""


class ActionTimeout(Transient):
    """An action still ran when our patience ended; it may yet finish."""


class AlreadyExists(HetznerError):
    """The name (or key, or attachment) is taken: look it up and adopt it if it is ours."""


class NotFound(HetznerError):
    """No such object, or no longer."""


class InUse(HetznerError):
    """The object cannot go while others use it (a firewall that is still applied)."""


class InvalidRequest(HetznerError):
    """The call cannot succeed as it stands: wrong input, wrong state, or protection."""

    @property
    def fields(self) -> tuple[str, ...]:
        """`name: message` of each field that Hetzner complained about."""
        fields = self.details.get("fields")
        if not isinstance(fields, list):
            return ()
        return tuple(
            f"{entry.get('name')}: {', '.join(map(str, entry.get('messages') or ()))}"
            for entry in fields
        )


class AccessDenied(HetznerError):
    """The token is unknown, revoked, or not allowed to do this."""


class TokenReadOnly(AccessDenied):
    """The token can read only; Hetzner says so at the first write, not earlier."""


class Unknown(HetznerError):
    """A code that this table does not know. Counted, never guessed at."""


class FenceLost(Exception):
    """We may no longer write: raised by the fence, before an attempt leaves the process."""


KINDS: Mapping[str, type[HetznerError]] = {
    "resource_unavailable": CapacityUnavailable,
    "placement_error": CapacityUnavailable,
    "no_space_left_in_location": CapacityUnavailable,
    "maintenance": CapacityUnavailable,
    "resource_limit_exceeded": QuotaExceeded,
    "rate_limit_exceeded": RateLimited,
    "service_error": Transient,
    "timeout": Transient,
    "conflict": Transient,
    "locked": Transient,
    "bad_gateway": Transient,
    "server_error": Transient,
    "unavailable": Transient,
    "robot_unavailable": Transient,
    "action_failed": Transient,  # the generic code of a failed action
    "uniqueness_error": AlreadyExists,
    "server_already_attached": AlreadyExists,
    "server_already_added": AlreadyExists,
    "firewall_already_applied": AlreadyExists,
    "not_found": NotFound,
    "resource_in_use": InUse,
    "invalid_input": InvalidRequest,
    "json_error": InvalidRequest,
    "invalid_server_type": InvalidRequest,
    "unsupported_error": InvalidRequest,
    "method_not_allowed": InvalidRequest,
    "deprecated_api_endpoint": InvalidRequest,
    "protected": InvalidRequest,
    "server_not_stopped": InvalidRequest,
    "networks_overlap": InvalidRequest,
    "ip_not_available": InvalidRequest,
    "no_subnet_available": InvalidRequest,
    "private_net_only_server": InvalidRequest,
    "unauthorized": AccessDenied,
    "forbidden": TokenReadOnly,  # tokens read or read and write; the older code is token_readonly
    "token_readonly": TokenReadOnly,
}

KINDS_BY_STATUS: Mapping[int, type[HetznerError]] = {
    400: InvalidRequest,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    408: Transient,
    429: RateLimited,
    500: Transient,
    502: Transient,
    503: Transient,
    504: Transient,
}
"""For answers without Hetzner's JSON, as proxies and load balancers give them."""


def translate(error: Exception, redactor: Redactor) -> HetznerError:
    """Return the kind of an SDK, HTTP or action error, free of the API token.

    Raise the result `from None`: the original quotes whatever the server said.
    """
    match error:
        case HetznerError():
            return error
        case APIException():
            details = redactor.value(error.details) if isinstance(error.details, dict) else None
            kind = (
                KINDS_BY_STATUS.get(error.code, Unknown)
                if isinstance(error.code, int)
                else KINDS.get(error.code, Unknown)
            )
            return kind(
                redactor.text(str(error.code)),
                redactor.text(str(error.message)),
                details=details,
                correlation_id=error.correlation_id,
            )
        case ActionException():
            failure: Mapping[str, Any] = error.action.error or {}
            return _action_error(
                str(failure.get("code", "action_failed")),
                str(failure.get("message", error.message)),
                error.action.id,
                redactor,
            )
        case requests.Timeout():
            return Transient("timeout", f"no answer in time: {redactor.text(str(error))}")
        case requests.RequestException():
            return Transient("network", f"no connection: {redactor.text(str(error))}")
        case _:
            return Unknown(type(error).__name__, redactor.text(str(error)))


def translate_action(action: domain.Action, redactor: Redactor) -> HetznerError:
    """Return the kind of a failed action's error; codes are those of direct refusals."""
    return _action_error(
        action.error_code or "action_failed",
        f"{action.command}: {action.error_message or 'the action failed'}",
        action.id,
        redactor,
    )


def _action_error(code: str, message: str, action_id: int, redactor: Redactor) -> HetznerError:
    kind = KINDS.get(code, Unknown)
    return kind(redactor.text(code), redactor.text(message), action_id=action_id)
