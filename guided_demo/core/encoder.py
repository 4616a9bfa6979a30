"""The shared fully convolutional encoder phi: everything about an image that does not depend on guidance.

A backbone, a light feature pyramid, and three kinds of description: `semantic` (what a thing is; stride 8), `detail` (raw and
blurred colour, contrast, early layers; stride 4), and the head's pre-activations, which are its first layer's share of
the image and so can be kept with the features. So can how the semantics of the image vary, and how like each other its places
are: whatever is found in a part of it can then be told from the rest, and followed to where there is more of it, by products.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import EfficientNetLite

FINE = 4  # stride of what is finest
# The semantic descriptor is three unit vectors side by side: from the pyramid, and from the backbone at strides 16 and 32.
GROUPS = (96, 48, 48)
SEMANTIC = sum(GROUPS)
DETAIL = 32
COARSE_WIDTH, FINE_WIDTH = 48, 16
_HAND_MADE = 13
_FINE_INNER = 24
SPREAD = 0.01  # variance of a number, of semantics about, from which on whitening takes it for one that varies


@dataclass(frozen=True)
class Features:
    """Of a batch of images; maps of h8 x w8 are at stride 8 of the input, of h4 x w4 at stride 4, and so on.

    semantic (B, SEMANTIC, h8, w8), each group of unit length; halved (B, SEMANTIC, h16, w16): its means over 2x2 cells; whitening
    (B, SEMANTIC, SEMANTIC) and affinity (B, h16 * w16, h16 * w16): see the functions of these names; detail (B, DETAIL, h4, w4),
    and its whitening (B, DETAIL, DETAIL); coarse (B, COARSE_WIDTH, h8, w8) and fine (B, FINE_WIDTH, h4, w4): pre-activations of
    the head.
    """

    semantic: Tensor
    halved: Tensor
    whitening: Tensor
    affinity: Tensor
    detail: Tensor
    detail_whitening: Tensor
    coarse: Tensor
    fine: Tensor

    @classmethod
    def of(cls, semantic: Tensor, detail: Tensor, coarse: Tensor, fine: Tensor, sharpness: Tensor) -> Features:
        """With what follows from the semantics; sharpness (len(GROUPS),) as of `affinity`."""
        halved = halve(semantic)
        return cls(semantic, halved, whitening(halved), affinity(halved, sharpness), detail, whitening(detail), coarse, fine)

    def map(self, function) -> Features:
        """The same with `function` applied to every tensor."""
        return Features(**{f.name: function(getattr(self, f.name)) for f in fields(self)})


class Separable(nn.Module):
    """Depthwise 3x3, pointwise, ReLU, added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.point = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.point(self.depth(x)))


