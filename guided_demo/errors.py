"""The one exception that users are meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message is a sentence that says what and what to do."""
