"""From guidance to masks: a learned distance between the pixels of a query and the exemplars of a class.

For each class the head compares every pixel with the class's own exemplars and with all others (the negatives): by cosine to
their means, to the nearest, by a soft vote, and by ridge regressions on semantics and on detail. Small convolutions
turn these scores, the image's pre-activations and the means (the paper's concatenated guidance) into logits. What is
learned is how far to trust which, given how much was annotated; classes share it all, so any number of them can be told apart.
A query is looked at twice: what a first look is sure of is compared with all of it again, and what the second is sure of once
more, by detail (see `selfsupport`); where what was found is unlike the class, all is less likely to be of it (see `absence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .absence import doubt
from .encoder import COARSE_WIDTH, DETAIL, FINE, FINE_WIDTH, GROUPS, SEMANTIC, Features, halve, upsample
from .problem import STATS, Labelled, Problem
from .query import WIDE, Query
from .scores import COARSE_SCORES, FINE_SCORES, Comparison, DetailComparison, Sides, Sums, compare, normalize
from .selfsupport import AGAIN, Found, by_detail, margins

WORLD = 24  # learned exemplars of "anything else": negatives that are always there, also before a background is marked
RANGES = (6.0, 24.0, 96.0)  # pixels of the input over which the influence of the image's own marks falls off
OWN = 2 * len(RANGES)
REACH, STEPS = 16, 32  # the stride at which paths from the own marks are followed, and how long they are
FIRST_CONTEXT, SECOND_CONTEXT = (1, 3), (1, 2, 4)  # dilations of the convolutions at stride 16


@dataclass(frozen=True)
class Classifier:
    """What guidance says of B classes, made ready for any number of queries: see Head.prepare.

    means (B, 2, SEMANTIC): of the class and of its rest, each group of unit length; bias (B, COARSE_WIDTH): the head's share of
    the guidance; exemplars (n, SEMANTIC): those that pixels are compared with, of one set; stats (B, STATS) as in Problem.
    """

    semantic: tuple[Comparison, Comparison]
    detail: DetailComparison
    means: Tensor
    bias: Tensor
    exemplars: Tensor
    stats: Tensor


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.world_semantic = nn.Parameter(torch.randn(WORLD, SEMANTIC) / SEMANTIC**0.5)
        self.world_detail = nn.Parameter(torch.randn(WORLD, DETAIL))
        self.trust = nn.Sequential(nn.Linear(STATS, 16), nn.Tanh(), nn.Linear(16, 3))
        self.sharpness = nn.Parameter(torch.full((len(GROUPS),), 2.3))
        self.detail_scale = nn.Parameter(torch.zeros(DETAIL))
        self.guide_in = nn.Linear(2 * SEMANTIC + STATS, COARSE_WIDTH)
        self.scores_in = nn.Conv2d(COARSE_SCORES + FINE_SCORES + OWN, COARSE_WIDTH, 1)
        self.scores_out = nn.Conv2d(COARSE_SCORES, 1, 1)
        self.first_context = _contexts(FIRST_CONTEXT)
        self.first_out = nn.Conv2d(COARSE_WIDTH, 1, 1)
        self.again_in = nn.Conv2d(AGAIN + 1, COARSE_WIDTH, 1)
        self.again_out = nn.Conv2d(AGAIN + 1, 1, 1)
        self.carried = nn.Parameter(torch.zeros(1, COARSE_WIDTH, 1, 1))
        self.second_context = _contexts(SECOND_CONTEXT)
        self.second_out = nn.Conv2d(COARSE_WIDTH, 1, 1)
        self.coarse_up = nn.Conv2d(COARSE_WIDTH, FINE_WIDTH, 1)
        self.fine_in = nn.Conv2d(FINE_SCORES + OWN + 2, FINE_WIDTH, 1)
        self.refine = nn.ModuleList([nn.Conv2d(FINE_WIDTH, FINE_WIDTH, 3, padding=1) for _ in range(2)])
        self.fine_out = nn.Conv2d(FINE_WIDTH, 1, 1)
        nn.init.zeros_(self.fine_out.weight)
        nn.init.constant_(self.scores_out.weight, 0.3)

    def prepare(self, problem: Problem) -> Classifier:
        """All that depends on guidance alone, in float32: done once for a gallery."""
        stats = problem.stats
        trust = self.trust(stats)
        every, shown = self._with_world(problem, trust)
        sums, sides = Sums.of(every), Sides.of(shown)
        semantic, detail = sides.rows(shown.rows).split([SEMANTIC, DETAIL], -1)
        means = normalize(sums.means)
        ridge = sums.semantic_ridge(torch.exp(trust[:, 0] - 3.0))
        return Classifier(
            semantic=compare(sides, semantic, means, ridge, problem.centre, self.sharpness.exp()),
            detail=DetailComparison.of(sides, detail, sums.detail_ridge(torch.exp(trust[:, 1] - 2.0)), self.detail_scale.exp()),
            means=means,
            bias=self.guide_in(torch.cat([means.flatten(1), stats], -1)),
            exemplars=shown.rows[0, :-WORLD, :SEMANTIC],
            stats=stats,
        )

    def _with_world(self, problem: Problem, trust: Tensor) -> tuple[Labelled, Labelled]:
        """Exemplars and the learned negatives, detail in learned units; and the same with only those that are compared."""
        # Without annotated background the world counts as one full side; with it, as a hint.
        weight = torch.exp(trust[:, 2:] - 2.0 * problem.stats[:, 2:3]) / WORLD
        b, sets = len(weight), len(problem.exemplars.rows)
        units = torch.cat([self.detail_scale.new_zeros(SEMANTIC), self.detail_scale]).exp()
        rows = (torch.cat([self.world_semantic, self.world_detail], -1) * units).expand(sets, -1, -1)
        world = Labelled(rows, rows.new_full((b, WORLD), -1.0), weight.expand(-1, WORLD))
        given = replace(problem.exemplars, rows=problem.exemplars.rows * units)
        every = given.joined(world)
        return every, every if problem.compared is None else given.take(problem.compared).joined(world)

    def ready(self, features: Features) -> Query:
        """All that depends on the images alone: done once for any number of classifiers."""
        return Query.of(features, self.detail_scale.exp())

    def forward(self, query: Query, classifier: Classifier, own: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits at stride 4 (B, h4, w4), at stride 8 (B, h8, w8), and those of the first look at stride 16 (B, h16, w16).

        `query` of B images, or of one for all B classes; `own` (B, OWN, h4, w4): closeness to the query's own marks.
        """
        stats = classifier.stats
        with _exactly(stats.device):
            detail = classifier.detail.scores(query.detail, query.square).unflatten(2, query.fine.shape[-2:])
            scores = self._scores(query, classifier)
        if own is None:
            own = detail.new_zeros(len(stats), OWN, *detail.shape[-2:])
        fine_scores = _joined(detail, own)
        x = _pointwise(self.scores_in, _joined(scores, halve(fine_scores))) + query.coarse
        x = (x + classifier.bias[:, :, None, None]).relu_()
        told = _pointwise(self.scores_out, scores)
        small = halve(x)
        context = _in_context(small, self.first_context)
        glance = halve(told) + _pointwise(self.first_out, context)
        with _exactly(stats.device):
            marked = (own[:, :: len(RANGES)] == 1).sum((2, 3)).amin(1)  # closeness is 1 in a marked cell, and there alone
            again, absent = self._again(query, classifier, glance.float(), marked)
        x = (x + _pointwise(self.again_in, again)).relu_()
        carried = self.carried * (context - small)
        small = halve(x)
        x = x + upsample(_in_context(small + carried, self.second_context) - small, x)
        coarse = told + _pointwise(self.again_out, again) + _pointwise(self.second_out, x) - absent
        reached = upsample(reach(halve(coarse), own), coarse)
        # Of the first layer of the fine stage, what is known at stride 8 is worked out there.
        by_scores, by_coarse = self.fine_in.weight.flatten(1).split([FINE_SCORES + OWN, 2], 1)
        low = _pointwise(self.coarse_up, x) + _product(by_coarse, None, _joined(coarse / 4, reached))
        y = (_product(by_scores, self.fine_in.bias, fine_scores) + upsample(low, detail) + query.fine).relu_()
        for conv in self.refine:
            y = y + conv(y).relu_()
        fine = upsample(coarse, detail) + _pointwise(self.fine_out, y)
        with _exactly(stats.device):
            found = fine[:, 0].float()
            fine = found + by_detail(_competing(found, query), query, marked, stats[:, 5])
        return fine, coarse[:, 0].float(), glance[:, 0].float()

    def _scores(self, query: Query, classifier: Classifier) -> Tensor:
        """(B, COARSE_SCORES, h8, w8): of the ridge regression, then of each group."""
        near, wide = classifier.semantic
        ridge, found = near.scores(query.near)
        more, wider = wide.scores(query.wide)
        # The groups of a set, one after the other, come to stand side by side: the backbone has them at stride 16 or 32.
        more, wider = more.unflatten(0, (-1, WIDE)).sum(1), wider.unflatten(0, (-1, WIDE)).transpose(1, 2).flatten(2, 3)
        low = upsample(query.at16(torch.cat([more, wider], 2).flatten(0, 1)), query.coarse)
        ridge, found = (query.at8(x.flatten(0, 1)) for x in (ridge, found))
        return _joined(ridge + low[:, :1], found, low[:, 1:])

    def _again(self, query: Query, classifier: Classifier, glance: Tensor, marked: Tensor) -> tuple[Tensor, Tensor]:
        """What a first look, logits (B, 1, h16, w16), tells a second: (B, AGAIN + 1, h8, w8), the last the look itself; and what
        logits are too high by, (B, 1, 1, 1). marked (B,) as in `Found.trust`."""
        stats, size = classifier.stats, glance.shape[-2:]
        found = Found.by(_competing(glance[:, 0], query), query)
        trust = found.trust(size[0] * size[1], stats[:, 3], marked)[:, None, None]
        near, wide = found.again(query, classifier.means)
        low = upsample(query.at16(torch.cat([wide * trust, torch.tanh(glance / 4).flatten(2)], 1)), query.coarse)
        near = query.at8(near * trust)
        again = _joined(near[:, :2], low[:, :4], near[:, 2:] + low[:, 4:6], low[:, 6:])
        like = found.means[:, ::2].flatten(0, 1), found.sure[:, 0], classifier.means[:, 0]
        return again, doubt(*like, stats[:, 3], stats[:, 4])[:, None, None, None]


