"""The only place where image, tensor, feature and mask coordinates are converted.

Original pixels (W, H) -> the network's input, shrunk or enlarged with its aspect kept until its longer side is `side`, or up to a
sixth more where the photo has that many pixels, its sides multiples of 4 -> padded at the right and bottom to multiples of 32 ->
maps at strides 4, 8 and 16. Pixel i covers [i, i + 1) at every scale, so a coordinate is converted by one factor an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .annotation import Annotation

CELL, MULTIPLE = 4, 32
MORE = 1 / 6  # thin and small things gain by it where pixels are real; in photos that are enlarged all lose
PADDING = 127 / 255  # grey, which the backbone sees as zero


@dataclass(frozen=True)
class Frame:
    """How one image is shown to the network: original size (W, H), and its size (W, H) in the input before padding."""

    size: tuple[int, int]
    content: tuple[int, int]

    @classmethod
    def fit(cls, size: tuple[int, int], side: int) -> Frame:
        longest = max(size)
        scale = min(max(longest, side), round(side * (1 + MORE))) / longest
        width, height = (max(CELL, round(n * scale / CELL) * CELL) for n in size)
        return cls(size, (width, height))

    @property
    def padded(self) -> tuple[int, int]:
        """(H, W) of the network's input."""
        width, height = (-(-n // MULTIPLE) * MULTIPLE for n in self.content)
        return height, width

    def to_input(self, pixels: np.ndarray) -> Tensor:
        """RGB pixels (H, W, 3) uint8 of the image to (1, 3, H, W) float32 in [0, 1], padded with grey."""
        maps = torch.from_numpy(np.require(pixels, requirements="W")).permute(2, 0, 1)[None]
        # Filtered on the way down, so that no pixel is skipped, however large the photo; as Pillow does, in a third of the time.
        small = F.interpolate(maps, size=self.content[::-1], mode="bilinear", align_corners=False, antialias=True)
        shown = small.float().div_(255)
        height, width = self.padded
        if (width, height) == self.content:
            return shown
        return F.pad(shown, (0, width - self.content[0], 0, height - self.content[1]), value=PADDING)

    def annotation_to_input(self, annotation: Annotation, classes: Sequence[str], stride: int = 1) -> Tensor:
        """(1, K, H / stride, W / stride) bool: whether a cell of the input holds an annotated pixel of the class."""
        rows, columns, labels = annotation.marked(self.size, classes, self.content)
        out = np.zeros((len(classes), *(side // stride for side in self.padded)), bool)
        rows, columns = scale_pixels(rows, columns, self.size, self.content)
        out[labels, rows // stride, columns // stride] = True
        return torch.from_numpy(out)[None]

    def to_image(self, maps: Tensor, stride: int, size: tuple[int, int] | None = None) -> Tensor:
        """Maps (K, h, w) of the padded input at a stride to (K, H, W) in the original's pixels, or another `size` (W, H)."""
        # Whole cells of CELL pixels hold the content; those of a larger stride may reach beyond it.
        finer = max(1, stride // CELL)
        if finer > 1:
            maps = F.interpolate(maps[:, None], scale_factor=finer, mode="bilinear", align_corners=False)[:, 0]
        width, height = (n * finer // stride for n in self.content)
        target = size or self.size
        # As a batch, because three channels would be taken for a picture's, which is several times slower and rounds otherwise.
        shown = maps[:, None, :height, :width]
        return F.interpolate(shown, size=(target[1], target[0]), mode="bilinear", align_corners=False)[:, 0]


def scale_pixels(
    rows: np.ndarray, columns: np.ndarray, size: tuple[int, int], target: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of an image of `size` (W, H) to the pixels of `target` (W, H) that hold their centres, as rows and columns."""
    return (2 * rows + 1) * target[1] // (2 * size[1]), (2 * columns + 1) * target[0] // (2 * size[0])
