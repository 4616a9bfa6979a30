"""What a gallery shows of each mask: the share of each class, how unsure it is, and where a click would help most."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from guided_demo.annotation import UNMARKED
from guided_demo.core.result import Result

SIDE = 128


@dataclass(frozen=True)
class Summary:
    """shares: of the image, by class, adding up to 1 with what is left without a class; uncertainty: 0 to 1, the mean over
    pixels; click: (x, y) in pixels of the image, the middle of its most uncertain region."""

    shares: dict[str, float]
    uncertainty: float
    click: tuple[float, float]


def summarize(result: Result, size: tuple[int, int], unsure: float = 0.0) -> Summary:
    """The summary of the masks of an image of `size` (W, H), from a view of at most 128 pixels a side.

    unsure: pixels whose likeliest class is less likely than this, 0 to 1, are left without a class.
    """
    width, height = small(size)
    counts = np.bincount(result.labels_at((width, height), unsure).ravel(), minlength=UNMARKED + 1)
    doubts = doubt(result.probabilities_at((width, height)))
    region = uniform_filter(doubts, size=max(3, SIDE // 10), mode="nearest")
    y, x = np.unravel_index(region.argmax(), region.shape)
    return Summary(
        shares={name: float(share) for name, share in zip(result.classes, counts / counts.sum(), strict=False)},
        uncertainty=float(doubts.mean()),
        click=((float(x) + 0.5) * size[0] / width, (float(y) + 0.5) * size[1] / height),
    )


def small(size: tuple[int, int]) -> tuple[int, int]:
    """A size (W, H) of the same shape, at most 128 a side."""
    scale = min(1.0, SIDE / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def doubt(probabilities: np.ndarray) -> np.ndarray:
    """HxW in [0, 1] from KxHxW: 1 where the two likeliest classes are equally likely, 0 where one is certain."""
    if len(probabilities) == 1:
        return 1 - probabilities[0]
    second, first = np.partition(probabilities, -2, axis=0)[-2:]
    return 1 - (first - second)
