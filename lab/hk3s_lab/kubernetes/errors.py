"""What can go wrong with the lab's control plane; each error says what to do about it."""

from hk3s_lab.errors import LabError


class BuildFailed(LabError):
    """The control plane's binary could not be built."""


class BadCertificates(LabError):
    """A CA that was handed over cannot sign: unreadable, not a CA, or not its key."""


class BadSettings(LabError):
    """A setting of the control plane cannot be carried out."""


class ProcessFailed(LabError):
    """A process died or never became healthy; the text ends with its last log lines."""


class StillRunning(LabError):
    """Another live process owns the directory that was to be cleaned up."""
