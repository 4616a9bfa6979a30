"""People, simulated: how many pixels of a mask they annotate, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

POINTS = (1, 1, 2, 3, 5, 5, 8, 10, 16, 25, 25, 48, 100)
DENSE = 10**6


@dataclass(frozen=True)
class Drawing:
    """Pixels of the class and of the rest to annotate (0: none, DENSE: all), and whether as strokes of a radius in pixels."""

    positive: int
    negative: int
    stroke: float = 0.0


def as_in_the_paper(rng: np.random.Generator) -> Drawing:
    """P uniform in 1 to 100 points a class (Rakelly et al. 2018, section 5)."""
    count = int(rng.integers(1, 101))
    return Drawing(count, count)


def as_people_do(rng: np.random.Generator) -> Drawing:
    """Few points mostly, sometimes strokes or whole masks, and now and then no background."""
    chance = rng.random()
    if chance < 0.16:
        return Drawing(DENSE, DENSE)
    if chance < 0.32:
        return Drawing(int(rng.integers(1, 4)), int(rng.integers(0, 4)), float(rng.uniform(1.5, 7)))
    positive = int(rng.choice(POINTS))
    kind = rng.random()
    if kind < 0.15:
        return Drawing(positive, 0)
    return Drawing(positive, positive if kind < 0.75 else int(rng.choice(POINTS)))


def annotate(target: Tensor, drawings: list[Drawing], generator: torch.Generator) -> Tensor:
    """Annotation (V, 2, H, W) 0/1 of targets (V, H, W): pixels marked as the class (where 1), as the rest (where 0)."""
    sides = torch.stack([target == 1, target == 0], 1)
    device = target.device
    wanted = torch.tensor([(d.positive, d.negative) for d in drawings], device=device)
    radius = torch.tensor([d.stroke for d in drawings], device=device)
    order = torch.rand(sides.shape, device=device, generator=generator).masked_fill(~sides, -1.0)
    most = max(POINTS)
    value, index = order.flatten(2).topk(most, dim=2)
    rank = torch.arange(most, device=device)
    taken = (value >= 0) & (rank < wanted[..., None])
    points = torch.zeros(sides.flatten(2).shape, device=device).scatter_(2, index, taken.float()).reshape(sides.shape)
    dense = (wanted == DENSE)[..., None, None]
    marks = torch.where(dense, sides.float(), points)
    scribbled = (radius > 0).nonzero()[:, 0]
    if len(scribbled):
        lines = _strokes(sides[scribbled], index[scribbled], wanted[scribbled], radius[scribbled])
        marks[scribbled] = lines
    return marks


def _strokes(sides: Tensor, index: Tensor, wanted: Tensor, radius: Tensor) -> Tensor:
    """`wanted` segments a side, each between two random pixels of it, as far as they stay on that side.

    Of several candidates for the far end the nearest is taken: hands make short strokes.
    """
    h, w = sides.shape[-2:]
    most = 3
    x, y = (index % w).float(), (index // w).float()
    xs = torch.arange(w, device=sides.device).float()
    ys = torch.arange(h, device=sides.device).float()[:, None]
    out = torch.zeros(sides.shape, device=sides.device)
    for i in range(most):
        ends = slice(most + 4 * i, most + 4 * i + 4)
        ax, ay = x[..., i], y[..., i]
        square = (x[..., ends] - ax[..., None]) ** 2 + (y[..., ends] - ay[..., None]) ** 2
        near = square.argmin(-1, keepdim=True)
        bx, by = x[..., ends].gather(-1, near)[..., 0], y[..., ends].gather(-1, near)[..., 0]
        dx, dy = (bx - ax)[..., None, None], (by - ay)[..., None, None]
        px, py = xs - ax[..., None, None], ys - ay[..., None, None]
        along = ((px * dx + py * dy) / (dx * dx + dy * dy).clamp_min(1e-6)).clamp(0, 1)
        distance = ((px - along * dx) ** 2 + (py - along * dy) ** 2).sqrt()
        used = (wanted > i)[..., None, None]
        out = torch.maximum(out, ((distance <= radius[:, None, None, None]) & sides & used).float())
    return out


ANNOTATORS = {"people": as_people_do, "paper": as_in_the_paper}
