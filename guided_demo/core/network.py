"""The guided network: encoder, exemplars and head as one module, and its forward pass over a batch of episodes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from .encoder import FINE, Encoder
from .exemplars import COUNT, Exemplars, pool
from .head import RANGES, Head
from .problem import Labelled, Problem, statistics


class GuidedNetwork(nn.Module):
    takes_own = True

    def __init__(self, variant: str = "lite2", width: int = 128) -> None:
        super().__init__()
        self.encoder = Encoder(variant, width)
        self.head = Head()

    @property
    def backbone(self) -> nn.Module:
        return self.encoder.backbone

    def forward(
        self, support: Tensor, annotation: Tensor, query: Tensor, own: Tensor | None = None, scope: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """B binary episodes to logits at the query's size, and those at strides 8 and 16 for deep supervision, as of the head.

        support (B, S, 3, H, W) and query (B, 3, H, W) RGB in [0, 1]; annotation (B, S, 2, H, W) 0/1: pixels of the class, pixels
        of the rest; own (B, 2, H, W): the query's own marks, which the caller has put among the support as well;
        scope (B,): 1 for "object".
        """
        b, s = support.shape[:2]
        marks = annotation.flatten(0, 1).cpu()  # looked at there while a GPU, which is not asked again, encodes
        features = self.encoder(torch.cat([support.flatten(0, 1), query]))
        shown, asked = features.map(lambda t: t[: b * s]), features.map(lambda t: t[b * s :])
        with torch.autocast(query.device.type, enabled=False):
            exemplars = pool(shown, marks)
            centre = shown.semantic.mean((2, 3)).reshape(b, s, -1).mean(1)
            own_flag = query.new_zeros(b) if own is None else own.flatten(1).amax(1).float()
            problem = binary(exemplars, s, centre, own_flag, query.new_zeros(b) if scope is None else scope)
            classifier = self.head.prepare(problem)
            ready = self.head.ready(asked)
        fine, *coarse = self.head(ready, classifier, None if own is None else closeness(F.max_pool2d(own, FINE)))
        return F.interpolate(fine[:, None], size=query.shape[-2:], mode="bilinear", align_corners=False)[:, 0], *coarse


def binary(exemplars: Exemplars, shots: int, centre: Tensor, own: Tensor, scope: Tensor) -> Problem:
    """B problems from the exemplars of B * shots images with two rows each, class and rest; shots count equally."""
    rows = exemplars.weight.shape[0] // shots
    seen = (exemplars.pixels > 0).reshape(rows, shots, 2).float()
    share = exemplars.weight.reshape(rows, shots, 2, COUNT) / seen.sum(1).clamp_min(1)[:, None, :, None]
    sign = torch.tensor([1.0, -1.0], device=share.device)[:, None] * (share > 0)
    pixels = exemplars.pixels.reshape(rows, shots, 2).sum(1)
    maps = torch.cat([exemplars.semantic, exemplars.detail], -1)
    return Problem(
        exemplars=Labelled(maps.reshape(rows, shots * 2 * COUNT, -1), sign.flatten(1), share.flatten(1)),
        centre=centre,
        stats=statistics(pixels[:, 0], pixels[:, 1], seen[:, :, 0].sum(1).clamp_min(1), own, scope),
    )


def closeness(cells: Tensor) -> Tensor:
    """(B, 2, h4, w4) 0/1 or bool to (B, OWN, h4, w4): exp(-distance / range) to the nearest marked cell, of class, then rest.

    On a GPU at most 64 marked cells, drawn at random, stand for all.
    """
    if cells.device.type == "cpu":
        far = np.full(cells.shape[-2:], np.inf)
        found = [distance_transform_edt(~marked) if marked.any() else far for marked in cells.flatten(0, 1).numpy() > 0]
        distance = torch.from_numpy(np.stack(found, dtype=np.float32, casting="same_kind")).reshape(cells.shape)
    else:
        distance = _distance_by_sample(cells)
    return torch.exp(distance[:, :, None] * distance.new_tensor([[-FINE / r] for r in RANGES])[..., None]).flatten(1, 2)


def _distance_by_sample(cells: Tensor, count: int = 64) -> Tensor:
    h, w = cells.shape[-2:]
    chance = torch.rand_like(cells) * (cells > 0)
    value, index = chance.flatten(2).topk(min(count, h * w), dim=2)
    x, y = (index % w).float(), (index // w).float()
    far = (value <= 0) * 1e6
    xs = torch.arange(w, device=cells.device).float()
    ys = torch.arange(h, device=cells.device).float()
    square = (x[..., None, None] - xs) ** 2 + (y[..., None, None] - ys[:, None]) ** 2 + far[..., None, None]
    return square.amin(2).sqrt()
