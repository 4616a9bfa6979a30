"""What the head needs of the images to segment, made ready for any guidance.

It is worked out once, in float32, for as many answers as there will be: one after each stroke on an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .encoder import GROUPS, Features

WIDE = len(GROUPS) - 1  # groups of the semantic descriptor that the backbone has at stride 16 or 32


@dataclass(frozen=True)
class Query:
    """Of F images, pixels side by side. Where there is a row of ones, a bias is one more column of what maps are multiplied with;
    to add it to a product takes as long as the product.

    near (F, GROUPS[0] + 1, h8 * w8): the first group of the semantic descriptor, and ones; wide (F * WIDE, GROUPS[1] + 1,
    h16 * w16): the others, one after the other, which have the same number of channels, each with ones; pixels (F, h16 * w16,
    SEMANTIC): all of them; detail (F, DETAIL + 1, h4 * w4), with ones; square (F, 1, h4 * w4): its square in learned units;
    whitening, detail_whitening, affinity, coarse and fine as in Features.
    """

    near: Tensor
    wide: Tensor
    pixels: Tensor
    detail: Tensor
    square: Tensor
    whitening: Tensor
    detail_whitening: Tensor
    affinity: Tensor
    coarse: Tensor
    fine: Tensor

    @classmethod
    def of(cls, features: Features, units: Tensor) -> Query:
        """From features in any precision; units (DETAIL,): what detail is multiplied with before it is compared."""
        near, detail = _with_ones(features.semantic[:, : GROUPS[0]]), _with_ones(features.detail)
        halved = features.halved.float()
        wide = halved[:, GROUPS[0] :].unflatten(1, (WIDE, -1)).flatten(0, 1)
        return cls(
            near=near,
            wide=_with_ones(wide),
            pixels=halved.flatten(2).transpose(1, 2).contiguous(),
            detail=detail,
            square=(units**2)[None] @ detail[:, :-1] ** 2,
            whitening=features.whitening.float(),
            detail_whitening=features.detail_whitening.float(),
            affinity=features.affinity.float(),
            coarse=features.coarse.float(),
            fine=features.fine.float(),
        )

    def at8(self, maps: Tensor) -> Tensor:
        """(B, C, h8 * w8) to (B, C, h8, w8)."""
        return maps.unflatten(2, self.coarse.shape[-2:])

    def at16(self, maps: Tensor) -> Tensor:
        """(B, C, h16 * w16) to (B, C, h16, w16)."""
        return maps.unflatten(2, [side // 2 for side in self.coarse.shape[-2:]])


def _with_ones(maps: Tensor) -> Tensor:
    rows = maps.float().flatten(2)
    return torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
