"""Every network by name, for one training command and one evaluation; all have the interface of `core.paper`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from guided_demo.core import paper
from guided_demo.core.network import GuidedNetwork
from guided_demo.errors import InputError

from .baselines import (
    Concatenation,
    FineTuned,
    ForegroundBackground,
    NearestNeighbour,
    ParameterRegression,
    PixelForest,
    Prototype,
    Ridge,
)
from .encoders import MobileNet, SemanticEncoder


def _on_ours(make: Callable[[nn.Module], nn.Module]) -> Callable[..., nn.Module]:
    """A network on our own encoder, of the variant that ours has in the same comparison."""
    return lambda variant="lite2": make(SemanticEncoder(variant))


_C = SemanticEncoder.channels

REGISTRY: dict[str, Callable[..., nn.Module]] = {
    "guided": GuidedNetwork,
    # the paper's own
    "late-global": paper.LateGlobal,
    "late-local": paper.LateLocal,
    "early-stack": paper.EarlyStack,
    "early-mask": paper.EarlyMask,
    # other guidance and heads on our encoder
    "concatenation": _on_ours(lambda encoder: Concatenation(encoder, _C)),
    "prototype": _on_ours(Prototype),
    "nearest-neighbour": _on_ours(NearestNeighbour),
    "ridge": _on_ours(Ridge),
    "parameter-regression": _on_ours(lambda encoder: ParameterRegression(encoder, _C)),
    # unguided, or guided by optimisation
    "foreground-background": _on_ours(lambda encoder: ForegroundBackground(encoder, _C)),
    "fine-tuning": _on_ours(lambda e: FineTuned(ForegroundBackground(e, _C), steps=50, rate=1e-3, whole=False)),
    "supervised": _on_ours(lambda e: FineTuned(ForegroundBackground(e, _C), steps=200, rate=1e-4, whole=True)),
    # without meta-training of their own
    "frozen-prototype": lambda: Prototype(MobileNet()),
    "forest-filters": PixelForest,
    "forest-features": _on_ours(PixelForest),
}
UNTRAINED = ("frozen-prototype", "forest-filters")  # of use as they are built, given ImageNet's weights
# of use as they are built, given the encoder of a checkpoint
ON_ENCODER = ("prototype", "nearest-neighbour", "ridge", "fine-tuning", "supervised", "forest-features")


def build(name: str, **config: Any) -> nn.Module:
    """A new network, randomly initialised; `config` as its checkpoint keeps it (for those on our encoder, `variant`).

    Raises:
        InputError: if no network has this name.
    """
    if name not in REGISTRY:
        raise InputError(f"There is no network named {name!r}; there are {', '.join(REGISTRY)}.")
    return REGISTRY[name](**config)
