"""From guidance to masks: a learned distance between the pixels of a query and the exemplars of a class.

For each class the head compares every pixel with the class's own exemplars and with all others (the negatives): by cosine to
their means, to the nearest, by a soft vote, and by ridge regressions on semantics and on detail. Small convolutions
turn these scores, the image's pre-activations and the means (the paper's concatenated guidance) into logits. What is
learned is how far to trust which, given how much was annotated; classes share it all, so any number of them can be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoder import COARSE, COARSE_WIDTH, DETAIL, FINE, FINE_WIDTH, GROUPS, SEMANTIC, Features, unit_length, upsample

WORLD = 24  # learned exemplars of "anything else": negatives that are always there, also before a background is marked
COARSE_SCORES, FINE_SCORES = 5 * len(GROUPS) + 1, 4
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


@dataclass(frozen=True)
class Classifier:
    """A Problem made ready for any number of queries (see Head.prepare).

    semantic and centred (B, n, SEMANTIC): unit vectors a group, as they are and after taking away `centre`; detail (B, n,
    DETAIL + 2): rows whose product with (q, 1, |q|^2) is the squared distance to q.
    """

    semantic: Tensor
    centred: Tensor
    detail: Tensor
    sign: Tensor
    log_weight: Tensor
    centre: Tensor
    means: Tensor
    ridge: Tensor
    detail_ridge: Tensor
    bias: Tensor


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
        means = torch.stack([_mean(semantic, weight, sign > 0), _mean(semantic, weight, sign < 0)], 1)
        sides = torch.where(sign > 0, weight, weight / weight.masked_fill(sign > 0, 0).sum(1, keepdim=True).clamp_min(1e-6))
        ridge = solve(semantic, sides, sign, torch.exp(ridge_log - 3.0))
        detail_ridge = solve(detail, sides, sign, torch.exp(detail_log - 2.0))
        if compared is not None:
            semantic, detail, sign, weight = self._with_world(compared, world)
        unit = normalize(semantic)
        square = (detail**2).sum(-1, keepdim=True)
        return Classifier(
            semantic=unit,
            centred=normalize(unit - problem.centre[:, None]),
            detail=torch.cat([-2 * detail, square, torch.ones_like(square)], -1),
            sign=sign,
            log_weight=weight.clamp_min(1e-9).log().masked_fill(sign == 0, -1e4),
            centre=problem.centre,
            means=normalize(means),
            ridge=ridge,
            detail_ridge=detail_ridge,
            bias=self.guide_in(torch.cat([normalize(means).flatten(1), problem.stats], -1)),
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
        known = classifier.semantic[0, : classifier.semantic.shape[1] - WORLD]
        cosine = (known @ features.semantic[0].flatten(1)) / len(GROUPS)
        return (1 - cosine.amax(0)).clamp(0, 1).reshape(features.semantic.shape[-2:])

    def forward(self, features: Features, classifier: Classifier, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits at stride 4 (B, h4, w4) and at stride 8 (B, h8, w8).

        `features` of B queries, or of one for all B classes; `own` (B, OWN, h4, w4): closeness to the query's own marks.
        """
        b = classifier.sign.shape[0]
        h8, w8 = features.semantic.shape[-2:]
        h4, w4 = features.detail.shape[-2:]
        with torch.autocast(features.semantic.device.type, enabled=False):
            scores = self._coarse_scores(features.semantic.flatten(2), classifier).reshape(b, -1, h8, w8)
            detail = self._fine_scores(features.detail.flatten(2), classifier).reshape(b, -1, h4, w4)
        if own is None:
            own = detail.new_zeros(b, OWN, h4, w4)
        fine_scores = torch.cat([detail, own], 1)
        x = self.scores_in(torch.cat([scores, halve(fine_scores)], 1))
        # Dilated convolutions are nearly twice as quick on a CPU with the channels last.
        x = F.relu(x + features.coarse + classifier.bias[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        for conv in self.context:
            x = x + F.relu(conv(x))
        coarse = self.coarse_linear(scores) + self.coarse_out(x)
        reached = reach(coarse, own)
        both = upsample(torch.cat([coarse, reached, self.coarse_up(x)], 1), detail)
        y = self.fine_in(torch.cat([fine_scores, both[:, :1] / 4, both[:, 1:2]], 1)) + both[:, 2:] + features.fine
        y = F.relu(y)
        for conv in self.refine:
            y = y + F.relu(conv(y))
        return (both[:, :1] + self.fine_out(y))[:, 0].float(), coarse[:, 0].float()

    def _coarse_scores(self, query: Tensor, c: Classifier) -> Tensor:
        """(B, COARSE_SCORES, pixels)."""
        maps = [ridge_scores(c.ridge, query)]
        # The same cosines after taking away what all pixels of the support share are sharper where all look alike.
        centred = query - c.centre[..., None]
        start = 0
        for group, size in enumerate(GROUPS):
            part = slice(start, start + size)
            start += size
            cosine = c.semantic[..., part] @ query[:, part]
            # What is not of a side is put out of reach by adding: a masked fill is slow on a CPU.
            positive = (cosine - 4.0 * (c.sign[..., None] <= 0)).amax(1, keepdim=True).clamp_min(-1)
            negative = (cosine - 4.0 * (c.sign[..., None] >= 0)).amax(1, keepdim=True).clamp_min(-1)
            sharper = c.centred[..., part] @ unit_length(centred[:, part])
            logits = torch.addcmul(c.log_weight[..., None], sharper, self.sharpness[group].exp())
            maps += [c.means[..., part] @ query[:, part], positive, negative, vote(logits, c.sign)]
        return torch.cat(maps, 1)

    def _fine_scores(self, query: Tensor, c: Classifier) -> Tensor:
        """(B, FINE_SCORES, pixels)."""
        q = query * self.detail_scale.exp()[:, None]
        square = (q * q).sum(1, keepdim=True)
        distance = c.detail @ torch.cat([q, torch.ones_like(square), square], 1)
        near = [
            torch.exp(-0.25 * (distance + 1e4 * other[..., None]).amin(1, keepdim=True).clamp(0, 160))
            for other in (c.sign <= 0, c.sign >= 0)
        ]
        return torch.cat([ridge_scores(c.detail_ridge, q), vote(c.log_weight[..., None] - distance, c.sign), *near], 1)


def vote(logits: Tensor, sign: Tensor) -> Tensor:
    """Softmax over the exemplars (B, n, pixels), times their signs (B, n): (B, 1, pixels) in [-1, 1].

    Written out, because a softmax over any but the last dimension is slow on a CPU.
    """
    # The floor keeps shares out of the denormal numbers, with which a CPU is many times slower.
    share = (logits - logits.detach().amax(1, keepdim=True)).clamp_min(-40).exp()
    return (sign[:, None] @ share) / (torch.ones_like(sign)[:, None] @ share)


def halve(x: Tensor) -> Tensor:
    """Mean over 2x2 cells; avg_pool2d is slow on a CPU for so few channels."""
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def normalize(x: Tensor) -> Tensor:
    """Unit length within each group of the last dimension."""
    return torch.cat([F.normalize(part, dim=-1, eps=1e-6) for part in x.split(GROUPS, -1)], -1)


def solve(x: Tensor, weight: Tensor, sign: Tensor, regulariser: Tensor) -> Tensor:
    """Ridge regression (B, D + 1), the last being the intercept, of `sign` on x (B, n, D), weighted (B, n)."""
    x = torch.cat([x, torch.ones_like(x[..., :1])], -1)
    weighted = (x * (weight * (sign != 0))[..., None]).transpose(1, 2)
    eye = torch.eye(x.shape[-1], device=x.device, dtype=x.dtype)
    gram = weighted @ x + (regulariser[:, None, None] + 1e-5) * eye
    return torch.cholesky_solve(weighted @ sign[..., None], torch.linalg.cholesky(gram))[..., 0]


def ridge_scores(solution: Tensor, query: Tensor) -> Tensor:
    return solution[:, None, :-1] @ query + solution[:, None, -1:]


def _mean(x: Tensor, weight: Tensor, chosen: Tensor) -> Tensor:
    share = weight * chosen
    return (share[..., None] * x).sum(1) / share.sum(1, keepdim=True).clamp_min(1e-6)


@torch.no_grad()
def reach(coarse: Tensor, own: Tensor) -> Tensor:
    """How surely each place can be walked to from the image's own marks of the class without leaving it: (B, 1, h8, w8).

    The best path's weakest step, a step being the probability at stride 8; zeros where the image has no marks.
    """
    seed = (F.max_pool2d(own[:, :1].float(), COARSE // FINE) > 0.5).float()
    if own.device.type == "cpu" and not seed.any():
        return torch.zeros_like(coarse)
    passable = torch.maximum(coarse.float().sigmoid(), seed)
    reached = seed
    for _ in range(REACH_STEPS):
        before, reached = reached, torch.minimum(F.max_pool2d(reached, 3, 1, 1), passable)
        if own.device.type == "cpu" and torch.equal(before, reached):
            break
    return reached.to(coarse.dtype)
