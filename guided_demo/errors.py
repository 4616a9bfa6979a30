"""The one exception that users are meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message is a sentence that says what and what to do."""

    def __str__(self) -> str:
        return legible(super().__str__())  # it may quote what was given


def legible(text: str) -> str:
    """Text that can be printed, written and sent: with ? for lone surrogates, which names of files and JSON can bring."""
    return text.encode("utf-8", "replace").decode()
