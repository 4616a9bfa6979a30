"""From guidance to masks: a learned distance between the pixels of a query and the exemplars of a class.

For each class the head compares every pixel with the class's own exemplars and with all others (the negatives): by cosine to
their means, to the nearest, by a soft vote, and by ridge regressions on semantics and on detail. Small convolutions
turn these scores, the image's pre-activations and the means (the paper's concatenated guidance) into logits. What is
learned is how far to trust which, given how much was annotated; classes share it all, so any number of them can be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoder import COARSE, COARSE_WIDTH, DETAIL, FINE, FINE_WIDTH, GROUPS, SEMANTIC, Features, halve, upsample
from .scores import COARSE_SCORES, FINE_SCORES, Classifier, SemanticGroup, Sides, solve

WORLD = 24  # learned exemplars of "anything else": negatives that are always there, also before a background is marked
RANGES = (6.0, 24.0, 96.0)  # pixels of the input over which the influence of the image's own marks falls off
OWN = 2 * len(RANGES)
STATS = 6
REACH_STEPS = 32


@dataclass(frozen=True)
class Problem:
    """B times one class against the rest, from n exemplars.

    semantic (B, n, SEMANTIC), detail (B, n, DETAIL); sign (B, n): +1 of the class, -1 of the others, 0 padding; weight (B, n)
    sums to 1 over each sign; centre (B, SEMANTIC): mean descriptor of the support images; stats (B, STATS).
    """

    semantic: Tensor
    detail: Tensor
    sign: Tensor
    weight: Tensor
    centre: Tensor
    stats: Tensor

    def take(self, index: Tensor) -> Problem:
        """With the exemplars of `index` only, weights again summing to what they did on each side."""
        weight = self.weight[:, index]
        for side in (self.sign > 0, self.sign < 0):
            before, after = (self.weight * side).sum(1, keepdim=True), (weight * side[:, index]).sum(1, keepdim=True)
            weight = torch.where(side[:, index], weight * before / after.clamp_min(1e-9), weight)
        parts = {name: getattr(self, name)[:, index] for name in ("semantic", "detail", "sign")}
        return replace(self, weight=weight, **parts)

    def to(self, device: torch.device) -> Problem:
        return Problem(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def statistics(positive: Tensor, negative: Tensor, shots: Tensor, own: Tensor, scope: Tensor) -> Tensor:
    """STATS numbers (B, STATS) from numbers of annotated pixels, support images, and 0/1: own marks, scope "object"."""
    counts = [torch.log2(1 + n.float()) / 8 for n in (positive, negative)]
    return torch.stack([*counts, (negative > 0).float(), torch.log2(shots.float()), own.float(), scope.float()], -1)


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
        context = [nn.Conv2d(COARSE_WIDTH, COARSE_WIDTH, 3, padding=d, dilation=d) for d in (1, 2, 4, 8)]
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

    def prepare(self, problem: Problem, compared: Problem | None = None) -> Classifier:
        """All that depends on guidance alone, in float32: done once for a gallery.

        Means and regressions are over `problem`; pixels are compared with the exemplars of `compared`, the same if None.
        """
        ridge_log, detail_log, world_log = self.trust(problem.stats).unbind(-1)
        # Without annotated background the world counts as one full side; with it, as a hint.
        world = torch.exp(world_log - 2.0 * problem.stats[:, 2])
        semantic, detail, sign, weight = self._with_world(problem, world)
        means = normalize(torch.stack([_mean(semantic, weight, sign > 0), _mean(semantic, weight, sign < 0)], 1))
        shares = torch.where(sign > 0, weight, weight / weight.masked_fill(sign > 0, 0).sum(1, keepdim=True).clamp_min(1e-6))
        ridge = solve(semantic, shares, sign, torch.exp(ridge_log - 3.0))
        detail_ridge = solve(detail, shares, sign, torch.exp(detail_log - 2.0))
        if compared is not None:
            semantic, detail, sign, weight = self._with_world(compared, world)
        sides = Sides.of(sign)
        groups = zip(
            sides.rows(semantic).split(GROUPS, -1),
            means.split(GROUPS, -1),
            problem.centre[:, None].split(GROUPS, -1),
            strict=True,
        )
        scaled, scale = sides.rows(detail), self.detail_scale.exp()
        log_weight = weight.clamp_min(1e-9).log()[..., None]
        return Classifier(
            sides=sides,
            log_weight=sides.rows(log_weight).transpose(1, 2),
            groups=tuple(SemanticGroup.of(*parts) for parts in groups),
            sharpness=self.sharpness.exp(),
            detail=2 * scaled * scale,
            offset=-(scaled**2).sum(-1, keepdim=True),
            scale=scale**2,
            ridge=ridge,
            detail_ridge=torch.cat([detail_ridge[:, :-1] * scale, detail_ridge[:, -1:]], -1),
            bias=self.guide_in(torch.cat([means.flatten(1), problem.stats], -1)),
        )

    def _with_world(self, problem: Problem, world: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Semantics, scaled detail, signs and weights of a problem's exemplars and of the learned negatives."""
        batch = problem.sign.shape[0]
        semantic = torch.cat([problem.semantic, self.world_semantic.expand(batch, -1, -1)], 1)
        detail = torch.cat([problem.detail, self.world_detail.expand(batch, -1, -1)], 1) * self.detail_scale.exp()
        sign = torch.cat([problem.sign, problem.sign.new_full((batch, WORLD), -1.0)], 1)
        weight = torch.cat([problem.weight, (world / WORLD)[:, None].expand(-1, WORLD)], 1)
        return semantic, detail, sign, weight

    def novelty(self, features: Features, classifier: Classifier) -> Tensor:
        """(h8, w8) in [0, 1] of one image: 1 - the largest cosine, mean over the groups, to any annotated exemplar."""
        query = _pixels(features.semantic)[0]
        cosine = classifier.known(query, classifier.sides.order.shape[1] - WORLD)  # the world's exemplars come last
        return (1 - cosine).clamp(0, 1).reshape(features.semantic.shape[-2:])

    def forward(self, features: Features, classifier: Classifier, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits at stride 4 (B, h4, w4) and at stride 8 (B, h8, w8).

        `features` of B queries, or of one for all B classes; `own` (B, OWN, h4, w4): closeness to the query's own marks.
        """
        b = classifier.bias.shape[0]
        with torch.autocast(features.semantic.device.type, enabled=False):
            scores = _maps(classifier.coarse_scores(_pixels(features.semantic)), features.semantic)
            detail = _maps(classifier.fine_scores(_pixels(features.detail)), features.detail)
        if own is None:
            own = detail.new_zeros(b, OWN, *detail.shape[-2:])
        fine_scores = _joined(detail, own)
        x = self.scores_in(_joined(scores, halve(fine_scores)))
        x = F.relu(x + features.coarse + classifier.bias[:, :, None, None])
        for conv in self.context:
            x = x + F.relu(conv(x))
        coarse = self.coarse_linear(scores) + self.coarse_out(x)
        reached = reach(coarse, own)
        both = upsample(_joined(coarse, reached, self.coarse_up(x)), detail)
        y = self.fine_in(_joined(fine_scores, both[:, :1] / 4, both[:, 1:2])) + both[:, 2:] + features.fine
        y = F.relu(y)
        for conv in self.refine:
            y = y + F.relu(conv(y))
        return (both[:, :1] + self.fine_out(y))[:, 0].float(), coarse[:, 0].float()


def _pixels(maps: Tensor) -> Tensor:
    """(B, C, h, w) to (B, h * w, C); no copy where the channels are last in memory."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _maps(pixels: Tensor, like: Tensor) -> Tensor:
    """(B, h * w, C) to (B, C, h, w), channels last in memory."""
    return pixels.unflatten(1, like.shape[-2:]).permute(0, 3, 1, 2)


def _joined(*maps: Tensor) -> Tensor:
    """Maps channel after channel, the channels last in memory: what convolutions on a CPU are quickest with."""
    return torch.cat(maps, 1).contiguous(memory_format=torch.channels_last)


def normalize(x: Tensor) -> Tensor:
    """Unit length within each group of the last dimension."""
    return torch.cat([F.normalize(part, dim=-1, eps=1e-6) for part in x.split(GROUPS, -1)], -1)


def _mean(x: Tensor, weight: Tensor, chosen: Tensor) -> Tensor:
    share = weight * chosen
    return (share[..., None] * x).sum(1) / share.sum(1, keepdim=True).clamp_min(1e-6)


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
