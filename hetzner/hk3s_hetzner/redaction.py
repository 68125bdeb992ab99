"""The API token shows nowhere, whoever quotes it.

Hetzner's own rate-limit message quotes the first half of the token, so whole-value
replacement is not enough: any piece of at least eight characters counts.
"""

from typing import Any

MASK = "[redacted]"
PIECE = 8
"""Characters of a secret that are too many to show."""


class Redactor:
    """Removes secrets, and pieces of them, from texts and JSON-like values."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)
        self._pieces = frozenset(
            secret[start : start + PIECE]
            for secret in self._secrets
            for start in range(max(1, len(secret) - PIECE + 1))
        )
        self._shortest = min((len(piece) for piece in self._pieces), default=PIECE)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def text(self, text: str) -> str:
        """Return the text with each run that is a piece of a secret masked.

        A secret shorter than `PIECE` is masked only where it stands whole.
        """
        covered = [False] * len(text)
        for length in {len(piece) for piece in self._pieces}:
            for start in range(len(text) - length + 1):
                if text[start : start + length] in self._pieces:
                    covered[start : start + length] = [True] * length
        if not any(covered):
            return text
        parts: list[str] = []
        for index, character in enumerate(text):
            if not covered[index]:
                parts.append(character)
            elif index == 0 or not covered[index - 1]:
                parts.append(MASK)
        return "".join(parts)

    def value(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """Return a JSON-like value with every text in it masked, keys included."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case dict():
                return {self.value(key): self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value