def upsample(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def halve(x: Tensor) -> Tensor:
    """Mean over 2x2 cells; avg_pool2d is slow on a CPU for so few channels."""
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def unit_length(x: Tensor) -> Tensor:
    """To unit length over dimension 1; written out, as F.normalize over any but the last dimension is slow on a CPU."""
    return x * (x * x).sum(1, keepdim=True).clamp_min(1e-4).rsqrt()


def whitening(maps: Tensor) -> Tensor:
    """SPREAD (C + SPREAD)^-1 of the covariance C of (B, D, h, w) over its pixels: (B, D, D), eigenvalues in (0, 1].

    The difference of two kinds of pixels times this is what tells them apart best by a linear function (Fisher 1936).
    """
    with torch.autocast(maps.device.type, enabled=False):
        x = maps.flatten(2)
        x = x - x.mean(2, keepdim=True)
        covariance = x @ x.transpose(1, 2) / x.shape[2]
        eye = torch.eye(x.shape[1], device=x.device)
        factor = torch.linalg.cholesky(covariance / SPREAD + eye)
        root = torch.linalg.solve_triangular(factor, eye.expand_as(covariance), upper=False)
        return root.transpose(1, 2) @ root


def affinity(maps: Tensor, sharpness: Tensor) -> Tensor:
    """How like each other the places of (B, SEMANTIC, h, w) are: (B, h * w, h * w), a softmax along the last dimension of their
    cosines about the mean of the image, those of each group times its sharpness, added up."""
    with torch.autocast(maps.device.type, enabled=False):
        x = maps.flatten(2)
        parts = [F.normalize(part, dim=1, eps=1e-3) for part in (x - x.mean(2, keepdim=True)).split(GROUPS, 1)]
        scaled = torch.cat([part * root for part, root in zip(parts, sharpness.sqrt(), strict=True)], 1)
        return (scaled.transpose(1, 2) @ scaled).softmax(-1)


def compact(x: Tensor) -> Tensor:
    """As features are kept: in float16 on the host, maps with their channels last, which convolutions are quickest with."""
    kept = x.half().cpu()
    return kept.contiguous(memory_format=torch.channels_last) if kept.ndim == 4 else kept.contiguous()


def hand_made(image: Tensor) -> Tensor:
    """What pixel classifiers look at: (B, 3, H, W) in [0, 1] to (B, 13, H/4, W/4), each about of unit spread.

    Colour at three scales, contrast at three scales, gradient.
    """
    image = image.contiguous()  # few channels are quicker one after the other
    grey = image.mean(1, keepdim=True)
    mean4, square4 = halve(halve(image)), halve(halve(grey * grey))
    mean8, square8 = halve(mean4), halve(square4)
    mean16, square16 = halve(mean8), halve(square8)

    def scaled(mean: Tensor, square: Tensor) -> Tensor:
        contrast = (square - mean.mean(1, keepdim=True) ** 2).clamp_min(1e-5).sqrt()
        return torch.cat([(mean - 0.45) * 4, contrast * 12], 1)

    steps = torch.zeros_like(grey)
    steps[..., :-1] = (grey[..., 1:] - grey[..., :-1]).abs()
    steps[..., :-1, :] += (grey[..., 1:, :] - grey[..., :-1, :]).abs()
    maps = [scaled(mean4, square4), *(upsample(scaled(*pair), mean4) for pair in ((mean8, square8), (mean16, square16)))]
    colours, contrasts = zip(*(m.split([3, 1], 1) for m in maps), strict=True)
    return torch.cat([*colours, *contrasts, halve(halve(steps)) * 12], 1)


class Encoder(nn.Module):
    """(B, 3, H, W) as RGB in [0, 1], H and W multiples of 32, to Features."""

    def __init__(self, variant: str = "lite2", width: int = 128) -> None:
        super().__init__()
        self.backbone = EfficientNetLite(variant)
        c2, c4, c8, c16, c32 = self.backbone.channels
        self.lateral32 = nn.Conv2d(c32, width, 1)
        self.lateral16 = nn.Conv2d(c16, width, 1)
        self.lateral8 = nn.Conv2d(c8, width, 1)
        self.mix32 = Separable(width)
        self.mix16 = nn.Sequential(Separable(width), Separable(width))
        self.mix8 = nn.Sequential(Separable(width), Separable(width), Separable(width))
        self.describe = nn.ModuleList([nn.Conv2d(c, d, 1) for c, d in zip((width, c16, c32), GROUPS, strict=True)])
        self.early2 = nn.Conv2d(c2, (DETAIL - _HAND_MADE) // 2, 1)
        self.early4 = nn.Conv2d(c4, DETAIL - _HAND_MADE - (DETAIL - _HAND_MADE) // 2, 1)
        self.coarse = nn.Conv2d(width, COARSE_WIDTH, 1)
        self.fine4 = nn.Conv2d(c4 + DETAIL, _FINE_INNER, 1)
        self.fine8 = nn.Conv2d(width, _FINE_INNER, 1)
        self.mix4 = nn.Sequential(Separable(_FINE_INNER), Separable(_FINE_INNER))
        self.fine = nn.Conv2d(_FINE_INNER, FINE_WIDTH, 1)
        self.alike = nn.Parameter(torch.tensor([1.8, 1.2, 1.0]))  # logs of the sharpness of the affinity, by group

    def forward(self, image: Tensor) -> Features:
        f2, f4, f8, f16, f32 = self.backbone(image)
        top = self.mix32(self.lateral32(f32))
        mid = self.mix16(self.lateral16(f16) + upsample(top, f16))
        pyramid = self.mix8(self.lateral8(f8) + upsample(mid, f8))
        groups = [conv(f) for conv, f in zip(self.describe, (pyramid, f16, f32), strict=True)]
        # fp32: unit vectors and statistics of colour lose too much in half precision
        with torch.autocast(image.device.type, enabled=False):
            semantic = torch.cat([unit_length(upsample(g.float(), f8)) for g in groups], 1)
            colour = hand_made(image.float())
        early = torch.cat([self.early2(F.avg_pool2d(f2, 2)), self.early4(f4)], 1)
        detail = torch.cat([colour, early.float()], 1)
        fine = self.mix4(self.fine4(torch.cat([f4, detail.to(f4.dtype)], 1)) + upsample(self.fine8(pyramid), f4))
        return Features.of(semantic, detail, self.coarse(pyramid).float(), self.fine(fine).float(), self.alike.exp())
