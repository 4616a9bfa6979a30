"""How good masks are: region and boundary measures, clicks needed, and confidence in their means.

Masks are HxW bool. `known` (HxW bool) leaves pixels out that nobody labelled. Region measures start from `count`, whose
arrays add up over masks: what is pooled and what is averaged is then visible where it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

DAVIS_BOUND = 0.008  # of the image's diagonal: how far off a boundary may be and still count, rounded up to pixels

MOST_CLICKS = 20


def count(prediction: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """(tp, fp, fn, tn) as int64 of shape (4,)."""
    if prediction.shape != truth.shape:
        raise ValueError(f"a prediction of {prediction.shape} does not fit a truth of {truth.shape}")
    code = 2 * prediction.astype(np.uint8) + truth.astype(np.uint8)
    tn, fn, fp, tp = np.bincount(code.ravel() if known is None else code[known], minlength=4)
    return np.array([tp, fp, fn, tn], np.int64)


def iou(counts: np.ndarray) -> np.ndarray:
    """tp / (tp + fp + fn) along the last axis of counts [..., 4]; 1 where nothing is there and nothing is predicted."""
    counts = np.asarray(counts)
    tp, union = counts[..., 0], counts[..., 0] + counts[..., 1] + counts[..., 2]
    return np.where(union > 0, tp / np.maximum(union, 1), 1.0)


def positive_iu(counts: np.ndarray) -> float:
    """The paper's positive intersection over union: counts [T, 4] are pooled over all masks first (section 7.3).

    The paper prints tp / (fp + tp + fp), with fp twice; tp / (tp + fp + fn) is meant.
    """
    return float(iou(np.asarray(counts).sum(0)))


def mean_iou(counts: np.ndarray) -> float:
    """IoU of each task's mask, averaged over tasks; counts [T, 4]."""
    return float(iou(counts).mean())


def class_miou(counts: np.ndarray, classes: Sequence[Hashable]) -> float:
    """mIoU as few-shot papers report it: pooled within each task's class, averaged over classes; counts [T, 4]."""
    return float(np.mean([positive_iu(part) for part in _grouped(counts, classes)]))


def fb_iou(counts: np.ndarray) -> float:
    """Mean of pooled foreground IoU and pooled background IoU, whatever the class; counts [T, 4]."""
    pooled = np.asarray(counts).sum(0)
    return float((iou(pooled) + iou(pooled[::-1])) / 2)  # reversed: (tn, fn, fp, tp), as the background sees it


def _grouped(counts: np.ndarray, classes: Sequence[Hashable]) -> list[np.ndarray]:
    counts = np.asarray(counts)
    order = list(dict.fromkeys(classes))
    return [counts[[c == wanted for c in classes]] for wanted in order]


def boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one at their right, below, or both (HxW bool): DAVIS's one-pixel boundary."""
    mask = mask.astype(bool)
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != below) | (mask != diagonal)


def boundary_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    """DAVIS's F: harmonic mean of the shares of both boundaries that lie near the other's.

    Returns:
        in [0, 1]; 1 if neither has a boundary, 0 if only one has.
    """
    ours, theirs = boundary(prediction), boundary(truth)
    if not ours.any() or not theirs.any():
        return float(not ours.any() and not theirs.any())
    pixels = np.ceil(DAVIS_BOUND * np.hypot(*truth.shape))
    precision = (distance_transform_edt(~theirs)[ours] <= pixels).mean()
    recall = (distance_transform_edt(~ours)[theirs] <= pixels).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0


# --- clicks ----------------------------------------------------------------------------------------------------------


def next_click(prediction: np.ndarray, truth: np.ndarray, known: np.ndarray, clicked: np.ndarray) -> tuple[int, int, bool] | None:
    """Where someone would click next: the innermost pixel of the largest error, which is the widest one (of two
    as wide the one on the object; elsewhere it is the other).

    Args:
        clicked: HxW bool, pixels not to click again.
    Returns:
        (column, row, whether it belongs to the object), or None if there is no error to click on.
    """
    best, width = None, 0.0
    for is_object in (True, False):
        error = (prediction != truth) & (truth == is_object) & known
        depth = distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1] * ~clicked
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] > width:
            best, width = (int(column), int(row), is_object), depth[row, column]
    return best


def clicks_needed(ious: Sequence[float], threshold: float) -> int:
    """Number of clicks until the IoU first reaches `threshold`; `ious[i]` is that after click i + 1. MOST_CLICKS if never."""
    reached = (i + 1 for i, value in enumerate(ious) if value >= threshold)
    return next(reached, MOST_CLICKS)


# --- confidence ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its confidence interval."""

    value: float
    low: float
    high: float


def bootstrap(
    tasks: np.ndarray,
    statistic: Callable[[np.ndarray], float] = lambda values: float(np.mean(values)),
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """The statistic of `tasks` [T, ...], and its percentile interval when the T tasks are drawn anew with replacement."""
    tasks = np.asarray(tasks)
    generator = np.random.default_rng(seed)
    values = [statistic(tasks[generator.integers(len(tasks), size=len(tasks))]) for _ in range(draws)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(tasks), float(low), float(high))
