"""Edges finer than the network sees, along the colours of the photo: a fast guided filter (He and Sun, arXiv 1505.00996).

The network tells cells of 4 x 4 pixels apart, and what is thinner than that, or a border through a cell, is lost. Around a border
its logits go with colour, though. How much they change with it is worked out around each cell, and a quarter of the cell that
differs in colour from its surroundings differs in its logit by that. Where logits do not go with colour, nothing is added, and
what the filter would smooth is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .encoder import FINE, halve

FINEST = FINE // 2  # stride of what comes out
AROUND = 2  # cells to every side that a slope is worked out in
LEAST = 1e-4  # variance of colours, of 1 from black to white, below which they tell little
CERTAIN = 8.0  # logits beyond which one is as sure as another


@dataclass(frozen=True, eq=False)
class Edges:
    """Of one image, without the padding of the network's input: maps of h4 x w4 are at its stride 4, of h2 x w2 at stride 2.

    colours (3, h4, w4) float16: RGB in [0, 1]; finer (3, h2, w2) float16: what they are there, less the former interpolated;
    precision (6, h4, w4) float32: upper triangles of the inverse covariance of the colours around each cell.
    """

    colours: Tensor
    finer: Tensor
    precision: Tensor

    @classmethod
    def of(cls, pixels: Tensor) -> Edges:
        """From RGB in [0, 1], (1, 3, H, W), sides multiples of FINE."""
        fine = halve(pixels)
        colours = halve(fine)[0]
        finer = fine[0] - _resampled(colours, *_twice(*colours.shape[1:]))
        r, g, b = colours
        around = _around(*colours.shape[1:])
        products = _resampled(torch.stack([r * r, r * g, r * b, g * g, g * b, b * b, r, g, b]), *around)
        # Maps are small: NumPy is done with them in the time that torch takes to begin.
        rr, rg, rb, gg, gb, bb, r, g, b = products.numpy()
        rr, gg, bb = rr - r * r + LEAST, gg - g * g + LEAST, bb - b * b + LEAST
        rg, rb, gb = rg - r * g, rb - r * b, gb - g * b
        inverse = np.stack([gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg,
                            rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg])  # fmt: skip
        inverse /= rr * inverse[0] + rg * inverse[1] + rb * inverse[2]
        return cls(colours.half(), finer.half(), torch.from_numpy(inverse))

    def along(self, logits: Tensor) -> Tensor:
        """Logits (K, h4, w4) or those of the padded input, to (K, h2, w2)."""
        height, width = self.colours.shape[1:]
        twice, around = _twice(height, width), _around(height, width)
        logits, colours = logits[:, :height, :width], self.colours.float()
        sure = logits.clamp(-CERTAIN, CERTAIN)
        together = torch.cat([colours, sure, (sure[:, None] * colours).flatten(0, 1)])
        colours, sure, both = _resampled(together, *around).split([3, len(logits), 3 * len(logits)])
        r, g, b = (both.unflatten(0, (-1, 3)) - sure[:, None] * colours).unbind(1)
        rr, rg, rb, gg, gb, bb = self.precision
        slopes = torch.stack([rr * r + rg * g + rb * b, rg * r + gg * g + gb * b, rb * r + gb * g + bb * b], 1)
        slopes = _resampled(_resampled(slopes, *around), *twice)
        return _resampled(logits, *twice) + (slopes * self.finer.float()).sum(1)


def _resampled(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """What is linear and alike in rows and columns, (h', h) and (w', w), of maps (..., h, w): two products."""
    return rows @ maps @ columns.T


def _around(height: int, width: int) -> tuple[Tensor, Tensor]:
    return _window(height), _window(width)


def _twice(height: int, width: int) -> tuple[Tensor, Tensor]:
    return _interpolation(height), _interpolation(width)


@lru_cache(maxsize=64)
def _window(side: int) -> Tensor:
    """(side, side): the mean over up to AROUND places to either side."""
    place = torch.arange(side)
    near = ((place[:, None] - place).abs() <= AROUND).float()
    return near / near.sum(1, keepdim=True)


@lru_cache(maxsize=64)
def _interpolation(side: int) -> Tensor:
    """(2 * side, side): linear, to twice as many places."""
    return F.interpolate(torch.eye(side)[None], scale_factor=2, mode="linear", align_corners=False)[0].T.contiguous()
