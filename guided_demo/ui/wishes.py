"""What a page wishes for, as it arrives: a message may come from anybody, in any form."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from ..annotation import BACKGROUND, Annotation, class_called
from ..errors import InputError

STRANGE = "The page asked for something that is not known here; reload it."
MOST_MARKS, MOST_PLACES = 5_000, 20_000  # on a photo, and in the strokes of one message; every mark is a step of the history


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1 << 53  # which no NaN is


FORMS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("do", "photo", "name", "to", "color", "form"), _text),
    **dict.fromkeys(("edge", "number", "made"), _number),
    "part": lambda value: isinstance(value, int),
    "key": lambda value: value is None or _text(value),
    "keys": lambda value: isinstance(value, list) and all(map(_text, value)),
}


class Wish(dict[str, Any]):
    """A message whose fields have the form they are to have; to ask it for one that it lacks raises InputError."""

    def __missing__(self, name: str) -> Any:
        raise InputError(STRANGE)


def read_wish(message: Any, known: Container[str]) -> Wish:
    """The wish in a message. known: what "do" may be. Raises InputError if it is none."""
    wish = Wish(message) if isinstance(message, dict) else Wish()
    if not all(fits(wish[name]) for name, fits in FORMS.items() if name in wish) or wish["do"] not in known:
        raise InputError(STRANGE)
    return wish


def new_name(name: str) -> str:
    """The name that a class is to get. Raises InputError for one that cannot be told from `background`; of work from before, the
    classes may be called so."""
    if class_called(name) == BACKGROUND:
        raise InputError(f"{name.strip()!r} would be a second background; choose another name, or mark with that.")
    return name


def read_marks(data: dict[str, Any], before: int = 0) -> Annotation:
    """An annotation from JSON; `before`: how many marks the photo has. Raises InputError for more than anybody draws, as one such
    message could take all memory, or keep the server from others."""
    annotation = Annotation.from_json(data)
    if before + len(annotation.marks) > MOST_MARKS:
        raise InputError(f"A photo can have at most {MOST_MARKS} marks; go on in another photo, or undo some.")
    if sum(len(stroke.path) for stroke in annotation.strokes) > MOST_PLACES:
        raise InputError(f"That is more than {MOST_PLACES} points of strokes at once; draw it in parts.")
    return annotation
