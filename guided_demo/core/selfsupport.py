"""A second look: what a first is sure of in a query says more about the query itself (after self-support, Fan et al. 2022).

Things of one image are more like each other than like those of another, so a query describes its own object better than the
support does, as soon as some of it is found. How its features vary, and which of its places are alike, is known without any
guidance. So to tell what was found from the rest by a linear function takes no solving: it is the difference of the two means,
times the whitening. To ask each place whether it is like what was found takes no comparing: it is a product with the affinity.
What the second look is sure of is told from the rest once more, at stride 4, by detail.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .encoder import GROUPS
from .query import WIDE, Query
from .scores import normalize

MARKED = 10  # cells marked on the query itself that halve the trust in what is found in it: marks are surer
LEAST = 0.5  # places at stride 16, by how sure they are, that each side must have to be of use
PIXELS = 16  # at stride 4 in such a place
AGAIN = 2 * len(GROUPS) + 3  # maps of the second look


@dataclass(frozen=True)
class Found:
    """What a first look is sure of, of K classes in each of F queries: B = F * K.

    means (F, 2 * K, SEMANTIC): of the class and of its rest; sure (B, 2): the mean over the query of how sure it is, 0 to 1; vote
    (B, 1, h16 * w16): of the places that each is like, those of the class less those of the rest, -1 to 1.
    """

    means: Tensor
    sure: Tensor
    vote: Tensor

    @classmethod
    def by(cls, glance: Tensor, query: Query) -> Found:
        """From logits (B, h16, w16)."""
        shares, count = _shares(glance, len(query.pixels))
        own, other = (shares @ query.affinity.transpose(1, 2)).unflatten(1, (-1, 2)).flatten(0, 1).split(1, 1)
        return cls(shares @ query.pixels, count / glance[0].numel(), (own - other) / (own + other + 1e-6))

    def trust(self, places: int, images: Tensor, marked: Tensor) -> Tensor:
        """How much of the second look is believed (B,): 2 / (1 + images), so 1 beside one image; less the more is marked; 0 where
        nothing is found among so many `places`, or nothing else.

        images (B,): log2 of how many are annotated; marked (B,): cells of the query that its own marks take, on the side that has
        fewer.
        """
        useful = self.sure.amin(1) * places > LEAST
        return 2 * useful / (1 + torch.exp2(images)) * MARKED / (MARKED + marked)

    def again(self, query: Query, known: Tensor) -> tuple[Tensor, Tensor]:
        """Second scores: what the first group of the descriptor tells, (B, 4, h8 * w8), and the others (B, AGAIN - 2, h16 * w16),
        the last of which is the vote.

        Cosines to the two means of what was found, by each group; then how much more a pixel is like the class than like the
        rest by the whitened difference of these means, and of the `known` (B, 2, SEMANTIC), those of the support: 1 at the mean
        of the class and -1 at that of the rest, when what the groups say is added up.
        """
        queries = len(self.means)
        found = normalize(self.means).unflatten(1, (-1, 2))
        classes = found.shape[1]
        pairs = torch.cat([found, known.unflatten(0, (queries, classes))], 1)
        direction, middle = _told_apart(pairs, query.whitening, 1e-2)
        first, *others = torch.cat([found.flatten(1, 2), direction], 1).split(GROUPS, -1)
        fine = torch.cat([first, F.pad(middle, (0, 0, 2 * classes, 0))], -1) @ query.near
        coarse = torch.stack(others, 1) @ query.wide[:, :-1].unflatten(0, (-1, WIDE))
        return _by_class(fine[:, None], classes), torch.cat([_by_class(coarse, classes), self.vote], 1)


def by_detail(logits: Tensor, query: Query, marked: Tensor, scope: Tensor) -> Tensor:
    """How much more each pixel is like what was found than like the rest by the detail of the query, from logits (B, h4, w4):
    (B, h4, w4), about 1 at the mean of the class and -1 at that of the rest, and less where these hardly differ.

    marked (B,) as in `Found.trust`: the more is marked, the less is told. 0 where nothing is found, or nothing else, and where
    scope (B,) is 1, as by colour others of its kind are like an object.

    Colours and textures tell little about another image, and much about what belongs together in one. This is added to the logits
    as it is, with nothing learned.
    """
    shares, count = _shares(logits, len(query.detail))
    means = (shares @ query.detail[:, :-1].transpose(1, 2)).unflatten(1, (-1, 2))
    alike = torch.cat(_told_apart(means, query.detail_whitening, 1e-3), -1) @ query.detail
    useful = (count.amin(1) > LEAST * PIXELS) * (1 - scope) * MARKED / (MARKED + marked)
    return alike.reshape(logits.shape) * useful[:, None, None]


def _shares(logits: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """What share of the class and of its rest each pixel is, (F, 2 * K, pixels), from logits (B, h, w) of K classes in each of F
    queries, and what they add up from, (B, 2): the squares of how sure pixels are, so there is no threshold."""
    certain = torch.tanh(logits.flatten(1) / 2)  # 2 p - 1
    sides = torch.stack([certain.clamp_min(0), (-certain).clamp_min(0)], 1) ** 2
    count = sides.sum(2, keepdim=True)
    return (sides / (count + 1e-3)).reshape(queries, -1, sides.shape[2]), count[..., 0]


def _told_apart(means: Tensor, whitening: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Fisher's discriminant of pairs of means (F, n, 2, D): directions (F, n, D), and what is to be added to products with these,
    (F, n, 1), for 1 at the first mean and -1 at the second; nearer to 0 where they differ by no more than `least`."""
    difference = means[:, :, 0] - means[:, :, 1]
    direction = difference @ whitening
    direction = direction * (2 / ((direction * difference).sum(-1, keepdim=True) + least))
    return direction, -(direction * means.mean(2)).sum(-1, keepdim=True)


def _by_class(products: Tensor, classes: int) -> Tensor:
    """(F, groups, 4 * K, pixels), cosines to the two means of each class, then directions by what was found in the query and by
    what is known, to (B, 2 * groups + 2, pixels), directions summed over the groups."""
    cosines, directions = products.split(2 * classes, 2)
    cosines = cosines.unflatten(2, (classes, 2)).transpose(1, 2).flatten(2, 3)
    directions = directions.sum(1).unflatten(1, (2, classes)).transpose(1, 2)
    return torch.cat([cosines, directions], 2).flatten(0, 1)


def margins(glance: Tensor) -> Tensor:
    """Logits (K, h, w) of K classes in one image, each against the likeliest of the others instead of the background alone.

    What looks like two of the classes is a sure example of neither.
    """
    if len(glance) == 1:
        return glance
    first, second = torch.cat([torch.zeros_like(glance[:1]), glance]).topk(2, dim=0).values
    return glance - torch.where(glance == first, second, first)
