"""From the ledger to what the head solves: each guided class against the rest, every annotated image counting equally."""

from __future__ import annotations

import numpy as np
import torch

from .guidance import Guidance
from .head import Problem, statistics

SHOWN = 192  # exemplars a side that every pixel is compared with; the regressions use all


def assemble(guidance: Guidance, guided: tuple[str, ...], own: bool, alone: bool) -> tuple[Problem, Problem | None]:
    """A problem a class in `guided` (B of them), with all exemplars, and with at most about SHOWN a side where there are more.

    Weights sum to 1 over the class and to 1 over the rest. On either side images count equally; among the rest of an image
    its classes do; within a class in an image, annotations count by their pixels.
    """
    samples = [(c.key, name, s) for c in guidance.ledger.values() for name, s in c.samples.items()]
    semantic = np.concatenate([s.semantic for *_, s in samples])
    detail = np.concatenate([s.detail for *_, s in samples]).astype(np.float32)
    owner = np.repeat(np.arange(len(samples)), [len(s.weight) for *_, s in samples])
    within = np.concatenate([s.weight.astype(np.float32) / s.weight.astype(np.float32).sum() for *_, s in samples])
    signs, weights, pixels, shots = [], [], [], []
    for name in guided:
        side = np.array([1.0 if n == name else -1.0 for _, n, _ in samples], np.float32)
        share = _shares(samples, side)
        signs.append(side[owner])
        weights.append(share[owner] * within)
        pixels.append([sum(s.pixels for (_, _, s), one in zip(samples, side, strict=True) if one == v) for v in (1, -1)])
        shots.append(len({key for key, n, _ in samples if n == name}))
    centre = np.mean([c.centre.astype(np.float32) for c in guidance.ledger.values()], 0)
    count = len(guided)
    flags = [torch.full((count,), float(f)) for f in (own, alone)]
    positive, negative = torch.tensor(pixels, dtype=torch.float32).unbind(1)
    full = Problem(
        semantic=torch.from_numpy(semantic).expand(count, -1, -1),
        detail=torch.from_numpy(detail).expand(count, -1, -1),
        sign=torch.from_numpy(np.stack(signs)),
        weight=torch.from_numpy(np.stack(weights)),
        centre=torch.from_numpy(centre).expand(count, -1),
        stats=statistics(positive, negative, torch.tensor(shots, dtype=torch.float32), *flags),
    )
    kept = _thin(owner, len(samples))
    return full, None if len(kept) == len(owner) else full.take(kept)


def _shares(samples: list, side: np.ndarray) -> np.ndarray:
    """What each sample weighs on its side."""
    keys = [key for key, *_ in samples]
    names = [name for _, name, _ in samples]
    pixels = np.array([s.pixels for *_, s in samples], np.float32)
    share = np.zeros(len(samples), np.float32)
    for i, (key, name) in enumerate(zip(keys, names, strict=True)):
        images = {k for k, one in zip(keys, side, strict=True) if one == side[i]}
        classes = {n for k, n, one in zip(keys, names, side, strict=True) if k == key and one == side[i]}
        same = [j for j in range(len(samples)) if keys[j] == key and names[j] == name]
        share[i] = pixels[i] / pixels[same].sum() / len(classes) / len(images)
    return share


def _thin(owner: np.ndarray, count: int) -> torch.Tensor:
    """Indices of the exemplars that are compared: all, or an even choice from each sample where there are many."""
    quota = max(2, 2 * SHOWN // count)
    chosen = []
    for sample in range(count):
        places = np.flatnonzero(owner == sample)
        kept = min(len(places), quota)
        # the middles of `kept` equal stretches: what comes first and last is at the thing's border
        chosen.append(places[(2 * np.arange(kept) + 1) * len(places) // (2 * kept)])
    return torch.from_numpy(np.concatenate(chosen))
