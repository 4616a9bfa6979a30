"""The query as one more support image (self-support, Fan et al. 2022): what a first look is sure of guides a second.

Things of one image are more like each other than like those of another, so a query describes its own object better than the
support does, as soon as some of it is found.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .problem import MOST_PIXELS, Labelled, statistics

CELL = 8  # side of the cells, at stride 8, whose pixels are averaged to one exemplar a side
MARKED = 10  # cells marked on the query itself that halve the share of what is found in it: marks are surer
LEAST = 1e-3  # mean certainty of a cell below which it is no exemplar


def as_support(semantic: Tensor, glance: Tensor, stats: Tensor, marked: Tensor) -> tuple[Labelled, Tensor]:
    """Exemplars of a query, and the share (B,) of the annotated images' weight that it gets.

    semantic (B, SEMANTIC, h8, w8), or one for all; glance: logits (B, h8, w8); stats (B, STATS) of the support; marked (B,):
    cells of the query that its own marks take, on the side that has fewer. Every pixel counts by the square of how sure it is, so
    there is no threshold; the share is that of one image among all, less the more is marked, and 0 where nothing is found,
    or nothing else.
    """
    cells = _cells(semantic)
    certain = torch.tanh(glance / 2)  # 2 p - 1
    sides = torch.stack([certain.clamp_min(0), (-certain).clamp_min(0)], 1) ** 2
    sure = _cells(sides).transpose(-1, -2)  # (B, cells, 2, CELL^2)
    total = sure.sum(-1, keepdim=True)
    rows = (sure @ cells) / total.clamp_min(1e-6)
    weight = torch.where(total > LEAST * CELL**2, total, 0)
    found = weight.sum(1, keepdim=True)
    useful = (found > 0).all(2)[:, 0, 0]
    sign = torch.tensor([1.0, -1.0], device=glance.device) * ((weight[..., 0] > 0) & useful[:, None, None])
    labelled = Labelled(rows.flatten(1, 2), sign.flatten(1), (weight / found.clamp_min(1e-6)).flatten(1))
    return labelled, useful / (1 + torch.exp2(stats[:, 3])) * MARKED / (MARKED + marked)


def margins(glance: Tensor) -> Tensor:
    """Logits (K, h8, w8) of K classes in one image, each against the likeliest of the others instead of the background alone.

    What looks like two of the classes is a sure example of neither.
    """
    first, second = torch.cat([torch.zeros_like(glance[:1]), glance]).topk(2, dim=0).values
    return glance - torch.where(glance == first, second, first)


def second_stats(stats: Tensor, share: Tensor) -> Tensor:
    """Statistics with one more image, wholly annotated, where it has a share."""
    many = torch.full_like(share, MOST_PIXELS)
    more = statistics(many, many, 1 + torch.exp2(stats[:, 3]), stats[:, 4], stats[:, 5])
    return torch.where(share[:, None] > 0, more, stats)


def _cells(maps: Tensor) -> Tensor:
    """(B, C, h, w) to (B, cells, CELL^2, C), zeros beyond the border."""
    h, w = maps.shape[-2:]
    if h % CELL or w % CELL:
        maps = F.pad(maps, (0, -w % CELL, 0, -h % CELL))
    return maps.unflatten(3, (-1, CELL)).unflatten(2, (-1, CELL)).permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)
