"""What the lab tells a person when it cannot go on."""


class LabError(Exception):
    """The lab cannot go on; `fix` says what the person in front of it can do about it.

    An empty `fix` means that the message itself says so.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        """Both parts, as one line."""
        return f"{self.message} ({self.fix})" if self.fix else self.message
