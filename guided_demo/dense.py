"""Dense masks: made of label maps, and laid over each other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from PIL import Image

from .errors import InputError
from .marks import MAX_CLASSES, UNMARKED, DenseMask


def dense(mask: Any, classes: Sequence[str]) -> DenseMask | None:
    """A label map, HxW integers, value i being `classes[i]` and 255 unmarked; None where all of it is unmarked.

    Raises InputError for an array of another form, values that no class is named for, or more than 254 classes.
    """
    values = np.asarray(mask)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "iub":
        raise InputError("A mask must be a height x width array of whole numbers, one a pixel.")
    ordered = isinstance(classes, Sequence | np.ndarray) and not isinstance(classes, str)
    if not ordered or not all(isinstance(name, str) for name in classes):
        raise InputError(f"The classes of a mask are a list, a name for each value from 0, and not {classes!r}.")
    _check_count(classes)
    used = np.unique(values)
    wrong = [int(v) for v in used if v != UNMARKED and not 0 <= v < len(classes)]
    if wrong:
        said = f"The mask has the value {wrong[0]}, but only values below {len(classes)} have the name of a class"
        raise InputError(f"{said}; give each pixel the number of its class, and 255 where it is unmarked.")
    present = [int(v) for v in used if v != UNMARKED]
    if not present:
        return None
    compact = np.full(256, UNMARKED, np.uint8)
    compact[present] = np.arange(len(present))
    buffer = io.BytesIO()
    Image.fromarray(compact[values.astype(np.uint8)]).save(buffer, "PNG")
    return DenseMask(buffer.getvalue(), tuple(classes[v] for v in present))


def laid_over(below: DenseMask | None, above: DenseMask | None) -> DenseMask | None:
    """Both as one, `above` winning wherever it marks; `above` alone if they differ in size, as one of them is of another image.

    Raises InputError for more than 254 classes, and where the bytes of one cannot be read.
    """
    if below is None or above is None or below == above:
        return above or below
    names = tuple(dict.fromkeys([*below.classes, *above.classes]))
    under, over = _labels(below, names), _labels(above, names)
    return dense(np.where(over == UNMARKED, under, over), names) if under.shape == over.shape else above


def together(masks: Sequence[DenseMask], names: Sequence[str]) -> DenseMask | None:
    """Masks of one image as one, in whatever order they are given: where they differ, that class wins which comes last in
    `names`, all of theirs. None where there are none. Raises InputError as `laid_over` does, and if they differ in size."""
    if not masks:
        return None
    layers = [_labels(mask, names) + np.uint8(1) for mask in masks]  # so that unmarked, 255, comes first, as 0
    if len({layer.shape for layer in layers}) > 1:
        raise InputError("The masks of an image differ in size; they must all be as large as it.")
    return dense(reduce(np.maximum, layers) - np.uint8(1), names)


def _labels(mask: DenseMask, names: Sequence[str]) -> np.ndarray:
    """HxW uint8: index into `names`, 255 where unmarked."""
    _check_count(names)
    lookup = np.full(256, UNMARKED, np.uint8)
    lookup[: len(mask.classes)] = [names.index(name) for name in mask.classes]
    return lookup[mask.labels()]


def _check_count(classes: Sequence[str]) -> None:
    if len(classes) > MAX_CLASSES:
        raise InputError(f"A mask can name at most {MAX_CLASSES} classes.")
