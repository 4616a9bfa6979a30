"""How far a correction reaches in its own image: marks on the background where guidance of others had found a class.

Whoever marks background in a mask says of that place that it is wrong. To the head that is one more exemplar of the rest, and of
a kind that is like the class, so it lowers the class all over the image, where the mask was right, too. Here, what such marks
take is kept to what is more like them than like the class, pixel by pixel or as a whole region of the mask.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .encoder import GROUPS, upsample
from .scores import normalize

LIKE = 0.2  # what is more like the marks than like the class by so much (cosine, mean over the groups) is taken in full
SURE = 0.1  # likeness that a logit is worth: where a false mask is surest people see it, what is surer still is rather right


def confine(after: Tensor, before: Tensor, marked: Tensor, semantic: Tensor, wrong: Tensor, known: Tensor) -> Tensor:
    """Logits (K, h4, w4) that lie between those with the background marks of the image, `after`, and those without, `before`.

    marked (h4, w4) bool: cells with background marks; semantic (1, SEMANTIC, h8, w8) of the image; wrong (n, SEMANTIC): exemplars
    of these marks; known (K, SEMANTIC): the mean of each class. The smaller the share of the marks that were in the class's mask
    before, the nearer to `after`: marks drawn anywhere correct nothing, and are as good for all of the image as others.
    """
    at_marks = before[:, marked]
    contradicted = (at_marks > 0).float().mean(1)
    pixels = semantic[0].flatten(1) / len(GROUPS)
    likeness = (normalize(wrong) @ pixels).amax(0) - normalize(known) @ pixels
    likeness = upsample(likeness.unflatten(1, semantic.shape[-2:])[None], before)[0]
    likeness = likeness + SURE * (at_marks.clamp_min(0).amax(1)[:, None, None] - before.clamp_min(0))
    likeness = torch.maximum(likeness, _by_region(likeness, before > 0))
    taken = 1 - contradicted[:, None, None] * (1 - (likeness / LIKE).clamp(0, 1))
    return torch.where(after < before, before + taken * (after - before), after)


def _by_region(values: Tensor, masks: Tensor) -> Tensor:
    """The mean of `values` (K, h, w) over the connected region of `masks` (K, h, w) bool that a place is in; -inf elsewhere."""
    means = torch.full_like(values, -np.inf)
    for value, mask, mean in zip(values.numpy(), masks.numpy(), means.numpy(), strict=True):
        region = ndimage.label(mask)[0][mask]
        mean[mask] = (np.bincount(region, value[mask]) / np.bincount(region).clip(1))[region]
    return means
