"""How far a correction reaches: marks on the background where guidance had found a class.

Whoever marks background in a mask says of that place that it is wrong. To the head that is one more exemplar of the rest, and of
a kind that is like the class, so it lowers the class everywhere, where masks were right, too; and as the learned negatives give
way to what is marked, it raises the class elsewhere. Here such marks only take, and only what is more like them than like the
class, pixel by pixel or as a whole region of the mask.

In an image where nothing but background is marked, a region with such a mark in it may show nothing of the class at all. As a
whole it can be told from the class by the deepest features (see `absence`), and then all of it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from ..annotation import BACKGROUND
from .absence import DEEP
from .encoder import GROUPS, upsample
from .guidance import Guidance
from .scores import normalize

LIKE = 0.2  # what is more like the marks than like the class by so much (cosine, mean over the groups) is taken in full
SURE = 0.1  # likeness that a logit is worth: what is surer than where the marks are is rather right
USUAL = 3.0  # logits where marks correct, as far as is known of another image
UNLIKE = 0.2, 0.3  # a region more like its marks than like the class by so much (cosine) begins to go, and goes in full
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
    before: Tensor,
    after: Callable[[], Tensor],
    marked: Tensor,
    semantic: Tensor,
    wrong: Tensor,
    known: Tensor,
    shows: bool,
) -> Tensor:
    """Logits (K, h4, w4) from those without corrections and those with them, which are only asked for if they matter.

    marked (h4, w4) bool: cells of this image with background marks, which may be none: then others were corrected; semantic
    (1, SEMANTIC, h8, w8) of this image; wrong (n, SEMANTIC): exemplars of the corrections; known (K, SEMANTIC): the mean of each
    class; shows: whether marks of a class are in this image. The smaller the share of this image's marks that were in the class's
    mask before, the nearer to `after`: marks drawn anywhere correct nothing, and are as good for all of the image as others.
    """
    sure, contradicted = before.new_full((len(before),), USUAL), before.new_ones(len(before))
    if marked.any():
        at_marks = before[:, marked]
        sure, contradicted = at_marks.clamp_min(0).amax(1), (at_marks > 0).float().mean(1)
    pixels = semantic[0].flatten(1) / len(GROUPS)
    likeness = (normalize(wrong) @ pixels).amax(0) - normalize(known) @ pixels
    likeness = upsample(likeness.unflatten(1, semantic.shape[-2:])[None], before)[0]
    likeness = likeness + SURE * (sure[:, None, None] - before.clamp_min(0))
    regions = torch.from_numpy(np.stack([ndimage.label(mask)[0] for mask in (before > 0).numpy()]))
    taken = (torch.maximum(likeness, _by_region(likeness, regions)) / LIKE).clamp(0, 1)
    gone = torch.zeros_like(before) if shows else _unlike(regions, marked, semantic[0, -DEEP:], known[:, -DEEP:])
    if contradicted.amin() == 1 and not ((torch.maximum(taken, gone) > 0) & (before > 0)).any():
        return before
    changed = after()
    kept = torch.minimum(before + taken * (changed - before).clamp(max=0), before * (1 - gone) - USUAL * gone)
    return changed + contradicted[:, None, None] * (kept - changed)


def _by_region(values: Tensor, regions: Tensor) -> Tensor:
    """The mean of `values` (K, h, w) over the connected region that a place is in; -inf where it is in none.

    regions (K, h, w): numbers of the regions of each mask from 1, 0 outside.
    """
    means = torch.full_like(values, -np.inf)
    for value, number, mean in zip(values.numpy(), regions.numpy(), means.numpy(), strict=True):
        region = number[mask := number > 0]
        mean[mask] = (np.bincount(region, value[mask]) / np.bincount(region).clip(1))[region]
    return means


def _unlike(regions: Tensor, marked: Tensor, deep: Tensor, known: Tensor) -> Tensor:
    """How far the regions that marks (h4, w4) are in go as a whole, 0 to 1; 0 elsewhere: (K, h4, w4).

    regions (K, h4, w4) as above; deep (DEEP, h8, w8) and known (K, DEEP): what the image and the classes look like.
    """
    (begins, full), gone = UNLIKE, torch.zeros(regions.shape)
    for numbers, mean, out in zip(regions, known, gone, strict=True):
        for number in numbers[marked & (numbers > 0)].unique():
            region = numbers == number
            cells = F.avg_pool2d(torch.stack([region, region & marked])[None].float(), 2)[0].flatten(1)
            whole, at_marks = (cells / cells.sum(1, keepdim=True)) @ deep.flatten(1).T
            alike = F.cosine_similarity(whole, torch.stack([at_marks, mean]))
            out[region] = ((alike[0] - alike[1] - begins) / (full - begins)).clamp(0, 1)
    return gone
