"""From the ledger to what the head solves: each guided class against the rest, every annotated image counting equally."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from ..annotation import BACKGROUND
from .contribution import Sample
from .guidance import Guidance

COMPARED = 48  # exemplars a side, about, that every pixel is compared with; means and regressions use all
STATS = 6
MARKS = 4  # pixels, or marks of the query's own, that count as much as an image
FOUND, FEW = 0.4, 25  # what is found in an image has so much of its weight beside up to so many marks, and less beside more
CORRECTING = 4  # power of how many marks an image has, as a share of the most: a few beside many are corrections
OTHERS = 0.1  # what the other classes weigh beside the background: their own masks compete with the class in any case
# More than this is told to the head as this much: far from what it met in training, more annotation made it worse.
MOST_PIXELS, MOST_SHOTS = 1000, 5


@dataclass(frozen=True)
class Labelled:
    """n exemplars and the sides they are on in each of B problems.

    rows (R, n, SEMANTIC + DETAIL), semantics and then detail: of one set for all problems, which are then the K = B classes that
    are told apart by it, or of a set for each (R = B, K = 1); sign (B, n): +1 of the class, -1 of the rest, 0 padding; weight
    (B, n) is that of `assemble`.
    """

    rows: Tensor
    sign: Tensor
    weight: Tensor

    def take(self, index: Tensor) -> Labelled:
        """The exemplars of `index` only, weights again summing to what they did on each side."""
        weight = self.weight.index_select(1, index)  # several times quicker than [:, index]
        for side in (self.sign > 0, self.sign < 0):
            before, after = (self.weight * side).sum(1, keepdim=True), (weight * side.index_select(1, index)).sum(1, keepdim=True)
            weight = torch.where(side.index_select(1, index), weight * before / after.clamp_min(1e-9), weight)
        return Labelled(self.rows.index_select(1, index), self.sign.index_select(1, index), weight)

    def joined(self, other: Labelled) -> Labelled:
        return Labelled(*(torch.cat([getattr(self, f.name), getattr(other, f.name)], 1) for f in fields(self)))

    def to(self, device: torch.device) -> Labelled:
        return Labelled(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True)
class Problem:
    """B times one class against the rest.

    centre (R, SEMANTIC): mean descriptor of the support images; stats (B, STATS), see `statistics`; compared: which exemplars
    pixels are compared with, None for all; means and regressions are over all.
    """

    exemplars: Labelled
    centre: Tensor
    stats: Tensor
    compared: Tensor | None = None

    def to(self, device: torch.device) -> Problem:
        compared = None if self.compared is None else self.compared.to(device)
        return Problem(self.exemplars.to(device), self.centre.to(device), self.stats.to(device), compared)


def statistics(positive: Tensor, negative: Tensor, shots: Tensor, own: Tensor, scope: Tensor) -> Tensor:
    """STATS numbers (B, STATS) from numbers of annotated pixels, support images, and 0/1: own marks, scope "object".

    The third is how well the rest is known, which the learned negatives give way to: 1 where as much of it is marked as of the
    class. In training it was 1 as soon as any was; so used, a first click on the background beside several on the class makes
    most masks worse.
    """
    positive, negative = (n.float().clamp(max=MOST_PIXELS) for n in (positive, negative))
    counts = [torch.log2(1 + n) / 8 for n in (positive, negative)]
    known = (negative / positive.clamp_min(1)).clamp(max=1).sqrt()
    images = torch.log2(shots.float().clamp(max=MOST_SHOTS))
    return torch.stack([*counts, known, images, own.float(), scope.float()], -1)


def assemble(guidance: Guidance, guided: tuple[str, ...], own: str | None, alone: bool) -> Problem:
    """A problem a class in `guided` (B of them), for one query that has marks of its own (its key), or for any (None).

    Weights sum to 1 over the class, to 1 over the background, and to OTHERS over the other classes. In each of these images count
    equally, but for two things: the query itself counts as one for every MARKS marks of its own, and for a query without any,
    images with fewer than MARKS pixels count for less, as most are corrections, of what is unusual. Other classes of an image
    count equally; within a class in an image, annotations count by their pixels. Only the background is told as what is known of
    the rest: marks of other classes alone, told as that, left most of an image to some class. alone: whether the query's own
    marks are all there is to be (scope "object").

    A class counts as shown in the query only where marks of it are: in training the query's own marks always had some. With
    background alone, a click, told as own, took most of the class away.
    """
    samples = [(c.key, name, s) for c in guidance.ledger.values() for name, s in c.samples.items()]
    parts = _parts(guidance, own)
    rows = np.concatenate([np.hstack([s.semantic, s.detail.astype(np.float32)]) for _, s, _ in parts])
    lengths = [len(s.weight) for _, s, _ in parts]
    owner = np.repeat([i for i, *_ in parts], lengths)
    within = np.concatenate([s.weight.astype(np.float32) / s.weight.astype(np.float32).sum() * part for _, s, part in parts])
    marks = None
    if own is not None:
        marks = Counter((c.key, mark.label) for c in guidance.ledger.values() if c.key == own for mark in c.annotation.marks)
    names = np.array([name for _, name, _ in samples], object)
    sizes = np.array([sample.pixels for *_, sample in samples])
    nothing = names == BACKGROUND
    background = _shares(samples, nothing, marks)
    signs, weights, pixels, shots = [], [], [], []
    for name in guided:
        this = names == name
        share = _shares(samples, this, marks) + background + OTHERS * _shares(samples, ~(this | nothing), marks)
        signs.append(np.where(this, np.float32(1), np.float32(-1))[owner])
        weights.append(share[owner] * within)
        pixels.append([sizes[this].sum(), sizes[nothing].sum()])
        shots.append(len({key for key, n, _ in samples if n == name}))
    centre = np.mean([c.centre.astype(np.float32) for c in guidance.ledger.values()], 0)
    count = len(guided)
    shown = shown_in(guidance, own)
    flags = torch.tensor([name in shown for name in guided]), torch.full((count,), alone)
    positive, negative = torch.tensor(pixels, dtype=torch.float32).unbind(1)
    return Problem(
        exemplars=Labelled(*map(torch.from_numpy, (rows[None], np.stack(signs), np.stack(weights)))),
        centre=torch.from_numpy(centre)[None],
        stats=statistics(positive, negative, torch.tensor(shots, dtype=torch.float32), *flags),
        compared=_thin(np.repeat(np.arange(len(parts)), lengths), len(samples)),
    )


def _parts(guidance: Guidance, own: str | None) -> list[tuple[int, Sample, float]]:
    """What each class in each image is told by: its number, a sample, and the share of its weight that this has.

    What was surely found in an image has some of it. There is none for the query itself, and for one in which nothing but
    background is marked, where a few marks have to stand against what is found in others. Where others have more marks, it has
    less, for a few beside many are corrections, of what is unusual, and what is found by these alone is often wrong.
    """
    corrected = own is not None and shown_in(guidance, own) <= {BACKGROUND}
    marks = [Counter(mark.label for mark in c.annotation.marks) for c in guidance.ledger.values()]
    most = {name: max(count[name] for count in marks) for name in guidance.classes}
    samples = ((c, count, name) for c, count in zip(guidance.ledger.values(), marks, strict=True) for name in c.samples)
    parts: list[tuple[int, Sample, float]] = []
    for number, (c, count, name) in enumerate(samples):
        share = 0.0
        if name in c.found and c.key != own and not corrected:
            share = FOUND * min(1.0, FEW / count[name]) * (count[name] / most[name]) ** CORRECTING
            parts.append((number, c.found[name], share))
        parts.append((number, c.samples[name], 1 - share))
    return parts


def shown_in(guidance: Guidance, own: str | None) -> frozenset[str]:
    """The classes, background among them, that the image of a key has marks of."""
    return frozenset(name for c in guidance.ledger.values() if c.key == own for name in c.samples)


def _shares(samples: list, part: np.ndarray, marks: Counter[tuple[str, str | None]] | None) -> np.ndarray:
    """What each sample weighs among those of `part` (bool, one a sample), 0 for the others; `marks` by image and class, of
    images that count as more than one, or None for a query that has none."""
    share = np.zeros(len(samples), np.float32)
    pixels, classes, counts = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    places = np.flatnonzero(part).tolist()
    for key, name, sample in (samples[i] for i in places):
        pixels[key, name] += sample.pixels
    for key, name in pixels:
        classes[key] += 1
        counts[key] += pixels[key, name] if marks is None else marks[key, name]
    worth = {key: min(n, MARKS) if marks is None else max(n, MARKS) for key, n in counts.items()}
    total = sum(worth.values())
    for i in places:
        key, name, sample = samples[i]
        share[i] = sample.pixels / pixels[key, name] / classes[key] * worth[key] / total
    return share


def _thin(owner: np.ndarray, count: int) -> torch.Tensor | None:
    """Indices of the exemplars that are compared, an even choice from each of `count` samples; None for all."""
    quota = max(2, 2 * COMPARED // count)
    chosen = []
    for sample in range(owner[-1] + 1):
        places = np.flatnonzero(owner == sample)
        kept = min(len(places), quota)
        # the middles of `kept` equal stretches: what comes first and last is at the thing's border
        chosen.append(places[(2 * np.arange(kept) + 1) * len(places) // (2 * kept)])
    index = np.concatenate(chosen)
    return None if len(index) == len(owner) else torch.from_numpy(index)
