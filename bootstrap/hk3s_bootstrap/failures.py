"""What went wrong, in the words of the person who must do something about it."""

from hk3s_hetzner.errors import (
    AccessDenied,
    ActionTimeout,
    CapacityUnavailable,
    HetznerError,
    QuotaExceeded,
    RateLimited,
    TokenReadOnly,
    Transient,
)
from hk3s_kube.errors import Forbidden, KubeError, Unauthorized, Unreachable


class BootstrapError(Exception):
    """A run cannot go on. `fix` says what to do; neither text holds a secret."""

    def __init__(self, message: str, *, fix: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code


class StepFailed(BootstrapError):
    """One step failed; those before it are done and will not be repeated."""

    def __init__(self, step: str, error: HetznerError | KubeError) -> None:
        super().__init__(f"{step}: {error}", fix=fix(error), code=code(error))
        self.step = step


def code(error: HetznerError | KubeError) -> str:
    """Return the other side's own word for what happened."""
    return error.code if isinstance(error, HetznerError) else error.reason


def fix(error: HetznerError | KubeError) -> str:
    """Return what a person can do about an error."""
    if isinstance(error, QuotaExceeded):
        return (
            f"the account's limit {error.limit_name!r} is reached: delete something, or ask Hetzner"
            " to raise it (console, Limits)"
        )
    for kind, advice in FIXES:
        if isinstance(error, kind):
            return advice
    return "correct the cause, then run the command again"


FIXES: tuple[tuple[type[Exception], str], ...] = (
    (
        TokenReadOnly,
        "the token can only read: create one with Read & Write in the Hetzner console",
    ),
    (AccessDenied, "check the token: it is unknown, revoked, or of another project"),
    (
        CapacityUnavailable,
        "sold out right now: name another server type or location, or try later",
    ),
    (RateLimited, "the project's requests for this hour are used up: try again later"),
    (ActionTimeout, "Hetzner is still busy with it: run the command again"),
    (Transient, "Hetzner has a passing problem: run the command again"),
    (
        Unreachable,
        "check that bastion.allowedCidrs holds your address, then run the command again",
    ),
    (Unauthorized, "the cluster does not take this certificate: name the right --state-dir"),
    (Forbidden, "the cluster does not allow this: name the right --state-dir"),
)
"""The first kind that fits; special kinds stand before those that they are special cases of."""
