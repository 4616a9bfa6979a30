"""Whether a query shows a class at all.

Training nearly always asked for what the query shows, so a first look finds something in any image, be it only the most
similar thing in it. As a whole it can be told from the class by the deepest features, which a single pixel cannot.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .encoder import GROUPS

DEEP = GROUPS[-1]  # the last numbers of the semantic descriptor, from the backbone at stride 32
ALIKE = 0.3  # cosine from which on what was found may well be of a class that one image shows
MORE = 0.06  # what that rises by each time as many images again show the class: their mean is nearer to all of it
WORTH = 20.0  # logits for a cosine that is less by 1
LARGE = 0.05  # of the image; for what is smaller, features at stride 32 tell mostly of what is around it


def doubt(found: Tensor, sure: Tensor, known: Tensor, images: Tensor, shown: Tensor) -> Tensor:
    """What the logits of B classes are too high by (B,), at least 0, for what a first look has found is unlike the class.

    found (B, SEMANTIC): the mean of what was found, and sure (B,) the share of the image that this is, each pixel counted by how
    sure it is; known (B, SEMANTIC): the mean of the class's exemplars; images (B,): log2 of how many images these are from, as in
    `problem.statistics`; shown (B,): 1 where marks of the query itself settle that it shows the class.
    """
    likeness = F.cosine_similarity(found[:, -DEEP:], known[:, -DEEP:], dim=-1)
    unlike = (ALIKE + MORE * images - likeness).clamp_min(0)
    return WORTH * unlike * (sure / LARGE).clamp(max=1) * (1 - shown)
