"""What a person marks with: points, strokes and dense masks, in pixels of the original, upright image."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from .errors import InputError

UNMARKED = 255
MAX_CLASSES = 254
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))  # unseen, but part of Persian words and of emoji made of several


@dataclass(frozen=True)
class Point:
    """One annotated pixel: the pixel that contains (x, y)."""

    x: float
    y: float
    label: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", float(self.x))
        object.__setattr__(self, "y", float(self.y))
        object.__setattr__(self, "label", _stripped(self.label))


@dataclass(frozen=True)
class Stroke:
    """A brush path with a radius in pixels, or a filled polygon (a box is a polygon of four). `label` None erases."""

    path: tuple[tuple[float, float], ...]
    label: str | None
    radius: float = 6.0
    shape: Literal["brush", "polygon"] = "brush"

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", tuple((float(x), float(y)) for x, y in self.path))
        object.__setattr__(self, "radius", float(self.radius))
        object.__setattr__(self, "label", _stripped(self.label))
        if self.shape not in ("brush", "polygon"):
            raise InputError(f"A stroke has the shape {self.shape!r}; it must be brush or polygon.")


Mark = Point | Stroke


@dataclass(frozen=True)
class DenseMask:
    """A label map as PNG bytes: pixel value i is `classes[i]`, 255 is unmarked. Size as the image's own."""

    png: bytes = field(repr=False)
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(_stripped, self.classes)))

    def labels(self) -> np.ndarray:
        """HxW uint8. Raises InputError if the bytes are no PNG with one number a pixel, as one from elsewhere may be."""
        try:
            with Image.open(io.BytesIO(self.png), formats=("PNG",)) as image:
                if image.mode in ("L", "P"):
                    return np.asarray(image)
        except Exception as error:  # what a decoder raises on damaged bytes differs
            raise InputError(f"A mask cannot be read ({error}); save it as an indexed or grey PNG.") from error
        raise InputError("A mask is a picture in colour; save it as an indexed or grey PNG.")


def check_name(name: str) -> str:
    """A class name without outer blanks; raises InputError if it is no text, empty, over 80 characters, or has control
    characters."""
    if not isinstance(name, str):
        raise InputError(f"A class is called by a text, such as 'cat', and not {name!r:.80}.")
    name = name.strip()
    visible = name.translate(_JOINERS)
    if not visible.strip():
        raise InputError("A class needs a name.")
    if len(name) > 80 or not visible.isprintable():
        raise InputError("A class name is one line of at most 80 characters, without control characters.")
    return name


def _stripped(label: Any) -> Any:
    # As check_name has it, or the classes of marks would not be found among those of a session.
    return label.strip() if isinstance(label, str) else label
