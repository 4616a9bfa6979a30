"""Every network by name, for one training command and one evaluation; all have the interface of `core.paper`."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from guided_demo.core import paper
from guided_demo.core.network import GuidedNetwork
from guided_demo.errors import InputError

from .baselines import (
    Concatenation,
    FineTuned,
    ForegroundBackground,
    MobileNet,
    NearestNeighbour,
    ParameterRegression,
    PixelForest,
    Prototype,
    Ridge,
    SemanticEncoder,
)

_C = SemanticEncoder.channels

REGISTRY: dict[str, Callable[[], nn.Module]] = {
    "guided": GuidedNetwork,
    # the paper's own
    "late-global": paper.LateGlobal,
    "late-local": paper.LateLocal,
    "early-stack": paper.EarlyStack,
    "early-mask": paper.EarlyMask,
    # other guidance and heads on our encoder
    "concatenation": lambda: Concatenation(SemanticEncoder(), _C),
    "prototype": lambda: Prototype(SemanticEncoder()),
    "nearest-neighbour": lambda: NearestNeighbour(SemanticEncoder()),
    "ridge": lambda: Ridge(SemanticEncoder()),
    "parameter-regression": lambda: ParameterRegression(SemanticEncoder(), _C),
    # unguided, or guided by optimisation
    "foreground-background": lambda: ForegroundBackground(SemanticEncoder(), _C),
    "fine-tuning": lambda: FineTuned(ForegroundBackground(SemanticEncoder(), _C), steps=50, rate=1e-3, whole=False),
    "supervised": lambda: FineTuned(ForegroundBackground(SemanticEncoder(), _C), steps=200, rate=1e-4, whole=True),
    # without meta-training
    "frozen-prototype": lambda: Prototype(MobileNet()),
    "forest-filters": PixelForest,
    "forest-features": lambda: PixelForest(SemanticEncoder()),
}


def build(name: str) -> nn.Module:
    """A new network, randomly initialised.

    Raises:
        InputError: if no network has this name.
    """
    if name not in REGISTRY:
        raise InputError(f"There is no network named {name!r}; there are {', '.join(REGISTRY)}.")
    return REGISTRY[name]()
