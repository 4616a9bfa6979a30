"""What segmenting an image gives: logits at the network's resolution, brought to pixels when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from operator import index

import numpy as np
from torch import Tensor

from ..annotation import UNMARKED, Annotation
from ..errors import InputError
from ..geometry import Frame, scale_pixels
from .edges import FINEST


class Result:
    """Masks of one image.

    `classes` (K names, `background` first); `labels` HxW uint8, index into `classes`; `probabilities` KxHxW float32 that sum
    to 1; `novelty` HxW float32 in [0, 1], how unlike anything annotated a pixel is. H and W are the original image's; the
    `_at` methods give the same at another size (W, H), cheaply where it is small; `labels_at` with `unsure`, a probability,
    has 255 where the likeliest class is less likely than that, unless the pixel is annotated. They raise InputError for a size
    that none has. What they give is the caller's; `labels`, `probabilities` and `novelty` are kept, and cannot be written to.
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        frame: Frame,
        logits: Tensor,
        novelty: Callable[[], Tensor],
        annotation: Annotation | None,
    ) -> None:
        self.classes = classes
        self._frame, self._logits, self._novelty = frame, logits, novelty
        self._marks = None if annotation is None or annotation.is_empty else annotation

    def __repr__(self) -> str:
        width, height = self._frame.size
        return f"Result({width}x{height}; {', '.join(self.classes)})"

    def __reduce__(self) -> tuple:
        # A copy elsewhere, in another process say, has no network to ask for what is unlike its marks: it takes the answer along.
        novelty = partial(Tensor.clone, self._novelty())
        return Result, (self.classes, self._frame, self._logits, novelty, self._marks)

    @property
    def nbytes(self) -> int:
        """Of what is known now; what is asked for at a size and kept, such as `labels`, comes on top of it."""
        return self._logits.nbytes

    @cached_property
    def labels(self) -> np.ndarray:
        return _kept(self.labels_at(self._frame.size))

    @cached_property
    def probabilities(self) -> np.ndarray:
        return _kept(self.probabilities_at(self._frame.size))

    @cached_property
    def novelty(self) -> np.ndarray:
        return _kept(self.novelty_at(self._frame.size))

    def labels_at(self, size: tuple[int, int], unsure: float = 0.0) -> np.ndarray:
        size = _checked(size)
        if len(self.classes) == 1:
            return np.zeros((size[1], size[0]), np.uint8)
        labels, largest = _largest(self._planes(size))
        if unsure > 0:
            np.maximum(largest, 0, out=largest)
            # The softmax of the largest logit is 1 over the sum of e to the differences to it.
            total = np.exp(-largest)
            for plane in self._planes(size):
                plane -= largest
                total += np.exp(plane, out=plane)
            labels[unsure * total > 1] = UNMARKED
        rows, columns, marked = self._marked(size)
        labels[rows, columns] = marked
        return labels

    def probabilities_at(self, size: tuple[int, int]) -> np.ndarray:
        size = _checked(size)
        probabilities = self._frame.to_image(self._logits, FINEST, size).softmax(0).numpy()
        rows, columns, marked = self._marked(size)
        probabilities[:, rows, columns] = np.arange(len(self.classes))[:, None] == marked
        return probabilities

    def novelty_at(self, size: tuple[int, int]) -> np.ndarray:
        return self._frame.to_image(self._novelty()[None], 8, _checked(size))[0].clamp(0, 1).numpy()

    def _planes(self, size: tuple[int, int]) -> Iterator[np.ndarray]:
        """The logits of every class but the background, whose are 0, HxW float32 that may be written over; one after the other:
        together, dozens of classes in a large photo would take many GB."""
        return (self._frame.to_image(plane[None], FINEST, size)[0].numpy() for plane in self._logits[1:])

    def _marked(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and classes of the pixels at `size` that the image's own annotation settles."""
        if self._marks is None:
            none = np.zeros(0, np.intp)
            return none, none, none
        rows, columns, labels = self._marks.marked(self._frame.size, self.classes, size)
        return *scale_pixels(rows, columns, self._frame.size, size), labels


def _kept(values: np.ndarray) -> np.ndarray:
    """The same, which whoever asks later finds as it is."""
    values.flags.writeable = False
    return values


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    """The same. Raises InputError for what is no size (W, H)."""
    try:
        width, height = map(index, size)
    except (TypeError, ValueError):
        width = height = 0
    if min(width, height) < 1:
        raise InputError(f"A size is (width, height), two whole numbers above zero, and not {size!r:.80}.")
    return width, height


def _largest(planes: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Index of the largest of 0, the background's logit, and of those of the other classes, K - 1 planes HxW, the first of
    equals: HxW uint8; and the largest logit but the background's. The first plane is written over."""
    best = next(planes)
    labels = (best > 0).view(np.uint8)
    for k, plane in enumerate(planes, 2):
        np.maximum(best, 0, out=best)
        labels[plane > best] = k
        np.maximum(best, plane, out=best)
    return labels, best
