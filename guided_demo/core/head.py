"""From guidance to masks: a learned distance between the pixels of a query and the exemplars of a class.

For each class the head compares every pixel with the class's own exemplars and with all others (the negatives): by cosine to
their means, to the nearest, by a soft vote, and by ridge regressions on semantics and on detail. Small convolutions
turn these scores, the image's pre-activations and the means (the paper's concatenated guidance) into logits. What is
learned is how far to trust which, given how much was annotated; classes share it all, so any number of them can be told apart.
A query is looked at twice: what the first look is sure of supports the second (see `selfsupport`); where all of that is unlike
the class, the second is believed less (see `absence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .absence import doubt
from .encoder import COARSE, COARSE_WIDTH, DETAIL, FINE, FINE_WIDTH, GROUPS, SEMANTIC, Features, halve, upsample
from .problem import STATS, Labelled, Problem
from .scores import COARSE_SCORES, FINE_SCORES, DetailClassifier, SemanticClassifier, SemanticGroup, Sides, Sums
from .selfsupport import as_support, margins, second_stats

WORLD = 24  # learned exemplars of "anything else": negatives that are always there, also before a background is marked
RANGES = (6.0, 24.0, 96.0)  # pixels of the input over which the influence of the image's own marks falls off
OWN = 2 * len(RANGES)
REACH_STEPS = 32
CONTEXT = (1, 2, 4, 8)  # dilations of the convolutions at stride 8


@dataclass(frozen=True)
class Classifier:
    """What guidance says of B classes, made ready for any number of queries: see Head.prepare.

    `semantic` is for the first look; for the second there are the exemplars that are `compared`, and the `sums` of all; centre
    (R, SEMANTIC) and stats (B, STATS) as in Problem.
    """

    semantic: SemanticClassifier
    detail: DetailClassifier
    compared: Labelled
    sums: Sums
    centre: Tensor
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
        context = [nn.Conv2d(COARSE_WIDTH, COARSE_WIDTH, 3, padding=d, dilation=d) for d in CONTEXT]
        self.context = nn.ModuleList(context)
        self.coarse_linear = nn.Conv2d(COARSE_SCORES, 1, 1)
        self.coarse_out = nn.Conv2d(COARSE_WIDTH, 1, 1)
        self.coarse_up = nn.Conv2d(COARSE_WIDTH, FINE_WIDTH, 1)
        self.fine_in = nn.Conv2d(FINE_SCORES + OWN + 2, FINE_WIDTH, 1)
        self.refine = nn.ModuleList([nn.Conv2d(FINE_WIDTH, FINE_WIDTH, 3, padding=1) for _ in range(2)])
        self.fine_out = nn.Conv2d(FINE_WIDTH, 1, 1)
        nn.init.zeros_(self.fine_out.weight)
        nn.init.constant_(self.coarse_linear.weight, 0.3)
        for convolution in context:
            nn.init.kaiming_normal_(convolution.weight, a=2.0)

    def prepare(self, problem: Problem) -> Classifier:
        """All that depends on guidance alone, in float32: done once for a gallery."""
        trust = self.trust(problem.stats)
        world = self._world(self.world_semantic, problem.stats, trust, len(problem.semantic.rows))
        sums = Sums.of(problem.semantic.joined(world))
        compared = problem.semantic.take(problem.compared)
        semantic = self._semantic(sums, compared.joined(world), problem.centre, problem.stats, trust)
        return Classifier(semantic, self._detail(problem, trust), compared, sums, problem.centre, problem.stats)

    def _semantic(self, sums: Sums, compared: Labelled, centre: Tensor, stats: Tensor, trust: Tensor) -> SemanticClassifier:
        means = normalize(sums.means)
        sides = Sides.of(compared)
        parts = (normalize(sides.rows(compared.rows)), means, centre[:, None])
        groups = zip(*(part.split(GROUPS, -1) for part in parts), strict=True)
        return SemanticClassifier(
            sides=sides,
            groups=tuple(SemanticGroup.of(*group) for group in groups),
            sharpness=self.sharpness.exp(),
            ridge=sums.ridge(torch.exp(trust[:, 0] - 3.0)),
            bias=self.guide_in(torch.cat([means.flatten(1), stats], -1)),
        )

    def _detail(self, problem: Problem, trust: Tensor) -> DetailClassifier:
        scale = self.detail_scale.exp()
        world = self._world(self.world_detail, problem.stats, trust, len(problem.detail.rows))
        every, shown = (problem.detail.take(index).joined(world).times(scale) for index in (None, problem.compared))
        ridge = Sums.of(every).ridge(torch.exp(trust[:, 1] - 2.0))
        sides = Sides.of(shown)
        rows = sides.rows(shown.rows)
        return DetailClassifier(
            sides=sides,
            rows=2 * rows * scale,
            offset=-(rows**2).sum(-1, keepdim=True),
            scale=scale**2,
            ridge=torch.cat([ridge[:, :-1] * scale, ridge[:, -1:]], -1),
        )

    def _world(self, rows: Tensor, stats: Tensor, trust: Tensor, sets: int) -> Labelled:
        """The learned negatives, for B problems of these statistics and their sets of exemplars."""
        # Without annotated background the world counts as one full side; with it, as a hint.
        weight = torch.exp(trust[:, 2:] - 2.0 * stats[:, 2:3]) / WORLD
        b = len(stats)
        return Labelled(rows.expand(sets, -1, -1), rows.new_full((b, WORLD), -1.0), weight.expand(-1, WORLD))

    def second(self, classifier: Classifier, features: Features, glance: Tensor, own: Tensor) -> SemanticClassifier:
        """With what a first look (logits (B, h8, w8)) is sure of: the query as one more support image. `own` as in forward."""
        marked = (own[:, :: len(RANGES)] == 1).sum((2, 3)).amin(1)  # closeness is 1 in a marked cell, and there alone
        found, share = as_support(features.semantic, glance, classifier.stats, marked)
        weight, stats = share[:, None], second_stats(classifier.stats, share)
        trust = self.trust(stats)
        both = classifier.compared.apart().weighed(1 - weight).joined(found.weighed(weight))
        return self._semantic(
            sums=classifier.sums.mixed(Sums.of(found), share),
            compared=both.joined(self._world(self.world_semantic, stats, trust, len(stats))),
            centre=torch.lerp(classifier.centre, features.semantic.mean((2, 3)), weight),
            stats=stats,
            trust=trust,
        )

    def novelty(self, semantic: Tensor, classifier: Classifier) -> Tensor:
        """(h8, w8) in [0, 1] of an image's semantics (1, SEMANTIC, h8, w8): 1 - the largest cosine, mean over the groups, to
        an exemplar that is compared."""
        cosine = normalize(classifier.compared.rows[0]) @ semantic[0].flatten(1) / len(GROUPS)
        return (1 - cosine.amax(0)).clamp(0, 1).reshape(semantic.shape[-2:])

    def forward(self, features: Features, classifier: Classifier, own: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits at stride 4 (B, h4, w4), at stride 8 (B, h8, w8), and those of the first look (B, h8, w8).

        `features` of B queries, or of one for all B classes; `own` (B, OWN, h4, w4): closeness to the query's own marks.
        """
        b = len(classifier.stats)
        with torch.autocast(features.semantic.device.type, enabled=False):
            detail = _maps(classifier.detail.scores(features.detail.flatten(2)), features.detail)
        if own is None:
            own = detail.new_zeros(b, OWN, *detail.shape[-2:])
        fine_scores = _joined(detail, own)
        halved = halve(fine_scores)
        glance = self._glance(*self._look(features, classifier.semantic, halved))
        with torch.autocast(features.semantic.device.type, enabled=False):
            first = glance.float()[:, 0]
            first = margins(first) if len(features.semantic) == 1 else first
            semantic = self.second(classifier, features, first, own)
            images, shown = classifier.stats[:, 3], classifier.stats[:, 4]
            absent = doubt(features.semantic, first, classifier.sums.means[:, 0], images, shown)[:, None, None, None]
        scores, x = self._look(features, semantic, halved)
        x = self._in_context(x, CONTEXT)
        coarse = _single(self.coarse_linear, scores) + _single(self.coarse_out, x) - absent
        reached = reach(coarse, own)
        both = upsample(_joined(coarse, reached, self.coarse_up(x)), detail)
        y = self.fine_in(_joined(fine_scores, both[:, :1] / 4, both[:, 1:2])) + both[:, 2:] + features.fine
        y = F.relu(y)
        for conv in self.refine:
            y = y + F.relu(conv(y))
        return (both[:, :1] + _single(self.fine_out, y))[:, 0].float(), coarse[:, 0].float(), glance[:, 0].float()

    def _look(self, features: Features, semantic: SemanticClassifier, halved: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, COARSE_SCORES, h8, w8), and the head's first layer on them (B, COARSE_WIDTH, h8, w8)."""
        with torch.autocast(features.semantic.device.type, enabled=False):
            scores = _maps(semantic.scores(features.semantic.flatten(2)), features.semantic)
        x = self.scores_in(_joined(scores, halved))
        return scores, F.relu(x + features.coarse + semantic.bias[:, :, None, None])

    def _glance(self, scores: Tensor, x: Tensor) -> Tensor:
        """Logits (B, 1, h8, w8) of a first look. Its context is seen at stride 16: a quarter of the work, and as good a guide."""
        small = halve(x)
        seen = self._in_context(small, [max(1, d // 2) for d in CONTEXT]) - small
        return _single(self.coarse_linear, scores) + _single(self.coarse_out, x + upsample(seen, x))

    def _in_context(self, x: Tensor, dilations: Sequence[int]) -> Tensor:
        for conv, d in zip(self.context, dilations, strict=True):
            assert isinstance(conv, nn.Conv2d)
            x = x + F.relu(F.conv2d(x, conv.weight, conv.bias, padding=d, dilation=d))
        return x


def _maps(scores: Tensor, like: Tensor) -> Tensor:
    """(B, C, h * w) to (B, C, h, w)."""
    return scores.unflatten(2, like.shape[-2:])


def _single(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution to one channel; as a product it is many times quicker on a CPU."""
    return F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


def _joined(*maps: Tensor) -> Tensor:
    """Maps channel after channel, the channels last in memory: what convolutions on a CPU are quickest with."""
    return torch.cat(maps, 1).contiguous(memory_format=torch.channels_last)


def normalize(x: Tensor) -> Tensor:
    """Unit length within each group of the last dimension."""
    return torch.cat([F.normalize(part, dim=-1, eps=1e-6) for part in x.split(GROUPS, -1)], -1)


@torch.no_grad()
def reach(coarse: Tensor, own: Tensor) -> Tensor:
    """How surely each place can be walked to from the image's own marks of the class without leaving it: (B, 1, h8, w8).

    The best path's weakest step, a step being the probability at stride 8; zeros where the image has no marks.
    """
    seed = (F.max_pool2d(own[:, :1].float(), COARSE // FINE) > 0.5).float()
    passable = torch.maximum(coarse.float().sigmoid(), seed)
    if own.device.type == "cpu":
        # Maps are small: NumPy is done with them in the time that torch takes to begin.
        return torch.from_numpy(_reached(seed[:, 0].numpy(), passable[:, 0].numpy()))[:, None].to(coarse.dtype)
    reached = seed
    for _ in range(REACH_STEPS):
        reached = torch.minimum(F.max_pool2d(reached, 3, 1, 1), passable)
    return reached.to(coarse.dtype)


def _reached(seed: np.ndarray, passable: np.ndarray) -> np.ndarray:
    """The same steps for maps (B, h, w), each beginning in the middle of a margin of zeros."""
    b, h, w = seed.shape
    reached, rows = np.zeros((b, h + 2, w + 2), np.float32), np.zeros((b, h + 2, w), np.float32)
    inner = reached[:, 1:-1, 1:-1]
    inner[:] = seed
    if not seed.any():
        return inner
    step = np.empty_like(seed)
    for _ in range(REACH_STEPS):
        np.maximum(reached[..., :-2], reached[..., 2:], out=rows)
        np.maximum(rows, reached[..., 1:-1], out=rows)
        np.maximum(rows[:, :-2], rows[:, 2:], out=step)
        np.maximum(step, rows[:, 1:-1], out=step)
        np.minimum(step, passable, out=step)
        if np.array_equal(step, inner):
            break
        inner[:] = step
    return inner
