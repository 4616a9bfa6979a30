"""Regions of a mask that are less sure, and less like the class, than its surest one: most of them are something else.

A false region is rarely as sure as what is truly of the class in the same image, and rarely looks as much like the class to the
middle of the backbone, which knows parts and textures. Neither has a level that holds for all tasks; beside the surest region of
the mask, both say much.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from .encoder import FINE, GROUPS
from .selfsupport import MARKED

MIDDLE = slice(GROUPS[0], GROUPS[0] + GROUPS[1])  # of the semantic descriptor: what the backbone has at stride 16
CELLS = 16 // FINE  # at stride 4, along a side of a place at stride 16
ALIKE = 1.5  # what a difference of cosines to the class counts for, beside one in how sure regions are, as a share of the surest
ENOUGH = 0.3  # what has so much of the surest loses nothing
STEEP = 50.0  # logits that are lost with what it has less, a share


def doubt_lesser(logits: Tensor, semantic: Tensor, known: Tensor, marks: Tensor) -> Tensor:
    """Logits (K, h, w) of K classes at stride 4, lower in regions that are lesser than the surest of their class.

    semantic (SEMANTIC, h16, w16), in any precision: of the image at stride 16; known (K, SEMANTIC): the means of the classes;
    marks (K, h, w) bool: cells of this image that are marked as each class. Regions with such a mark stay as they are.
    """
    places, means = semantic[MIDDLE].float().flatten(1).T.numpy(), known[:, MIDDLE].numpy()
    kept = logits.clone()
    for logit, mean, marked, out in zip(logits.numpy(), means, marks.numpy(), kept.numpy(), strict=True):
        regions, count = ndimage.label(logit > 0)
        if count > 1:
            fall = _fall(logit, regions, places, semantic.shape[2], mean)
            fall[regions[marked]] = 0
            out -= fall[regions] * (MARKED / (MARKED + marked.sum()))
    return kept


def _fall(logit: np.ndarray, regions: np.ndarray, places: np.ndarray, width: int, known: np.ndarray) -> np.ndarray:
    """By how much logits (h, w) fall in each region, float32; 0 for number 0, which is none.

    places (h16 * w16, D): what is at stride 16, `width` places a row; known (D,): the class.
    """
    y, x = regions.nonzero()
    region, sure = regions[y, x] - 1, logit[y, x]
    area, total = np.bincount(region), np.bincount(region, sure)
    place = y // CELLS * width + x // CELLS
    shares = np.bincount(region * len(places) + place, sure, len(area) * len(places)).reshape(len(area), -1)
    means = shares @ places
    alike = means @ known / np.maximum(np.linalg.norm(means, axis=1) * np.linalg.norm(known), 1e-6)
    surest = np.argmax(total / np.sqrt(area))  # mean logit, times the root of the area
    mean = total / area
    has = mean / mean[surest] + ALIKE * (alike - alike[surest])
    has[surest] = 1
    return np.concatenate([[0], STEEP * np.clip(ENOUGH - has, 0, None)]).astype(np.float32)
