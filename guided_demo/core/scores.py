"""Every pixel compared with the exemplars of a class and with all others: what the head's convolutions then weigh.

Comparisons are (R, n, pixels), one row an exemplar: each is one matrix product, and what is then done over the exemplars
(maxima, sums) goes along the rows, many pixels at a time, which is the quick way round on a CPU. Classes that are told apart
by one set of exemplars share its comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .encoder import GROUPS
from .problem import Labelled

COARSE_SCORES, FINE_SCORES = 5 * len(GROUPS) + 1, 4
OUTSIDE = -1e4  # added to what is not of a side
FARTHEST = 60.0  # logits this far below the largest are as good as none, and keep out of the denormals, which are slow


@dataclass(frozen=True)
class Sides:
    """Which of n exemplars are of which class in R sets that tell K classes apart each: B = R * K problems (see Labelled).

    order (R, n): their places in the set: the first class in a block, then the other classes, in the end what is of none; sizes
    (K + 1): of these blocks. weight (R, 2 * K, n): what each weighs for a class and for its rest, else 0. outside (R, n, 1):
    OUTSIDE for a row that fills up its block, else 0; None where no row does, as with one set.
    """

    order: Tensor
    sizes: tuple[int, ...]
    weight: Tensor
    outside: Tensor | None

    @classmethod
    def of(cls, labelled: Labelled) -> Sides:
        sets = len(labelled.rows)
        sign, weight = (x.unflatten(0, (sets, -1)) for x in (labelled.sign, labelled.weight))
        k = sign.shape[1]
        of_none = torch.where((sign < 0).any(1), k, k + 1)
        block = torch.where((sign > 0).any(1), (sign > 0).int().argmax(1), of_none)
        counts = torch.stack([(block == b).sum(1).amax() for b in range(k + 1)])
        sizes = tuple(counts.tolist())
        firsts = [(block != b).int().argsort(dim=1, stable=True)[:, :size] for b, size in enumerate(sizes)]
        order = torch.cat(firsts, 1)
        wanted = torch.arange(k + 1, device=sign.device).repeat_interleave(counts)
        right = block.gather(1, order) == wanted
        outside = None if bool(right.all()) else (~right)[..., None] * OUTSIDE
        weight = weight.gather(2, order[:, None].expand(-1, k, -1)).clamp_min(1e-9) * right[:, None]
        own = wanted == torch.arange(k, device=sign.device)[:, None]
        return cls(order, sizes, torch.stack([weight * own, weight * ~own], 2).flatten(1, 2), outside)

    def rows(self, x: Tensor) -> Tensor:
        """(R, n', D) of the sets' exemplars to (R, n, D)."""
        return x.gather(1, self.order[..., None].expand(-1, -1, x.shape[-1]))

    def largest(self, x: Tensor) -> Tensor:
        """Of (R, n, pixels), the largest of the class and the largest of the rest: (B, 2, pixels)."""
        x = x if self.outside is None else x + self.outside
        largest = torch.stack([part.amax(1) for part in x.split(self.sizes, 1)], 1)
        if len(self.sizes) == 2:
            return largest
        rest = [torch.cat([largest[:, :k], largest[:, k + 1 :]], 1).amax(1) for k in range(len(self.sizes) - 1)]
        return torch.stack([largest[:, :-1], torch.stack(rest, 1)], 2).flatten(0, 1)

    def vote(self, logits: Tensor, largest: Tensor) -> Tensor:
        """Softmax over the exemplars of (R, n, pixels), each counted by its weight, those of the class less the rest: (B, 1,
        pixels) in [-1, 1]. `largest` (B, 2, pixels): of these logits, which are overwritten, except in training: new memory
        costs more than sums.
        """
        # The class and the rest of any problem of a set are all of the set.
        most = largest.detach()[:: len(largest) // len(logits)].amax(1, keepdim=True)
        share = logits - most if logits.requires_grad else logits.sub_(most)
        share = share.clamp_(-FARTHEST, FARTHEST).exp_()  # only what fills up a block is above 0
        own, other = _pairs(self.weight @ share).split(1, 1)
        return (own - other) / (own + other)


@dataclass(frozen=True)
class SemanticGroup:
    """One group of the semantic descriptor, D numbers, of n exemplars sorted by class, made ready for comparison.

    rows (R, n + 2 * K + 1, D): the exemplars, the two sides' means of each class, all of unit length, and the mean descriptor c
    of the support. What it takes to compare exemplars e with pixels after taking c away, from products with these rows alone:
    shift (R, n, 1), c c - c e; length (R, n, 1), 1 / |e - c|; square (R, 1, 1), c c.
    """

    rows: Tensor
    shift: Tensor
    length: Tensor
    square: Tensor

    @classmethod
    def of(cls, exemplars: Tensor, means: Tensor, centre: Tensor) -> SemanticGroup:
        """From exemplars (R, n, D) and means (B, 2, D), all of unit length, and centre (R, 1, D)."""
        count = exemplars.shape[1]
        rows = torch.cat([exemplars, means.reshape(len(exemplars), -1, means.shape[-1]), centre], 1)
        products = rows @ centre.transpose(1, 2)
        along, square = products[:, :count], products[:, -1:]
        return cls(rows, square - along, (1 + square - 2 * along).clamp_min(1e-6).rsqrt(), square)

    def scores(self, query: Tensor, sides: Sides, sharpness: Tensor) -> Tensor:
        """(B, 5, pixels) from query pixels (R, D, pixels) of unit length: cosines to the two means, the largest cosines to
        exemplars of the class and of the rest, and the vote of all."""
        products = self.rows @ query
        count = self.shift.shape[1]
        cosine, means, along = products[:, :count], products[:, count:-1], products[:, -1:]
        near = sides.largest(cosine).clamp_min(-1)
        scale = sharpness * (1 + self.square - 2 * along).clamp_min(1e-4).rsqrt()
        logits = (cosine - along).add_(self.shift).mul_(self.length).mul_(scale)
        return torch.cat([_pairs(means), near, sides.vote(logits, sides.largest(logits))], 1)


@dataclass(frozen=True)
class SemanticClassifier:
    """B problems made ready for the semantics of any number of queries (see Head.prepare); n exemplars, sorted by class.

    sharpness (len(GROUPS),); ridge (B, SEMANTIC + 1), which ends with the intercept; bias (B,
    COARSE_WIDTH): the head's share of the guidance.
    """

    sides: Sides
    groups: tuple[SemanticGroup, ...]
    sharpness: Tensor
    ridge: Tensor
    bias: Tensor

    def scores(self, query: Tensor) -> Tensor:
        """(B, COARSE_SCORES, pixels) from semantics (R, SEMANTIC, pixels), or one query for all; groups of unit length."""
        parts = zip(self.groups, query.split(GROUPS, 1), self.sharpness, strict=True)
        found = [group.scores(part, self.sides, sharpness) for group, part, sharpness in parts]
        return torch.cat([ridge_scores(self.ridge, query), *found], 1)


@dataclass(frozen=True)
class DetailClassifier:
    """The same for detail.

    rows (R, n, DETAIL) and offset (R, n, 1): rows @ q + offset is minus the squared distance, but for |q|^2 in the `scale`
    (DETAIL,) of squares; ridge (B, DETAIL + 1) ends with the intercept.
    """

    sides: Sides
    rows: Tensor
    offset: Tensor
    scale: Tensor
    ridge: Tensor

    def scores(self, query: Tensor) -> Tensor:
        """(B, FINE_SCORES, pixels) from detail (R, DETAIL, pixels), or one query for all."""
        nearness = (self.rows @ query).add_(self.offset)
        square = self.scale @ (query * query)
        largest = self.sides.largest(nearness)
        near = torch.exp(-0.25 * (square[:, None] - largest).clamp(0, 160))
        return torch.cat([ridge_scores(self.ridge, query), self.sides.vote(nearness, largest), near], 1)


@dataclass(frozen=True)
class Sums:
    """What the exemplars of B problems add up to, either side weighing 1: means (B, 2, D) of the class and of the rest, and the
    two halves of the normal equations of a ridge regression of the signs, gram (B, D + 1, D + 1) and right (B, D + 1, 1).
    """

    means: Tensor
    gram: Tensor
    right: Tensor

    @classmethod
    def of(cls, labelled: Labelled) -> Sums:
        sides = torch.stack([labelled.sign > 0, labelled.sign < 0], 1) * labelled.weight[:, None]
        sides = sides / sides.sum(-1, keepdim=True).clamp_min(1e-6)
        x = torch.cat([labelled.rows, torch.ones_like(labelled.rows[..., :1])], -1)
        totals = sides @ x
        gram = (x * sides.sum(1)[..., None]).transpose(1, 2) @ x
        return cls(totals[..., :-1], gram, (totals[:, 0] - totals[:, 1])[..., None])

    def mixed(self, other: Sums, share: Tensor) -> Sums:
        """`share` (B,) of the other, and 1 - share of this."""
        share = share[:, None, None]
        return Sums(*(torch.lerp(getattr(self, f.name), getattr(other, f.name), share) for f in fields(self)))

    def ridge(self, regulariser: Tensor) -> Tensor:
        """The regression (B, D + 1), the last being the intercept, with a regulariser (B,)."""
        eye = torch.eye(self.gram.shape[-1], device=self.gram.device)
        system = self.gram + (regulariser[:, None, None] + 1e-5) * eye
        return torch.cholesky_solve(self.right, torch.linalg.cholesky(system))[..., 0]


def ridge_scores(solution: Tensor, query: Tensor) -> Tensor:
    """(B, 1, pixels) from solution (B, D + 1) and query (B, D, pixels)."""
    return solution[:, None, :-1] @ query + solution[:, None, -1:]


def _pairs(x: Tensor) -> Tensor:
    """(R, 2 * K, pixels) to (B, 2, pixels)."""
    return x.unflatten(1, (-1, 2)).flatten(0, 1)