def _exactly(device: torch.device) -> AbstractContextManager:
    """In float32, whatever training is in."""
    # Asked first, as to enter autocast takes longer than some of what is done there.
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


def _competing(logits: Tensor, query: Query) -> Tensor:
    """Logits (B, h, w) as they support another look: of classes of one image, each against the others."""
    return margins(logits) if len(query.pixels) == 1 else logits


def _contexts(dilations: Sequence[int]) -> nn.ModuleList:
    convolutions = [nn.Conv2d(COARSE_WIDTH, COARSE_WIDTH, 3, padding=d, dilation=d) for d in dilations]
    for convolution in convolutions:
        nn.init.kaiming_normal_(convolution.weight, a=2.0)
    return nn.ModuleList(convolutions)


def _in_context(x: Tensor, convolutions: Iterable[nn.Module]) -> Tensor:
    for conv in convolutions:
        x = x + conv(x).relu_()
    return x


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution; as a product it is several times quicker on a CPU."""
    return _product(conv.weight.flatten(1), conv.bias, x)


def _product(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


def _joined(*maps: Tensor) -> Tensor:
    """Maps channel after channel, the channels last in memory: what convolutions on a CPU are quickest with."""
    return torch.cat(maps, 1).contiguous(memory_format=torch.channels_last)


def novelty(semantic: Tensor, exemplars: Tensor) -> Tensor:
    """(h8, w8) in [0, 1] of an image's semantics (1, SEMANTIC, h8, w8): 1 - the largest cosine, mean over the groups, to
    one of the exemplars (n, SEMANTIC)."""
    cosine = normalize(exemplars) @ semantic[0].flatten(1) / len(GROUPS)
    return (1 - cosine.amax(0)).clamp(0, 1).reshape(semantic.shape[-2:])


@torch.no_grad()
def reach(logits: Tensor, own: Tensor) -> Tensor:
    """How surely each place can be walked to from the image's own marks of the class without leaving it: (B, 1, h16, w16).

    From logits (B, 1, h16, w16) and closeness (B, OWN, h4, w4): the best path's weakest step, a step being the probability at
    stride 16; zeros where the image has no marks.
    """
    seed = (F.max_pool2d(own[:, :1].float(), REACH // FINE) > 0.5).float()
    if own.device.type == "cpu" and not seed.any():
        return seed.to(logits.dtype)
    passable = torch.maximum(logits.float().sigmoid(), seed)
    if own.device.type == "cpu":
        # Maps are small: NumPy is done with them in the time that torch takes to begin.
        return torch.from_numpy(_reached(seed[:, 0].numpy(), passable[:, 0].numpy()))[:, None].to(logits.dtype)
    reached = seed
    for _ in range(STEPS):
        reached = torch.minimum(F.max_pool2d(reached, 3, 1, 1), passable)
    return reached.to(logits.dtype)


def _reached(seed: np.ndarray, passable: np.ndarray) -> np.ndarray:
    """The same steps for maps (B, h, w), side by side in one long row with zeros between: NumPy is quickest with such."""
    b, h, w = seed.shape
    maps = np.zeros((3, b, h + 2, w + 2), np.float32)
    maps[0, :, 1:-1, 1:-1], maps[1, :, 1:-1, 1:-1] = seed, passable
    now, passable, across = maps.reshape(3, -1)
    step = np.zeros_like(now)
    line = w + 2
    inner = slice(line, -line)
    for number in range(STEPS):
        np.maximum(now[:-2], now[2:], out=across[1:-1])
        np.maximum(across, now, out=across)
        np.maximum(across[: -2 * line], across[2 * line :], out=step[inner])
        np.maximum(step, across, out=step)
        np.minimum(step, passable, out=step)
        if number % 4 == 3 and np.array_equal(step, now):
            break
        now, step = step, now
    return now.reshape(b, h + 2, w + 2)[:, 1:-1, 1:-1]
