"""What is surely found in an annotated image guides others beside its marks: self-training, with nothing trained.

A few marks say little of what a class looks like, and the network finds most of the rest of it where they are. All that it is
sure of is pooled as a mask would be, and weighs as `problem` has it. The image itself is told by its marks alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry import Frame
from .encoder import FINE

SURE = 0.9  # probability


def surely(logits: Tensor, frame: Frame) -> Tensor:
    """Where an image surely shows each class, (1, K, H, W) bool at the input's size, from logits (K, h4, w4): of each of their
    cells a pixel in the middle, as all of it would be pooled to the same in more time."""
    width, height = (side // FINE for side in frame.content)
    sure = torch.zeros(1, len(logits), *frame.padded, dtype=torch.bool)
    cells = sure[:, :, FINE // 2 :: FINE, FINE // 2 :: FINE]
    cells[:, :, :height, :width] = logits[:, :height, :width].softmax(0) > SURE  # and nothing of the padding
    return sure
