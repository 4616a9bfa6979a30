"""Every pixel compared with the exemplars of a class and with all others: what the head's convolutions then weigh.

Comparisons are (R, n, pixels), one row an exemplar: each is one matrix product, and what is then done over the exemplars
(maxima, sums) goes along the rows, many pixels at a time, which is the quick way round on a CPU. Classes that are told apart
by one set of exemplars share its comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .encoder import GROUPS, SEMANTIC
from .problem import Labelled

GROUP_SCORES = 5  # of semantics by one group: two means, two largest, one vote
COARSE_SCORES, FINE_SCORES = GROUP_SCORES * len(GROUPS) + 1, 4
OUTSIDE = -1e4  # added to what is not of a side
AT_ONCE = 1 << 26  # numbers that are weighed together
FARTHEST = -80.0  # the least logit of a vote: what is farther counts as little, and its exponential would be a denormal: slow


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
        sets, device = len(labelled.rows), labelled.weight.device
        sign, weight = (x.unflatten(0, (sets, -1)) for x in (labelled.sign, labelled.weight))
        sign, k = sign.cpu().numpy(), sign.shape[1]  # sorted by NumPy, which is done in the time that torch takes to begin
        block = np.where((sign > 0).any(1), (sign > 0).argmax(1), np.where((sign < 0).any(1), k, k + 1))
        sizes = [int((block == b).sum(1).max()) for b in range(k + 1)]
        places = np.concatenate([(block != b).argsort(1, kind="stable")[:, :size] for b, size in enumerate(sizes)], 1)
        wanted = np.repeat(np.arange(k + 1), sizes)
        fits = np.take_along_axis(block, places, 1) == wanted
        of_class = wanted == np.arange(k)[:, None]
        order, right, own = (torch.from_numpy(part).to(device) for part in (places, fits, of_class))
        outside = None if fits.all() else (~right)[..., None] * OUTSIDE
        weight = weight.gather(2, order[:, None].expand(-1, k, -1)).clamp_min(1e-9) * right[:, None]
        return cls(order, tuple(sizes), torch.stack([weight * own, weight * ~own], 2).flatten(1, 2), outside)

    @property
    def classes(self) -> int:
        """K."""
        return len(self.sizes) - 1

    def rows(self, x: Tensor) -> Tensor:
        """(R, n', D) of the sets' exemplars to (R, n, D)."""
        return x.gather(1, self.order[..., None].expand(-1, -1, x.shape[-1]))

    def repeated(self, times: int) -> Sides:
        """Every set so many times, one after the other: for as many descriptions of its exemplars."""
        order, weight = (x.repeat_interleave(times, 0) for x in (self.order, self.weight))
        outside = None if self.outside is None else self.outside.repeat_interleave(times, 0)
        return replace(self, order=order, weight=weight, outside=outside)

    def largest(self, x: Tensor) -> Tensor:
        """Of (R, n, pixels), the largest of the class and the largest of the rest: (R, K, 2, pixels)."""
        x = x if self.outside is None else x + self.outside
        largest = torch.stack([part.amax(1) for part in x.split(self.sizes, 1)], 1)
        if self.classes == 1:
            return largest[:, None]
        rest = [torch.cat([largest[:, :k], largest[:, k + 1 :]], 1).amax(1) for k in range(self.classes)]
        return torch.stack([largest[:, :-1], torch.stack(rest, 1)], 2)

    def vote(self, logits: Tensor) -> Tensor:
        """Softmax over the exemplars of (R, n, pixels), each counted by its weight, those of the class less the rest: (R, K, 1,
        pixels) in [-1, 1]. Logits are at most the sharpness, or 0. They are overwritten, except in training: new memory costs
        more than sums.
        """
        chances = logits.exp() if logits.requires_grad else logits.exp_()
        own, other = (self.weight @ chances).unflatten(1, (-1, 2)).split(1, 2)
        return (own - other) / (own + other)


@dataclass(frozen=True)
class Comparison:
    """n exemplars of each of R sets, by one group of the semantic descriptor, D numbers, made ready for comparison.

    rows (R, 2 * n + 3 * K + 1, D + 1): the exemplars; their directions from the mean descriptor c of the support, times the
    sharpness of the vote; the two sides' means of each class; c; and a ridge regression a class. All but c, the directions and
    the regressions are of unit length. The last column is added to products with the others. square (R, 1, 1): c c.
    """

    sides: Sides
    rows: Tensor
    square: Tensor

    def scores(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Of query pixels (R, D + 1, pixels), of unit length, or nearly, where they are means of few, and a 1: what the ridge
        regressions say, (R, K, 1, pixels), and (R, K, GROUP_SCORES, pixels): cosines to the two means, the largest cosines to
        exemplars of the class and of the rest, and the vote of all."""
        n, k = self.sides.weight.shape[2], self.sides.classes
        products = self.rows @ query
        cosine, directed, means, along, ridge = products.split([n, n, 2 * k, 1, k], 1)
        distance = (1 + self.square - 2 * along).clamp_min(1e-4).rsqrt()
        logits = directed * distance if directed.requires_grad else directed.mul_(distance)
        near = self.sides.largest(cosine).clamp_min(-1)
        return ridge[:, :, None], torch.cat([means.unflatten(1, (k, 2)), near, self.sides.vote(logits)], 2)


def compare(
    sides: Sides, exemplars: Tensor, means: Tensor, ridge: Tensor, centre: Tensor, sharpness: Tensor
) -> tuple[Comparison, Comparison]:
    """Comparisons by the first group of the semantic descriptor, and by the two others side by side (2 * R sets, the groups of a
    set one after the other), which have the same number of channels.

    exemplars (R, n, SEMANTIC), in the order of the sides; means (B, 2, SEMANTIC), each group of unit length; ridge (B, SEMANTIC +
    1), ending with the intercept; centre (R, SEMANTIC); sharpness (len(GROUPS),).
    """
    sets, classes = len(exemplars), sides.classes
    exemplars, middle = normalize(exemplars), centre[:, None]
    directions = normalize(exemplars - middle, 1e-3) * (_OF_GROUP.to(sharpness.device) @ sharpness)
    means, ridge = means.reshape(sets, 2 * classes, -1), ridge.reshape(sets, classes, -1)
    rows = torch.cat([exemplars, directions, means, middle, ridge[..., :-1]], 1)
    nothing = rows.new_zeros(sets, exemplars.shape[1]), rows.new_zeros(sets, 2 * classes + 1)
    intercepts = ridge[..., -1], *[torch.zeros_like(ridge[..., -1])] * (len(GROUPS) - 1)
    offset = [-part.sum(-1) for part in (directions * middle).split(GROUPS, -1)]
    biases = [torch.cat([nothing[0], o, nothing[1], i], 1)[..., None] for o, i in zip(offset, intercepts, strict=True)]
    first, *others = (torch.cat(parts, -1) for parts in zip(rows.split(GROUPS, -1), biases, strict=True))
    square, *squares = [(part * part).sum(-1, keepdim=True) for part in middle.split(GROUPS, -1)]
    both = (torch.stack(parts, 1).flatten(0, 1) for parts in (others, squares))
    return Comparison(sides, first, square), Comparison(sides.repeated(len(others)), *both)


@dataclass(frozen=True)
class DetailComparison:
    """The same for detail.

    rows (R, n + K, DETAIL + 1), products of which with q and 1 are minus the squared distance to an exemplar, but for |q|^2 in
    learned units, and what a ridge regression a class says.
    """

    sides: Sides
    rows: Tensor

    @classmethod
    def of(cls, sides: Sides, exemplars: Tensor, ridge: Tensor, scale: Tensor) -> DetailComparison:
        """From exemplars (R, n, DETAIL) in the order of the sides, and a regression (B, 1 + DETAIL) that begins with the
        intercept, both in learned units: detail times `scale` (DETAIL,)."""
        ridge = ridge.unflatten(0, (len(exemplars), -1))
        offset = -(exemplars**2).sum(-1, keepdim=True)
        nearness = torch.cat([2 * exemplars * scale, offset], -1)
        return cls(sides, torch.cat([nearness, torch.cat([ridge[..., 1:] * scale, ridge[..., :1]], -1)], 1))

    def scores(self, query: Tensor, square: Tensor) -> Tensor:
        """(B, FINE_SCORES, pixels) from detail and 1 (R, DETAIL + 1, pixels), and its square in learned units (R, 1, pixels):
        what the ridge regression says, the vote, and how near the nearest exemplars are, of the class and of the rest."""
        products = self.rows @ query
        nearness, ridge = products.split([products.shape[1] - self.sides.classes, self.sides.classes], 1)
        largest = self.sides.largest(nearness)
        near = torch.exp(0.25 * (largest - square[:, None]).clamp(-160, 0))
        # Less the nearest of all, so that the sides are told apart far from all, too.
        most = largest.detach()[:, 0].amax(1, keepdim=True)
        logits = nearness - most if nearness.requires_grad else nearness.sub_(most)
        logits = logits.clamp(FARTHEST, 0) if logits.requires_grad else logits.clamp_(FARTHEST, 0)
        return torch.cat([ridge[:, :, None], self.sides.vote(logits), near], 2).flatten(0, 1)


@dataclass(frozen=True)
class Sums:
    """What the exemplars of B problems add up to, either side weighing 1: means (B, 2, SEMANTIC) of the class and of the rest,
    and the two halves of the normal equations of ridge regressions of the signs, gram (B, D, D) and right (B, D, 1) with D =
    SEMANTIC + 1 + DETAIL, the 1 in the middle being the intercept.
    """

    means: Tensor
    gram: Tensor
    right: Tensor

    @classmethod
    def of(cls, labelled: Labelled) -> Sums:
        sides = torch.stack([labelled.sign > 0, labelled.sign < 0], 1) * labelled.weight[:, None]
        sides = sides / sides.sum(-1, keepdim=True).clamp_min(1e-6)
        ones = torch.ones_like(labelled.rows[..., :1])
        x = torch.cat([labelled.rows[..., :SEMANTIC], ones, labelled.rows[..., SEMANTIC:]], -1)
        totals = sides @ x
        # Together, dozens of classes on hundreds of images would take more memory than there is.
        few = max(1, AT_ONCE // x[0].numel())
        parts = zip(x.expand(len(sides), -1, -1).split(few), sides.sum(1)[..., None].split(few), strict=True)
        gram = torch.cat([(rows * weight).transpose(1, 2) @ rows for rows, weight in parts])
        return cls(totals[..., :SEMANTIC], gram, (totals[:, 0] - totals[:, 1])[..., None])

    def semantic_ridge(self, regulariser: Tensor) -> Tensor:
        """(B, SEMANTIC + 1), the last being the intercept, with a regulariser (B,)."""
        return self._ridge(slice(SEMANTIC + 1), regulariser)

    def detail_ridge(self, regulariser: Tensor) -> Tensor:
        """(B, 1 + DETAIL), the first being the intercept, with a regulariser (B,)."""
        return self._ridge(slice(SEMANTIC, None), regulariser)

    def _ridge(self, part: slice, regulariser: Tensor) -> Tensor:
        gram = self.gram[:, part, part]
        eye = torch.eye(gram.shape[-1], device=gram.device)
        factor = torch.linalg.cholesky(gram + (regulariser[:, None, None] + 1e-5) * eye)
        return torch.cholesky_solve(self.right[:, part], factor)[..., 0]


_OF_GROUP = torch.block_diag(*(torch.ones(size, 1) for size in GROUPS))


def normalize(x: Tensor, least: float = 1e-6) -> Tensor:
    """Unit length within each group of the last dimension, SEMANTIC; shorter than `least` is divided by that."""
    of_group = _OF_GROUP.to(x.device)
    return x * (((x * x) @ of_group).clamp_min(least**2).rsqrt() @ of_group.T)
