"""Tasks drawn from labelled images: an episode is a support with annotation, and a query with its target.

Drawing (which images, which class, where to crop) is cheap and happens on the host from one seeded generator; pixels are
moved, coloured and annotated for a whole batch at once on the device the images are on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .datasets import IGNORE
from .pool import Pool
from .simulate import ANNOTATORS, Drawing, annotate

GREY = 127 / 255


@dataclass(frozen=True)
class View:
    """One image as an episode sees it: which, under which table (256 entries of 1, 0, 255), through which affine map."""

    image: int
    table: np.ndarray
    theta: np.ndarray  # 2x3: from the crop's [-1, 1] coordinates to pixels (x, y) of the pool's image
    colour: np.ndarray  # 3x4: RGB in [0, 1] to RGB


@dataclass(frozen=True)
class Episode:
    support: tuple[View, ...]
    query: View
    drawings: tuple[Drawing, ...]  # one a support image
    own: bool  # the last support image is the query itself, and its annotation is the query's own
    scope: bool  # "this object"


@dataclass(frozen=True)
class Batch:
    """support (B, S, 3, H, W), query (B, 3, H, W) RGB in [0, 1]; annotation (B, S, 2, H, W) and own (B, 2, H, W) 0/1;
    target (B, H, W) 1, 0 or 255; scope (B,) 0/1."""

    support: Tensor
    annotation: Tensor
    query: Tensor
    target: Tensor
    own: Tensor
    scope: Tensor

    def __getitem__(self, episodes: slice | Tensor) -> Batch:
        """Some of the episodes: a slice, or (B,) bool."""
        return Batch(**{f.name: getattr(self, f.name)[episodes] for f in fields(self)})


@dataclass(frozen=True)
class Mixture:
    """How often each kind of task is drawn. Keys of `semantic` and `parts` are sources of the pool."""

    semantic: dict[str, float]  # another image of the class
    video: float  # another frame of the clip
    views: dict[str, float]  # another view of the same image, any region
    same: dict[str, float]  # the image itself, the whole class
    parts: dict[str, float]  # the image itself, one region of it
    absent: float = 0.04  # of the semantic tasks: the query is any image, and mostly does not hold the class
    union: float = 0.12  # two classes or regions as one
    swap: float = 0.06  # class and rest exchanged


class Sampler:
    """Draws episodes from a pool, which has all that the mixture names (see `available` in training); the same seed draws the
    same. Raises InputError if the mixture gives no weight to any kind of task."""

    def __init__(
        self, pool: Pool, mixture: Mixture, seed: int, augment: bool = True, annotator: Callable = ANNOTATORS["people"]
    ) -> None:
        self.pool, self.mixture, self.augment, self.annotator = pool, mixture, augment, annotator
        self.rng = np.random.default_rng(seed)
        self.clips = [frames for _, frames in sorted(pool.by_clip.items()) if len(frames) >= 2]
        kinds = [("video", "", mixture.video)] if self.clips else []
        for kind in ("semantic", "views", "same", "parts"):
            kinds += [(kind, source, weight) for source, weight in getattr(mixture, kind).items()]
        self.kinds = [(kind, source) for kind, source, weight in kinds if weight > 0]
        if not self.kinds:
            raise InputError("The images give no tasks: of a class, two images are wanted, and of a clip, two frames.")
        weights = np.array([weight for *_, weight in kinds if weight > 0])
        self.chances = weights / weights.sum()
        self.classes = {
            source: [c for (s, c), images in sorted(pool.by_class.items()) if s == source and c > 0 and len(images) >= 2]
            for source in mixture.semantic
        }
        # A class is drawn by the root of its number of images: rare ones are seen, common ones not wasted.
        self.class_chances = {
            source: _normalised([math.sqrt(len(pool.by_class[source, c])) for c in cs]) for source, cs in self.classes.items()
        }

    def draw(self, shots: int) -> Episode:
        kind, source = self.kinds[self.rng.choice(len(self.kinds), p=self.chances)]
        return getattr(self, f"_{kind}")(source, shots)

    def _semantic(self, source: str, shots: int) -> Episode:
        rng, pool = self.rng, self.pool
        cs = self.classes[source]
        chosen = {int(cs[rng.choice(len(cs), p=self.class_chances[source])])}
        images = pool.by_class[source, next(iter(chosen))]
        query = int(rng.choice(pool.by_source[source] if rng.random() < self.mixture.absent else images))
        support = self._others(images, query, shots)
        if rng.random() < self.mixture.union:
            chosen |= {c for c in pool.classes[support[0]] if c > 0 and rng.random() < 0.4}
        own = shots > 1 and rng.random() < 0.25
        return self._episode(support, query, lambda n: self._class_table(n, chosen), own, False)

    def _video(self, _: str, shots: int) -> Episode:
        frames = self.clips[self.rng.integers(len(self.clips))]
        query = int(self.rng.choice(frames))
        support = self._others(frames, query, shots)
        chosen = self._some_class(support[0], least=1)
        return self._episode(support, query, lambda n: self._class_table(n, chosen), False, False)

    def _views(self, source: str, shots: int) -> Episode:
        n, table = self._some_regions(source)
        return self._episode([n] * shots, n, lambda _: table, False, False)

    def _same(self, source: str, shots: int) -> Episode:
        rng, pool = self.rng, self.pool
        n = int(rng.choice(pool.by_source[source]))
        table = self._class_table(n, self._some_class(n, least=0))
        return self._episode([n] * shots, n, lambda _: table, True, False)

    def _parts(self, source: str, shots: int) -> Episode:
        n, table = self._some_regions(source)
        return self._episode([n] * shots, n, lambda _: table, True, True)

    def _others(self, images: list[int], query: int, shots: int) -> list[int]:
        """Support images that are not the query, some of them repeatedly where there are too few."""
        others = [n for n in images if n != query]
        return self.rng.choice(others, shots, replace=len(others) < shots).tolist()

    def _some_class(self, n: int, least: int) -> set[int]:
        """A class that the image shows, numbered `least` or above; none where it shows none."""
        present = sorted({c for c in self.pool.classes[n] if c >= least})
        return {int(self.rng.choice(present))} if present else set()

    def _some_regions(self, source: str) -> tuple[int, np.ndarray]:
        rng, pool = self.rng, self.pool
        n = int(rng.choice(pool.by_source[source]))
        areas = np.minimum(np.sqrt(pool.areas[n]), 0.5)
        things = np.array([c != 0 for c in pool.classes[n]])
        chances = _normalised(areas * np.where(things, 1.0, 0.15))
        chosen = {int(rng.choice(len(areas), p=chances))}
        if rng.random() < self.mixture.union:
            chosen.add(int(rng.choice(len(areas), p=chances)))
        table = np.full(256, IGNORE, np.uint8)
        table[: len(areas)] = [i in chosen for i in range(len(areas))]
        return n, table

    def _class_table(self, n: int, chosen: set[int]) -> np.ndarray:
        classes = self.pool.classes[n]
        table = np.full(256, IGNORE, np.uint8)
        table[: len(classes)] = [c in chosen for c in classes]
        return table

    def _episode(self, support: list[int], query: int, table, own: bool, scope: bool) -> Episode:
        if self.rng.random() < self.mixture.swap and not scope:
            given, table = table, lambda n: _swapped(given(n))
        shared = colour_shift(self.rng, 1.0) if self.augment else np.eye(3, 4, dtype=np.float32)
        asked = self._view(query, table(query), shared)
        shown = [self._view(n, table(n), shared) for n in support]
        if own:
            shown[-1] = asked
        drawings = tuple(self.annotator(self.rng) for _ in shown)
        return Episode(tuple(shown), asked, drawings, own, scope)

    def _view(self, n: int, table: np.ndarray, shared: np.ndarray) -> View:
        h, w = self.pool.sizes[n]
        if not self.augment:
            side = max(h, w)
            return View(n, table, np.array([[side / 2, 0, w / 2], [0, side / 2, h / 2]], np.float32), shared)
        rng = self.rng
        theta = _crop(rng, self._focus(n, table), (h, w))
        return View(n, table, theta, compose(colour_shift(rng, 0.4), shared))

    def _focus(self, n: int, table: np.ndarray) -> np.ndarray:
        """The box that a crop should keep in sight: a region of the class, or all."""
        wanted = [i for i in range(len(self.pool.classes[n])) if table[i] == 1]
        if not wanted:
            return np.array([0, 0, *self.pool.sizes[n]])
        areas = self.pool.areas[n][wanted]
        return self.pool.boxes[n][wanted[self.rng.choice(len(wanted), p=_normalised(areas + 1e-9))]]


def _normalised(values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values / values.sum() if values.sum() > 0 else np.full(len(values), 1 / len(values))


def _swapped(table: np.ndarray) -> np.ndarray:
    out = table.copy()
    out[table < 2] = 1 - table[table < 2]
    return out


def _crop(rng: np.random.Generator, box: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """A random affine view (2x3) that looks at a point within `box`."""
    h, w = size
    side = max(h, w) * math.exp(rng.uniform(math.log(0.5), math.log(1.15)))
    aspect = math.exp(rng.uniform(-0.18, 0.18))
    focus = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3])
    centre = []
    for place, length, span in ((focus[0], h, side / aspect), (focus[1], w, side * aspect)):
        middle = place + rng.uniform(-0.35, 0.35) * span
        low, high = sorted((span / 2, length - span / 2))
        centre.append(min(max(middle, low), high))
    angle = rng.normal(0, 0.2) if rng.random() < 0.3 else 0.0
    cos, sin = math.cos(angle), math.sin(angle)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    ax, ay = side * aspect / 2 * flip, side / aspect / 2
    return np.array([[cos * ax, -sin * ay, centre[1]], [sin * ax, cos * ay, centre[0]]], np.float32)


def colour_shift(rng: np.random.Generator, strength: float) -> np.ndarray:
    """A random 3x4 map of RGB: brightness, contrast, saturation; at full strength now and then exchanged channels or grey."""
    contrast, saturation = np.exp(rng.uniform(-0.4, 0.4, 2) * strength)
    grey = np.full((3, 3), 1 / 3)
    matrix = contrast * (saturation * (np.eye(3) - grey) + grey)
    matrix = matrix * np.exp(rng.uniform(-0.12, 0.12, 3) * strength)[:, None]
    offset = GREY * (1 - contrast) + rng.uniform(-0.12, 0.12) * strength
    chance = rng.random()
    if strength >= 1 and chance < 0.06:
        matrix = matrix[rng.permutation(3)]
    elif strength >= 1 and chance < 0.10:
        matrix = matrix @ grey
    elif strength >= 1 and chance < 0.12:
        matrix, offset = -matrix, 1 - offset
    return np.concatenate([matrix, np.full((3, 1), offset)], 1).astype(np.float32)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    return np.concatenate([second[:, :3] @ first[:, :3], second[:, :3] @ first[:, 3:] + second[:, 3:]], 1).astype(np.float32)


def render(pool: Pool, episodes: list[Episode], side: int, seed: int) -> Batch:
    """Episodes with the same number of shots as tensors of side x side pixels, on the pool's device."""
    device = pool.images.device
    shots = len(episodes[0].support)
    views = [v for e in episodes for v in e.support] + [e.query for e in episodes]
    image, target = look(pool, views, side)
    b = len(episodes)
    generator = torch.Generator(device).manual_seed(seed)
    drawings = [d for e in episodes for d in e.drawings]
    marks = annotate(target[: b * shots], drawings, generator).reshape(b, shots, 2, side, side)
    own = torch.tensor([e.own for e in episodes], device=device)
    return Batch(
        support=image[: b * shots].reshape(b, shots, 3, side, side),
        annotation=marks,
        query=image[b * shots :],
        target=target[b * shots :],
        own=marks[:, -1] * own[:, None, None, None],
        scope=torch.tensor([float(e.scope) for e in episodes], device=device),
    )


