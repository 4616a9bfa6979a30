"""Anything that can be guided, behind one interface for evaluation: shipped segmenters and networks from the registry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guided_demo.annotation import BACKGROUND, Annotation
from guided_demo.core import checkpoint
from guided_demo.core.encoded import EncodedImage
from guided_demo.core.encoder import Encoder
from guided_demo.core.guidance import Guidance, merge
from guided_demo.core.model import GuidedSegmenter, Scope
from guided_demo.errors import InputError
from guided_demo.geometry import PADDING, Frame

from .baselines import FineTuned, PixelForest
from .encoders import MobileNet, encoder_weights
from .registry import ON_ENCODER, REGISTRY, UNTRAINED, build

OBJECT = "object"  # the name that every task's class has, so that no model can know it by name
CLASSES = (OBJECT, BACKGROUND)
Support = Sequence[tuple[np.ndarray, Annotation]]


class Contestant(Protocol):
    """What evaluation measures: `guide` once with the support, then `segment` any number of queries."""

    name: str
    checkpoint_id: str

    def guide(self, support: Support) -> Any:
        """Guidance, in whatever form, from images (HxWx3 uint8) with annotation of `CLASSES`."""

    def segment(self, guidance: Any, query: np.ndarray, own: Annotation | None = None, scope: Scope = "everywhere") -> np.ndarray:
        """HxW bool for a query (HxWx3 uint8); `own` is its annotation where it is among the support."""


class SegmenterContestant:
    """A `GuidedSegmenter`, used exactly as people use it. The last images stay encoded."""

    def __init__(self, segmenter: GuidedSegmenter, name: str, kept: int = 128) -> None:
        self.segmenter, self.name, self.checkpoint_id = segmenter, name, segmenter.checkpoint_id
        self._kept, self._encoded = kept, OrderedDict[int, tuple[np.ndarray, EncodedImage]]()

    def guide(self, support: Support) -> Guidance:
        return merge(self.segmenter.guide(self._encode(image), annotation) for image, annotation in support)

    def segment(
        self, guidance: Guidance, query: np.ndarray, own: Annotation | None = None, scope: Scope = "everywhere"
    ) -> np.ndarray:
        result = self.segmenter.segment(self._encode(query), guidance, own, scope)
        if OBJECT not in result.classes:
            return np.zeros(query.shape[:2], bool)
        return result.labels == result.classes.index(OBJECT)

    def _encode(self, image: np.ndarray) -> EncodedImage:
        # By identity: the image itself is kept too, so its id is not taken by another.
        if id(image) not in self._encoded:
            self._encoded[id(image)] = image, self.segmenter.encode(image)
            if len(self._encoded) > self._kept:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(id(image))
        return self._encoded[id(image)][1]


class NetworkContestant:
    """A network with the interface of `core.paper`, shown images as `Frame.fit` has them; masks in original pixels."""

    def __init__(self, network: nn.Module, name: str, checkpoint_id: str, side: int = 384, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        self.name, self.checkpoint_id, self.side, self.device = name, checkpoint_id, side, device

    @torch.no_grad()
    def guide(self, support: Support) -> tuple[nn.Module, Tensor, Tensor]:
        frames = [Frame.fit(image.shape[1::-1], self.side) for image, _ in support]
        size = max(frame.padded[0] for frame in frames), max(frame.padded[1] for frame in frames)
        images = [_padded(frame.to_input(image), size) for frame, (image, _) in zip(frames, support, strict=True)]
        marks = [
            _padded(frame.annotation_to_input(annotation, CLASSES).float(), size, 0)
            for frame, (_, annotation) in zip(frames, support, strict=True)
        ]
        shown, annotated = torch.cat(images).to(self.device), torch.cat(marks).to(self.device)
        network = self.network.tune(shown, annotated) if isinstance(self.network, FineTuned) else self.network
        return network, shown[None], annotated[None]

    @torch.no_grad()
    def segment(
        self,
        guidance: tuple[nn.Module, Tensor, Tensor],
        query: np.ndarray,
        own: Annotation | None = None,
        scope: Scope = "everywhere",
    ) -> np.ndarray:
        network, shown, annotated = guidance
        frame = Frame.fit(query.shape[1::-1], self.side)
        # One size for all: networks may encode support and query as one batch.
        size = max(frame.padded[0], shown.shape[-2]), max(frame.padded[1], shown.shape[-1])
        asked = _padded(frame.to_input(query), size).to(self.device)
        extra = {}
        if getattr(network, "takes_own", False):
            marks = frame.annotation_to_input(own or Annotation(), CLASSES).float()
            local = own is not None and scope == "object"
            extra = {"own": _padded(marks, size, 0).to(self.device), "scope": torch.tensor([float(local)]).to(self.device)}
        logits = network(_padded(shown, size), _padded(annotated, size, 0), asked, **extra)
        logits = logits[0] if isinstance(logits, tuple) else logits
        return (frame.to_image(logits.float().cpu(), 1)[0] > 0).numpy()


def _padded(images: Tensor, size: tuple[int, int], value: float = PADDING) -> Tensor:
    """Right and bottom, up to (H, W)."""
    return F.pad(images, (0, size[1] - images.shape[-1], 0, size[0] - images.shape[-2]), value=value)


def open_contestant(spec: str, device: str = "cpu") -> Contestant:
    """A contestant as the command line names it.

    Args:
        spec: a checkpoint ("default", or a path: shipped segmenters and networks of the registry, told apart by their
            metadata); the name of a registry network that needs no training (`UNTRAINED`); or "network=path", for one that
            needs none beside that of its encoder (`ON_ENCODER`), on the encoder of that checkpoint.
    Raises:
        InputError: if there is no such checkpoint or network, if it needs training, if the checkpoint has another encoder, or
            if a package is missing.
    """
    name, separator, path = spec.partition("=")
    if separator:
        contestant = _on_encoder(name, path, device)
    elif spec in REGISTRY and spec not in checkpoint.NAMES and not Path(spec).exists():
        contestant = NetworkContestant(_untrained(spec), spec, "none", device=device)
    else:
        state, metadata, identity = checkpoint.read(checkpoint.find(spec))
        kind = metadata.get("model", "guided")
        label = kind if spec in checkpoint.NAMES else _label(spec)
        if kind == "guided":
            return SegmenterContestant(GuidedSegmenter.load(spec, device=device), label)
        network = build(kind, **metadata["config"])
        network.load_state_dict(state)
        contestant = NetworkContestant(network, label, identity, metadata["side"], device)
    if isinstance(contestant.network, PixelForest):
        contestant.network.check_packages()
    return contestant


def _on_encoder(name: str, path: str, device: str) -> NetworkContestant:
    if name in REGISTRY and name not in ON_ENCODER:
        raise InputError(f"On the encoder of another network only {_listed(ON_ENCODER)} are of use; {_instead(name)}.")
    state, metadata, identity = checkpoint.read(checkpoint.find(path))
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)  # of the head that fine-tuning begins with
            network = build(name, **{key: value for key, value in metadata["config"].items() if key == "variant"})
        encoder = next(module for module in network.modules() if isinstance(module, Encoder))
        encoder.load_state_dict(encoder_weights(state))
    except RuntimeError as error:
        raise InputError(f"{name} cannot use the encoder of {path}, for it has another.") from error
    label = name if path in checkpoint.NAMES else f"{name}={_label(path)}"
    return NetworkContestant(network, label, f"encoder of {identity}", metadata["side"], device)


def _untrained(name: str) -> nn.Module:
    if name not in UNTRAINED:
        raise InputError(f"{name} has random weights: {_instead(name)}; only {_listed(UNTRAINED)} need no training.")
    network = build(name)
    if isinstance(getattr(network, "encoder", None), MobileNet):
        network.get_submodule("encoder").load_imagenet()  # type: ignore[operator]
    return network


def _instead(name: str) -> str:
    """How a network of the registry is given, for a sentence that refuses another way."""
    if name in UNTRAINED:
        return f"give {name} alone"
    trained = f"a checkpoint of it, as `python -m guided_demo train --model {name}` makes them"
    borrowed = f"{name}=CHECKPOINT to put it on the encoder of one"
    ways = [trained] * (name != "forest-features") + [borrowed] * (name in ON_ENCODER)  # a forest is not trained beforehand
    return f"give {', or '.join(ways)}"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _label(path: str) -> str:
    """With its folder: all runs call their checkpoints last and best."""
    return "/".join(Path(path).resolve().with_suffix("").parts[-2:])
