"""From features and annotated pixels to exemplars: what guidance keeps of a support image (late fusion, section 4.2).

Up to COUNT annotated pixels are kept as they are, each the bilinear sample of the maps at its centre. More are averaged
within the cells of a grid, the finest of SIZES that leaves at most COUNT cells; so the weighted mean of the exemplars always
is the paper's masked average, and what the mean would lose is still there.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .encoder import FINE, Features, halve

COUNT = 80
SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48)  # sides of a cell, at stride 8


@dataclass(frozen=True)
class Exemplars:
    """Of M images and K classes: semantic (M, K, COUNT, SEMANTIC), detail (M, K, COUNT, DETAIL), weight (M, K, COUNT).

    Weights sum to 1 over COUNT, or are all 0 where the class has no annotated pixel; pixels (M, K) is their number.
    """

    semantic: Tensor
    detail: Tensor
    weight: Tensor
    pixels: Tensor


def pool(features: Features, annotation: Tensor) -> Exemplars:
    """`features` of M images, in any precision, and `annotation` (M, K, H, W) at the input's size: True or 1 where a pixel
    is of the class, else False or 0."""
    marked = annotation.bool()
    pixels = _count(marked)
    few = pixels <= COUNT
    # Known on the host only where it costs nothing to ask; on a GPU both ways are computed and one is taken.
    if annotation.device.type == "cpu" and bool(few.all()):
        return Exemplars(*_at_pixels(features, marked), pixels)
    dense = _in_cells(features, marked)
    if annotation.device.type == "cpu" and not bool(few.any()):
        return Exemplars(*dense, pixels)
    sparse = _at_pixels(features, marked)
    semantic, detail, weight = (
        torch.where(few[(...,) + (None,) * (a.ndim - 2)], a, b) for a, b in zip(sparse, dense, strict=True)
    )
    return Exemplars(semantic, detail, weight, pixels)


def sample(maps: Tensor, x: Tensor, y: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear samples of maps (M, D, h, w) at x, y (M, N) in pixels of the input of `size` (H, W): (M, N, D)."""
    height, width = size
    grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], -1)
    found = F.grid_sample(maps, grid[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def _count(marked: Tensor) -> Tensor:
    """(M, K, H, W) bool to the numbers of marked pixels (M, K) float32."""
    if marked.device.type == "cpu":  # NumPy counts truths many times quicker
        return torch.from_numpy(np.count_nonzero(marked.numpy(), (2, 3)).astype(np.float32))
    return marked.sum((2, 3)).float()


def _at_pixels(features: Features, marked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m, k, height, width = marked.shape
    chosen, index = _places(marked.flatten(2))
    x, y = (index % width + 0.5).flatten(1), (index // width + 0.5).flatten(1)
    maps = features.semantic.float(), features.detail.float()
    semantic, detail = (sample(each, x, y, (height, width)).reshape(m, k, COUNT, -1) for each in maps)
    return semantic, detail, chosen / chosen.sum(-1, keepdim=True).clamp_min(1)


def _places(marked: Tensor) -> tuple[Tensor, Tensor]:
    """1 for each of up to COUNT pixels marked in (M, K, N) bool, 0 for what is left over, and their places; (M, K, COUNT)."""
    if marked.device.type != "cpu":
        chosen, index = marked.float().topk(COUNT, dim=2)
        return chosen, index
    # Few are marked: to look for them is quicker than to sort all.
    index = torch.zeros(*marked.shape[:2], COUNT, dtype=torch.long)
    chosen = torch.zeros(index.shape)
    for row, places, ones in zip(marked.flatten(0, 1), index.flatten(0, 1), chosen.flatten(0, 1), strict=True):
        found = row.nonzero()[:COUNT, 0]
        places[: len(found)], ones[: len(found)] = found, 1
    return chosen, index


def _share(marked: Tensor, side: int) -> Tensor:
    """Of (M, K, H, W) bool, the share of each cell of `side` x `side` that is marked."""
    count = marked.view(torch.uint8)  # small numbers are summed quickly
    count = reduce(operator.add, (count[..., i::side, :] for i in range(side)))
    count = reduce(operator.add, (count[..., i::side] for i in range(side)))
    return count / side**2


def _in_cells(features: Features, marked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m, k = marked.shape[:2]
    fine = _share(marked, FINE)
    coarse = halve(fine)
    cell = _cells(coarse > 0)
    semantic, weight = _sums(features.semantic, coarse, cell)
    detail, fine_weight = _sums(features.detail, fine, cell.repeat_interleave(2, -1).repeat_interleave(2, -2))
    semantic, detail = semantic / weight.clamp_min(1e-6), detail / fine_weight.clamp_min(1e-6)
    weight = weight.reshape(m, k, COUNT)
    shape = (m, k, COUNT, -1)
    return semantic.reshape(shape), detail.reshape(shape), weight / weight.sum(-1, keepdim=True).clamp_min(1e-6)


def _sums(maps: Tensor, share: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of `maps` (M, D, h, w) weighted by `share` (M, K, h, w) over each cell (M * K * COUNT, D), and of the weights."""
    # Only what is marked is touched: most annotation covers little of its image.
    image, label, row, column = share.nonzero(as_tuple=True)
    place = (image * share.shape[1] + label) * COUNT + cell[image, label, row, column]
    weight = share[image, label, row, column][:, None]
    count = share.shape[0] * share.shape[1] * COUNT
    values = weight * maps[image, :, row, column].float()
    sums = values.new_zeros(count, values.shape[1]).index_add_(0, place, values)
    return sums, weight.new_zeros(count, 1).index_add_(0, place, weight)


def _cells(occupied: Tensor) -> Tensor:
    """(M, K, h, w) bool to the number of the cell that each occupied place belongs to; COUNT where it is not occupied."""
    h, w = occupied.shape[-2:]
    chosen = torch.full(occupied.shape, COUNT, dtype=torch.long, device=occupied.device)
    settled = torch.zeros(*occupied.shape[:2], 1, 1, dtype=torch.bool, device=occupied.device)
    # One cell as large as the map always fits, whatever its size.
    for size in (*(n for n in SIZES if n < max(h, w)), max(h, w)):
        cells = F.max_pool2d(occupied.float(), size, ceil_mode=True)
        fits = cells.sum((2, 3), keepdim=True) <= COUNT
        if occupied.device.type == "cpu" and not bool((fits & ~settled).any()):
            continue
        number = (cells.flatten(2).cumsum(-1) - 1).reshape(cells.shape).long()
        spread = number.repeat_interleave(size, -1).repeat_interleave(size, -2)[..., :h, :w]
        chosen = torch.where(fits & ~settled & occupied, spread, chosen)
        settled = settled | fits
        if occupied.device.type == "cpu" and settled.all():
            break
    return chosen
