"""How far a correction reaches: marks on the background where guidance had found a class.

Whoever marks background in a mask says of that place that it is wrong. To the head that is one more exemplar of the rest, and of
a kind that is like the class, so it lowers the class everywhere, where masks were right, too; and as the learned negatives give
way to what is marked, it raises the class elsewhere. Here such marks only take, and only what is more like them than like the
class, pixel by pixel or as a whole region of the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..annotation import BACKGROUND
from .encoder import GROUPS, upsample
from .guidance import Guidance
from .scores import normalize

LIKE = 0.2  # what is more like the marks than like the class by so much (cosine, mean over the groups) is taken in full
SURE = 0.1  # likeness that a logit is worth: what is surer than where the marks are is rather right
USUAL = 3.0  # logits where marks correct, as far as is known of another image
MOST = 96  # exemplars of corrections that pixels are compared with, an even choice of more


@dataclass(frozen=True)
class Split:
    """Guidance `before` its corrections; wrong (n, SEMANTIC): their exemplars; classes: those that others than the corrected
    images guide, whose masks can have been wrong."""

    before: Guidance
    wrong: Tensor
    classes: frozenset[str]


def corrections(guidance: Guidance, own: str | None) -> Split:
    """Corrections are the background marks of the images in which nothing else is marked, and of the image `own` (its key); there
    must be some."""
    others = guidance.uncorrected if own is None else guidance.uncorrected.without(own)
    before = others if own is None else others + guidance.only(own).drop_class(BACKGROUND)
    settled = set(others.images)
    wrong = [c.samples[BACKGROUND].semantic for c in guidance.ledger.values() if BACKGROUND in c.samples and c.key not in settled]
    exemplars = np.concatenate(wrong)
    chosen = np.linspace(0, len(exemplars) - 1, min(len(exemplars), MOST)).round().astype(int)
    classes = frozenset(name for c in others.ledger.values() for name in c.samples)
    return Split(before, torch.from_numpy(exemplars[chosen]), classes)


def confine(
    before: Tensor, after: Callable[[], Tensor], marked: Tensor, semantic: Tensor, wrong: Tensor, known: Tensor
) -> Tensor:
    """Logits (K, h4, w4) from those without corrections and those with them, which are only asked for if they matter.

    marked (h4, w4) bool: cells of this image with background marks, which may be none: then others were corrected; semantic
    (1, SEMANTIC, h8, w8) of this image; wrong (n, SEMANTIC): exemplars of the corrections; known (K, SEMANTIC): the mean of each
    class. The smaller the share of this image's marks that were in the class's mask before, the nearer to `after`: marks drawn
    anywhere correct nothing, and are as good for all of the image as others.
    """
    sure, contradicted = before.new_full((len(before),), USUAL), before.new_ones(len(before))
    if marked.any():
        at_marks = before[:, marked]
        sure, contradicted = at_marks.clamp_min(0).amax(1), (at_marks > 0).float().mean(1)
    pixels = semantic[0].flatten(1) / len(GROUPS)
    likeness = (normalize(wrong) @ pixels).amax(0) - normalize(known) @ pixels
    likeness = upsample(likeness.unflatten(1, semantic.shape[-2:])[None], before)[0]
    likeness = likeness + SURE * (sure[:, None, None] - before.clamp_min(0))
    taken = (torch.maximum(likeness, _by_region(likeness, before > 0)) / LIKE).clamp(0, 1)
    if contradicted.amin() == 1 and not ((taken > 0) & (before > 0)).any():
        return before
    changed = after()
    kept = before + taken * (changed - before).clamp(max=0)
    return changed + contradicted[:, None, None] * (kept - changed)


def _by_region(values: Tensor, masks: Tensor) -> Tensor:
    """The mean of `values` (K, h, w) over the connected region of `masks` (K, h, w) bool that a place is in; -inf elsewhere."""
    means = torch.full_like(values, -np.inf)
    for value, mask, mean in zip(values.numpy(), masks.numpy(), means.numpy(), strict=True):
        region = ndimage.label(mask)[0][mask]
        mean[mask] = (np.bincount(region, value[mask]) / np.bincount(region).clip(1))[region]
    return means
