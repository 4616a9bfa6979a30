"""Scope "object": of what is found in an image, the regions that its own marks are in (the paper's local guidance)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


def marked_regions(logits: Tensor, marks: Tensor) -> Tensor:
    """Logits (K, h, w) of K classes, turned over (p to 1 - p) in all connected regions of a class that none of its marks are in.

    marks (K, h, w) bool: cells of this image that are marked as each class. The head is told of the scope, too, but it goes by
    what things look like, and others of a kind look the same.
    """
    found = (logits > 0).numpy()
    kept = ~found
    for mask, marked, keep in zip(found, marks.numpy(), kept, strict=True):
        regions, _ = ndimage.label(mask)
        keep |= np.isin(regions, regions[marked])
    return torch.where(torch.from_numpy(kept), logits, -logits)
