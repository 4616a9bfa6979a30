"""An image as the network knows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..geometry import Frame
from .edges import Edges
from .encoder import Features


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image as the network knows it, and where its edges are: all that does not depend on guidance, mostly in float16.

    key: digest of its pixels; frame: its size and how it was shown to the network; checkpoint_id: whose features these are.
    """

    key: str
    frame: Frame
    checkpoint_id: str
    features: Features
    edges: Edges

    def __repr__(self) -> str:
        return f"EncodedImage({self.size[0]}x{self.size[1]}, key {self.key})"

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) of the original."""
        return self.frame.size

    @cached_property
    def centre(self) -> np.ndarray:
        """The mean semantic descriptor (SEMANTIC,) float16."""
        return self.features.semantic.float().mean((2, 3))[0].half().numpy()

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for part in (self.features, self.edges) for t in vars(part).values())