def look(pool: Pool, views: list[View], side: int) -> tuple[Tensor, Tensor]:
    """Views as images (V, 3, side, side) in [0, 1] and targets (V, side, side) of 1, 0 and 255."""
    device = pool.images.device
    index = torch.tensor([v.image for v in views], device=device)
    theta = torch.from_numpy(np.stack([v.theta for v in views])).to(device)
    colour = torch.from_numpy(np.stack([v.colour for v in views])).to(device)
    table = torch.from_numpy(np.stack([v.table for v in views])).to(device)
    size = torch.from_numpy(np.stack([pool.sizes[v.image] for v in views])).to(device)
    grid = F.affine_grid(theta, [len(views), 1, side, side], align_corners=False)
    outside = ((grid < 0) | (grid >= size.flip(1)[:, None, None])).any(-1)
    grid = grid * (2 / pool.images.shape[-1]) - 1
    image = F.grid_sample(pool.images[index].float() / 255, grid, mode="bilinear", align_corners=False)
    regions = F.grid_sample(pool.regions[index, None].float(), grid, mode="nearest", align_corners=False)[:, 0].long()
    target = table.gather(1, regions.flatten(1)).reshape(regions.shape).masked_fill(outside, IGNORE)
    image = torch.einsum("vij,vjhw->vihw", colour[:, :, :3], image) + colour[:, :, 3, None, None]
    return image.clamp(0, 1).masked_fill(outside[:, None], GREY), target
