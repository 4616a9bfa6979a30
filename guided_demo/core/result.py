"""What segmenting an image gives: logits at the network's resolution, brought to pixels when asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from torch import Tensor

from ..annotation import UNMARKED, Annotation
from ..geometry import Frame, scale_pixels


class Result:
    """Masks of one image.

    `classes` (K names, `background` first); `labels` HxW uint8, index into `classes`; `probabilities` KxHxW float32 that sum
    to 1; `novelty` HxW float32 in [0, 1], how unlike anything annotated a pixel is. H and W are the original image's; the
    `_at` methods give the same at another size (W, H), cheaply where it is small.
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

    @cached_property
    def labels(self) -> np.ndarray:
        return self.labels_at(self._frame.size)

    @cached_property
    def probabilities(self) -> np.ndarray:
        return self.probabilities_at(self._frame.size)

    @cached_property
    def novelty(self) -> np.ndarray:
        return self.novelty_at(self._frame.size)

    def labels_at(self, size: tuple[int, int]) -> np.ndarray:
        labels = _largest(self._frame.to_image(self._logits, 4, size).numpy())
        rows, columns, marked = self._marked(size)
        labels[rows, columns] = marked
        return labels

    def probabilities_at(self, size: tuple[int, int]) -> np.ndarray:
        probabilities = self._frame.to_image(self._logits, 4, size).softmax(0).numpy()
        rows, columns, marked = self._marked(size)
        probabilities[:, rows, columns] = np.arange(len(self.classes))[:, None] == marked
        return probabilities

    def novelty_at(self, size: tuple[int, int]) -> np.ndarray:
        return self._frame.to_image(self._novelty()[None], 8, size)[0].clamp(0, 1).numpy()

    def _marked(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and classes of the pixels at `size` that the image's own annotation settles."""
        if self._marks is None:
            none = np.zeros(0, np.intp)
            return none, none, none
        labels = self._marks.label_map(self._frame.size, self.classes)
        ys, xs = np.nonzero(labels != UNMARKED)
        columns, rows = scale_pixels(xs, ys, self._frame.size, size)
        return rows, columns, labels[ys, xs]


def _largest(logits: np.ndarray) -> np.ndarray:
    """Index of the largest over the first axis, the first of equals; an argmax over few planes is slow."""
    labels = np.zeros(logits.shape[1:], np.uint8)
    best = logits[0].copy()
    for k in range(1, len(logits)):
        better = logits[k] > best
        labels[better] = k
        np.maximum(best, logits[k], out=best)
    return labels
