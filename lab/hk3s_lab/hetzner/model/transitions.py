"""Which change of a server is allowed when, what it passes through, and how long changes take.

Power states are a table; the effects of an action on a server's power are read from it.
Durations are in seconds of a real cloud, drawn evenly between the bounds and divided by the
lab's speed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hk3s_lab.hetzner.model.records import ServerStatus

INITIALIZING = ServerStatus.INITIALIZING
STARTING = ServerStatus.STARTING
RUNNING = ServerStatus.RUNNING
STOPPING = ServerStatus.STOPPING
OFF = ServerStatus.OFF
MIGRATING = ServerStatus.MIGRATING
REBUILDING = ServerStatus.REBUILDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What a command does to a server's status.

    `ends` maps each status in which the command is accepted to the one that success leads to.
    `during` maps it to the status shown meanwhile, where that differs.
    """

    ends: Mapping[ServerStatus, ServerStatus]
    during: Mapping[ServerStatus, ServerStatus]
    restarts: bool = False
    graceful: bool = False


TRANSITIONS: Mapping[str, Transition] = {
    "create_server": Transition(ends={INITIALIZING: OFF}, during={}),
    "start_server": Transition(ends={OFF: RUNNING, RUNNING: RUNNING}, during={OFF: STARTING}),
    "stop_server": Transition(
        ends={RUNNING: OFF, STOPPING: OFF, OFF: OFF}, during={RUNNING: STOPPING}
    ),
    # The action only says that the request was delivered; ACPI_OFF follows.
    "shutdown_server": Transition(
        ends={RUNNING: STOPPING, STOPPING: STOPPING, OFF: OFF}, during={}, graceful=True
    ),
    "reboot_server": Transition(
        ends={RUNNING: RUNNING, OFF: OFF}, during={}, restarts=True, graceful=True
    ),
    "reset_server": Transition(
        ends={RUNNING: RUNNING, STOPPING: RUNNING, OFF: RUNNING}, during={}, restarts=True
    ),
    # The server is switched off first, and boots from its new disk.
    "rebuild_server": Transition(
        ends={RUNNING: RUNNING, STOPPING: RUNNING, OFF: RUNNING},
        during={RUNNING: REBUILDING, STOPPING: REBUILDING, OFF: REBUILDING},
        restarts=True,
    ),
    # The disk is copied, and the server starts again.
    "change_server_type": Transition(ends={OFF: RUNNING}, during={OFF: MIGRATING}),
}

POWERED = frozenset({RUNNING, STOPPING})

DURATIONS: Mapping[str, tuple[float, float]] = {
    "create_server": (0.5, 1.5),
    "start_server": (0.3, 0.8),
    "stop_server": (0.2, 0.5),
    "shutdown_server": (0.1, 0.3),
    "reboot_server": (0.3, 0.8),
    "reset_server": (0.3, 0.8),
    "delete_server": (0.2, 0.6),
    "attach_to_network": (0.2, 0.6),
    "detach_from_network": (0.2, 0.6),
    "rebuild_server": (0.8, 2.0),
    "change_server_type": (0.8, 2.0),
    "create_image": (0.8, 2.0),
    "create_volume": (0.5, 1.5),
    "attach_volume": (0.3, 0.8),
    "detach_volume": (0.3, 0.8),
    "create_load_balancer": (0.5, 1.5),
    "delete_load_balancer": (0.2, 0.6),
    "issue_certificate": (0.8, 2.0),
}
DEFAULT_DURATION = (0.1, 0.3)
ACPI_OFF = (0.5, 2.0)
"""From the delivered ACPI request until the server is off."""
RESCUE_SECONDS = 3600.0
"""Rescue mode that nobody booted into ends after this time."""


def accepts(command: str, status: ServerStatus) -> bool:
    """Tell whether a server in this status takes the command."""
    return status in TRANSITIONS[command].ends
