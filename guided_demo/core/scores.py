"""Every pixel compared with the exemplars of a class and with all others: what the head's convolutions then weigh.

Maps are pixel-major here, (B, pixels, channels), as channels-last images are in memory: so each comparison is one matrix
product. In memory, what a softmax goes over lies along, and what maxima are taken of lies across, many pixels at a time:
either is many times quicker on a CPU than the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .encoder import GROUPS

COARSE_SCORES, FINE_SCORES = 5 * len(GROUPS) + 1, 4
OUTSIDE = -1e4  # added to what is not of a side
FARTHEST = 60.0  # logits this far below the largest are as good as none, and keep out of the denormals, which are slow


@dataclass(frozen=True)
class Sides:
    """Which n rows of exemplars are of the class (the first `split`) and which are the rest, in each of B problems.

    order (B, n): their places among the problem's exemplars. outside (B, 1, n): OUTSIDE for a row that fills up its block,
    else 0; None where no row does, as when there is one problem.
    """

    order: Tensor
    split: int
    outside: Tensor | None

    @classmethod
    def of(cls, sign: Tensor) -> Sides:
        """From signs (B, n) of exemplars: +1 of the class, -1 of the rest, 0 padding."""
        count = sign.shape[1]
        split = int((sign > 0).sum(1).max())
        rest = int((sign < 0).sum(1).max())
        sorted_ = sign.argsort(dim=1, descending=True, stable=True)
        order = torch.cat([sorted_[:, :split], sorted_[:, count - rest :]], 1)
        side = torch.ones(split + rest, device=sign.device)
        side[split:] = -1
        wrong = sign.gather(1, order) != side
        outside = wrong.float()[:, None] * OUTSIDE if bool(wrong.any()) else None
        return cls(order, split, outside)

    def rows(self, x: Tensor) -> Tensor:
        """(B, n', D) of the problem's exemplars to (B, n, D)."""
        return x.gather(1, self.order[..., None].expand(-1, -1, x.shape[-1]))

    def mask(self, x: Tensor) -> Tensor:
        return x if self.outside is None else x + self.outside

    def largest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of (B, pixels, n), the largest of the class and the largest of the rest, each (B, pixels, 1)."""
        x = self.mask(x)
        return x[..., : self.split].amax(-1, keepdim=True), x[..., self.split :].amax(-1, keepdim=True)

    def vote(self, logits: Tensor) -> Tensor:
        """Softmax over the exemplars of (B, pixels, n), those of the class less the rest: (B, pixels, 1) in [-1, 1]."""
        share = self.mask(logits).softmax(-1)
        return 2 * share[..., : self.split].sum(-1, keepdim=True) - 1


@dataclass(frozen=True)
class SemanticGroup:
    """One group of the semantic descriptor (D numbers) of n exemplars, made ready for comparison.

    unit (B, n, D): the exemplars; rows (B, D, n + 3): the exemplars after taking `centre` away, the two sides' means, and the
    centre, all but the last of unit length; shift (B, 1, n): products of centre and centred exemplars; square (B, 1, 1): the
    centre's.
    """

    unit: Tensor
    rows: Tensor
    shift: Tensor
    square: Tensor

    @classmethod
    def of(cls, exemplars: Tensor, means: Tensor, centre: Tensor) -> SemanticGroup:
        """From exemplars (B, n, D), means (B, 2, D) of unit length and centre (B, 1, D)."""
        unit = F.normalize(exemplars, dim=-1, eps=1e-6)
        centred = F.normalize(unit - centre, dim=-1, eps=1e-6)
        rows = torch.cat([centred, means, centre], 1)
        return cls(unit, rows.transpose(1, 2), centre @ centred.transpose(1, 2), (centre * centre).sum(-1, keepdim=True))

    def compare(self, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query pixels (B, pixels, D) of unit length: cosines to the exemplars, the same after taking `centre` away, (B, pixels,
        n) each, and cosines to the two means (B, pixels, 2)."""
        n = self.shift.shape[-1]
        products = query @ self.rows
        # |q - c|^2 and (q - c)e from products alone, without going over q once more
        length = (1 + self.square - 2 * products[..., -1:]).clamp_min(1e-4).rsqrt()
        return self.cosine(query), (products[..., :n] - self.shift) * length, products[..., n:-1]

    def cosine(self, query: Tensor) -> Tensor:
        """Query pixels (B, pixels, D) of unit length: cosines to the exemplars, (B, pixels, n)."""
        return (self.unit @ query.transpose(1, 2)).transpose(1, 2)


@dataclass(frozen=True)
class Classifier:
    """B problems made ready for any number of queries (see Head.prepare); n exemplars, sorted by side.

    detail (B, n, DETAIL) and offset (B, n, 1): detail @ q + offset is minus the squared distance, but for |q|^2 in the
    `scale` (DETAIL,) of squares; ridge (B, SEMANTIC + 1) and detail_ridge (B, DETAIL + 1) end with the intercept.
    """

    sides: Sides
    log_weight: Tensor
    groups: tuple[SemanticGroup, ...]
    sharpness: Tensor
    detail: Tensor
    offset: Tensor
    scale: Tensor
    ridge: Tensor
    detail_ridge: Tensor
    bias: Tensor

    def coarse_scores(self, query: Tensor) -> Tensor:
        """(B, pixels, COARSE_SCORES) from semantics (B, pixels, SEMANTIC)."""
        maps = [ridge_scores(self.ridge, query)]
        for group, part, sharpness in zip(self.groups, query.split(GROUPS, -1), self.sharpness, strict=True):
            cosine, sharper, means = group.compare(part)
            near = [side.clamp_min(-1) for side in self.sides.largest(cosine)]
            maps += [means, *near, self.sides.vote(torch.addcmul(self.log_weight, sharper, sharpness))]
        return torch.cat(maps, -1)

    def fine_scores(self, query: Tensor) -> Tensor:
        """(B, pixels, FINE_SCORES) from detail (B, pixels, DETAIL)."""
        pixels = query.transpose(1, 2).expand(self.offset.shape[0], -1, -1)
        nearness = torch.baddbmm(self.offset, self.detail, pixels).transpose(1, 2)
        own, other = self.sides.largest(nearness)
        square = (query * query) @ self.scale[:, None]
        near = [torch.exp(-0.25 * (square - side).clamp(0, 160)) for side in (own, other)]
        logits = torch.maximum(nearness.contiguous(), torch.maximum(own, other) - FARTHEST) + self.log_weight
        return torch.cat([ridge_scores(self.detail_ridge, query), self.sides.vote(logits), *near], -1)

    def known(self, query: Tensor, count: int) -> Tensor:
        """(pixels,): the largest cosine, mean over the groups, of semantics (pixels, SEMANTIC) to the first `count` exemplars."""
        parts = query.split(GROUPS, -1)
        cosines = [group.cosine(part[None])[0, :, :count] for part, group in zip(parts, self.groups, strict=True)]
        return torch.stack(cosines).mean(0).amax(-1)


def solve(x: Tensor, weight: Tensor, sign: Tensor, regulariser: Tensor) -> Tensor:
    """Ridge regression (B, D + 1), the last being the intercept, of `sign` on x (B, n, D), weighted (B, n).

    Of its two equal forms the one with the smaller system: with few exemplars the dual, whose size is their number.
    """
    x = torch.cat([x, torch.ones_like(x[..., :1])], -1)
    root = (weight.clamp_min(1e-12).sqrt() * (sign != 0))[..., None]  # the root of 0 has no gradient
    rows, wanted = x * root, sign[..., None] * root
    ridge = regulariser[:, None, None] + 1e-5
    if x.shape[1] < x.shape[2]:
        return (rows.transpose(1, 2) @ _solved(rows @ rows.transpose(1, 2), ridge, wanted))[..., 0]
    return _solved(rows.transpose(1, 2) @ rows, ridge, rows.transpose(1, 2) @ wanted)[..., 0]


def _solved(gram: Tensor, ridge: Tensor, wanted: Tensor) -> Tensor:
    eye = torch.eye(gram.shape[-1], device=gram.device, dtype=gram.dtype)
    return torch.cholesky_solve(wanted, torch.linalg.cholesky(gram + ridge * eye))


def ridge_scores(solution: Tensor, query: Tensor) -> Tensor:
    return query @ solution[:, :-1, None] + solution[:, None, -1:]
