"""Anything that can be guided, behind one interface for evaluation: shipped segmenters and networks from the registry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from guided_demo.annotation import BACKGROUND, Annotation
from guided_demo.core import checkpoint
from guided_demo.core.encoder import Encoder
from guided_demo.core.guidance import Guidance, merge
from guided_demo.core.model import EncodedImage, GuidedSegmenter, Scope
from guided_demo.errors import InputError
from guided_demo.geometry import PADDING, Frame

from .baselines import FineTuned
from .encoders import MobileNet, encoder_weights
from .registry import REGISTRY, UNTRAINED, build

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
    """A network with the interface of `core.paper`, shown images whose longer side is `side`; masks in original pixels."""

    def __init__(self, network: nn.Module, name: str, checkpoint_id: str, side: int = 384, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        self.name, self.checkpoint_id, self.side, self.device = name, checkpoint_id, side, device

    @torch.no_grad()
    def guide(self, support: Support) -> tuple[nn.Module, Tensor, Tensor]:
        frames = [Frame.fit(image.shape[1::-1], self.side) for image, _ in support]
        size = max(frame.padded[0] for frame in frames), max(frame.padded[1] for frame in frames)
        images = [
            _padded(frame.to_input(Image.fromarray(image)), size) for frame, (image, _) in zip(frames, support, strict=True)
        ]
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
        asked = _padded(frame.to_input(Image.fromarray(query)), size).to(self.device)
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
            metadata); the name of a registry network that needs no training (`UNTRAINED`);
            or "network=path", for a network of the registry on the encoder of that checkpoint, otherwise untrained.
    Raises:
        InputError: if there is no such checkpoint or network, if it needs training, or has another encoder.
    """
    name, separator, path = spec.partition("=")
    if separator:
        state, metadata, identity = checkpoint.read(checkpoint.find(path))
        try:
            network = build(name, **{key: value for key, value in metadata["config"].items() if key == "variant"})
            encoder = next(module for module in network.modules() if isinstance(module, Encoder))
            encoder.load_state_dict(encoder_weights(state))
        except (TypeError, StopIteration, RuntimeError) as error:
            raise InputError(f"{name} cannot use the encoder of {path}, for it has another.") from error
        return NetworkContestant(network, name, f"encoder of {identity}", metadata["side"], device)
    if spec in REGISTRY and spec not in checkpoint.NAMES and not Path(spec).exists():
        if spec not in UNTRAINED:
            raise InputError(
                f"{spec} has random weights: give a checkpoint of it, as `python -m guided_demo train` makes them, or "
                f"{spec}=CHECKPOINT to put it on the encoder of one; only {' and '.join(UNTRAINED)} need no training."
            )
        network = build(spec)
        if isinstance(getattr(network, "encoder", None), MobileNet):
            network.get_submodule("encoder").load_imagenet()  # type: ignore[operator]
        return NetworkContestant(network, spec, "none", device=device)
    state, metadata, identity = checkpoint.read(checkpoint.find(spec))
    kind = metadata.get("model", "guided")
    # With its folder: all runs call their checkpoints last and best.
    label = kind if spec in checkpoint.NAMES else "/".join(Path(spec).resolve().with_suffix("").parts[-2:])
    if kind == "guided":
        return SegmenterContestant(GuidedSegmenter.load(spec, device=device), label)
    network = build(kind, **metadata["config"])
    network.load_state_dict(state)
    return NetworkContestant(network, label, identity, metadata["side"], device)
