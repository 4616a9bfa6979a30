"""From features and annotated pixels to exemplars: what guidance keeps of a support image (late fusion, section 4.2).

Up to COUNT annotated pixels are kept as they are, each the bilinear sample of the maps at its centre. More are averaged
within the cells of a grid, the finest of SIZES that leaves at most COUNT cells; so the weighted mean of the exemplars always
is the paper's masked average, and what the mean would lose is still there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .encoder import FINE, Features

COUNT = 80
STRIDES = 2 * FINE, FINE  # of semantics, of detail
Terms = tuple[np.ndarray, ...]
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
    m, k, height, width = annotation.shape
    # What is marked is looked for on the host: it is little, and NumPy is done with it in the time that torch takes to begin.
    row, place = np.divmod(np.flatnonzero(annotation.bool().cpu().numpy()), height * width)  # a row is a class of an image
    y, x = np.divmod(place, width)
    pixels = np.bincount(row, minlength=m * k)
    ends = np.cumsum(pixels)
    weight = np.zeros((m * k, COUNT), np.float32)
    terms: tuple[list[Terms], list[Terms]] = [], []
    for each in np.flatnonzero(pixels):
        its = slice(ends[each] - pixels[each], ends[each])
        take = _at_pixels if pixels[each] <= COUNT else _in_cells
        weight[each], both = take(y[its], x[its], height, width)
        for kept, (number, *rest) in zip(terms, both, strict=True):
            kept.append((each * COUNT + number, np.full(len(number), each // k), *rest))
    maps = zip((features.semantic, features.detail), terms, strict=True)
    semantic, detail = (_sums(part, kept, m * k * COUNT).unflatten(0, (m, k, COUNT)) for part, kept in maps)
    weights, counts = (torch.from_numpy(part).to(detail.device).unflatten(0, (m, k)) for part in (weight, pixels))
    return Exemplars(semantic, detail, weights, counts.float())


def _sums(maps: Tensor, terms: list[Terms], count: int) -> Tensor:
    """What terms of maps (M, D, h, w), each an exemplar, an image, a row, a column and a share, add up to: (count, D) float32.
    Terms are in the order of the exemplars."""
    if not terms:
        return maps.new_zeros(count, maps.shape[1], dtype=torch.float32)
    number, image, row, column, share = map(np.concatenate, zip(*terms, strict=True))
    m, _, height, width = maps.shape
    bags = (image * height + row) * width + column, np.searchsorted(number, np.arange(count)), share
    places, begins, shares = (torch.from_numpy(part).to(maps.device) for part in bags)
    # As bags of words: to take the terms, multiply and add them one after the other takes ten times as long.
    table = maps.permute(0, 2, 3, 1).reshape(m * height * width, -1).float()
    return F.embedding_bag(places, table, begins, mode="sum", per_sample_weights=shares)


def _at_pixels(y: np.ndarray, x: np.ndarray, height: int, width: int) -> tuple[np.ndarray, list[Terms]]:
    """Up to COUNT pixels (n,) of an input of `height` x `width`, each on its own: their weights (COUNT,), and at either of
    STRIDES the terms of their bilinear samples."""
    weight, number, both = np.zeros(COUNT, np.float32), np.arange(len(y)), []
    weight[: len(y)] = 1 / len(y)
    for stride in STRIDES:
        corners = []
        for places, side in ((y, height // stride), (x, width // stride)):
            inside = ((places + 0.5) / stride - 0.5).clip(0, side - 1)
            low = inside.astype(int)
            part = (inside - low).astype(np.float32)
            corners.append(((low, 1 - part), (np.minimum(low + 1, side - 1), part)))
        four = [(number, row, column, down * across) for row, down in corners[0] for column, across in corners[1]]
        both.append(tuple(np.stack(parts, 1).ravel() for parts in zip(*four, strict=True)))
    return weight, both


def _in_cells(y: np.ndarray, x: np.ndarray, height: int, width: int) -> tuple[np.ndarray, list[Terms]]:
    """The same for any number of pixels, in at most COUNT cells."""
    (count, row, column), (finer, down, across) = (_counts(y, x, width, stride) for stride in STRIDES)
    cell = np.zeros((height // STRIDES[0], width // STRIDES[0]), int)
    cell[row, column] = number = _numbers(row, column, max(cell.shape))
    total = np.bincount(number, count, minlength=COUNT).astype(np.float32)
    inner = cell[down // 2, across // 2]
    both = (number, row, column, count / total[number]), (inner, down, across, finer / total[inner])
    # Of so small a type, they are sorted in a tenth of the time.
    orders = (terms[0].astype(np.uint8).argsort(kind="stable") for terms in both)
    return total / len(y), [tuple(part[order] for part in terms) for terms, order in zip(both, orders, strict=True)]


def _counts(y: np.ndarray, x: np.ndarray, width: int, stride: int) -> Terms:
    """How many of the pixels (n,) each place of a map holds, as float32, and its row and column, of those that hold some."""
    count = np.bincount(y // stride * (width // stride) + x // stride)
    places = count.nonzero()[0]
    return count[places].astype(np.float32), *np.divmod(places, width // stride)


def _numbers(row: np.ndarray, column: np.ndarray, side: int) -> np.ndarray:
    """The number of the cell, in reading order, that each of n different places of a map, of `side` at most, belongs to."""
    for size in SIZES:
        if len(row) <= COUNT * size**2:
            cell = row // size * side + column // size
            taken = np.bincount(cell) > 0
            numbers = taken.cumsum() - 1
            if numbers[-1] < COUNT:
                return numbers[cell]
    return np.zeros(len(row), int)  # one cell as large as the map always fits
