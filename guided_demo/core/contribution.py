"""What one annotated image gives to guidance: exemplars by class, and the annotation they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..annotation import Annotation
from .exemplars import Exemplars


@dataclass(frozen=True)
class Sample:
    """One class in one image, as it is stored: n exemplars, and the number of annotated pixels they stand for.

    steps (n, SEMANTIC) int8 times step (n, 1) float16 is their semantics: half the size of float16, and cosines change by less
    than .001; detail (n, DETAIL) float16; weight (n,) float16, which sums to about 1.
    """

    steps: np.ndarray
    step: np.ndarray
    detail: np.ndarray
    weight: np.ndarray
    pixels: int

    @classmethod
    def of(cls, semantic: np.ndarray, detail: np.ndarray, weight: np.ndarray, pixels: int) -> Sample:
        """From exemplars (n, SEMANTIC) and (n, DETAIL), and weights (n,), of any floating type."""
        semantic = semantic.astype(np.float32)
        step = np.maximum(np.abs(semantic).max(1, keepdims=True) / 127, 1e-6).astype(np.float16)
        steps = np.rint(semantic / step.astype(np.float32)).clip(-127, 127).astype(np.int8)
        return cls(steps, step, detail.astype(np.float16), weight.astype(np.float16), pixels)

    @property
    def semantic(self) -> np.ndarray:
        """(n, SEMANTIC) float32."""
        return self.steps * self.step.astype(np.float32)


@dataclass(frozen=True)
class Contribution:
    """What one image gives: samples by class, its mean descriptor (SEMANTIC,) float16, and the annotation it came from; found:
    samples of what it surely shows beside its marks, see `found`."""

    key: str
    size: tuple[int, int]
    samples: Mapping[str, Sample]
    centre: np.ndarray
    annotation: Annotation
    found: Mapping[str, Sample] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        """Its place in the ledger: the image, and what was marked on it."""
        marks = json.dumps(self.annotation.to_json(), sort_keys=True)
        return f"{self.key}/{hashlib.sha256(marks.encode()).hexdigest()[:12]}"


def samples_of(exemplars: Exemplars, classes: Sequence[str]) -> dict[str, Sample]:
    """By class, what was pooled of one image (M = 1), of those that there is anything of."""
    parts = (t[0].numpy() for t in (exemplars.semantic, exemplars.detail, exemplars.weight, exemplars.pixels))
    samples = {}
    for name, semantic, detail, weight, pixels in zip(classes, *parts, strict=True):
        used = weight > 0
        if used.any():
            samples[name] = Sample.of(semantic[used], detail[used], weight[used], int(pixels))
    return samples
