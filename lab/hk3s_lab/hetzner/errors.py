"""The API's errors: one exception, one maker a kind, statuses and codes of the reference."""

from collections.abc import Mapping, Sequence
from typing import Any

from hk3s_lab.hetzner.model.addresses import AddressProblem

STATUS_OF_CODE: Mapping[str, int] = {
    "json_error": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "maintenance": 403,
    "resource_limit_exceeded": 403,
    "token_readonly": 403,
    "not_found": 404,
    "firewall_resource_not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "uniqueness_error": 409,
    "deprecated_api_endpoint": 410,
    "primary_ip_version_mismatch": 412,
    "source_port_already_used": 412,
    "resource_unavailable": 412,
    "locked": 423,
    "protected": 423,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "unavailable": 503,
    "timeout": 504,
}
"""Codes that are not listed here go with 422."""

UNPROCESSABLE = 422


class ApiError(Exception):
    """An answer other than success: HTTP status, code, message and details."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS_OF_CODE.get(code, UNPROCESSABLE) if status is None else status
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {
            "error": {"code": self.code, "message": self.message, "details": self.details},
        }


def invalid_input(fields: Mapping[str, Sequence[str]], message: str | None = None) -> ApiError:
    """Say what is wrong with which fields."""
    if message is None:
        parts = [f"invalid input in field '{name}': {', '.join(m)}" for name, m in fields.items()]
        message = "; ".join(parts)
    details = [{"name": name, "messages": list(messages)} for name, messages in fields.items()]
    return ApiError("invalid_input", message, details={"fields": details})


def not_found(kind: str, reference: object) -> ApiError:
    """Say that a resource does not exist in the project."""
    return ApiError("not_found", f"{kind.replace('_', ' ')} with ID '{reference}' not found")


def route_not_found() -> ApiError:
    """Say that there is no such path."""
    return ApiError("not_found", "api route not found")


def not_unique(field: str, message: str | None = None) -> ApiError:
    """Say that the value of a field is taken."""
    text = message or f"{field} is already used"
    return ApiError("uniqueness_error", text, details={"fields": [{"name": field}]})


def limit_exceeded(name: str) -> ApiError:
    """Say which limit of the account leaves no room."""
    text = f"{name.replace('_', ' ')} exceeded"
    return ApiError("resource_limit_exceeded", text, details={"limits": [{"name": name}]})


def locked(kind: str) -> ApiError:
    """Say that another action runs on the resource."""
    return ApiError("locked", f"{kind.replace('_', ' ')} is locked: another action is running")


def conflict(kind: str) -> ApiError:
    """Say that another change of the resource is being made."""
    name = kind.replace("_", " ")
    return ApiError("conflict", f"{name} is being changed by another request, please retry")


def protected(kind: str) -> ApiError:
    """Say that the resource is protected against what was asked."""
    return ApiError("protected", f"{kind.replace('_', ' ')} deletion is protected")


def from_address_problem(problem: AddressProblem) -> ApiError:
    """Translate a broken rule of private addresses."""
    if problem.code == "invalid_input":
        return invalid_input({problem.field: [str(problem)]})
    return ApiError(problem.code, str(problem))
