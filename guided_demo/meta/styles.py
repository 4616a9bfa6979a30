"""Generated pictures in styles: the things of one style look alike in all its pictures, and like nothing in another.

Blobs, cells with nuclei, leaves, thin curves and polygons on textured grounds stand for the tasks that are colour, texture or
shape rather than semantics: plants, cells, cracks, roads. No download; the same arguments give the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from .datasets import IGNORE_NUMBER, Dataset, Entry, Labels

SIZE = 256
KINDS = ("blob", "leaf", "curve", "nucleus", "polygon")
CLASSES_A_STYLE = 8  # numbers kept free for each: up to 3 kinds of thing, and the nuclei within them


def styles(count: int | str = 300, seed: int | str = 7, pictures: int | str = 4) -> Dataset:
    """`count` styles with `pictures` each, 256x256; class numbers are of one style only."""
    numbers = np.random.default_rng(int(seed)).integers(1 << 30, size=int(count))
    names = ["background", *(f"style {seed}/{s} thing {k}" for s in range(int(count)) for k in range(1, CLASSES_A_STYLE + 1))]
    entries = [
        Entry(
            f"{style}/{picture}",
            partial(_image, int(number), int(pictures), picture),
            partial(_labels, int(number), int(pictures), picture, style),
        )
        for style, number in enumerate(numbers)
        for picture in range(int(pictures))
    ]
    return Dataset(f"{count} styles", entries, names, IGNORE_NUMBER)


def _image(number: int, pictures: int, picture: int) -> np.ndarray:
    return _style(number, pictures)[picture][0]


def _labels(number: int, pictures: int, picture: int, style: int) -> Labels:
    labels = _style(number, pictures)[picture][1].astype(np.int32)
    return np.where(labels > 0, labels + style * CLASSES_A_STYLE, 0), None


@lru_cache(maxsize=64)  # of 1 MB
def _style(number: int, pictures: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return tuple(_draw(np.random.default_rng(number), pictures))


def _draw(rng: np.random.Generator, pictures: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    ground = rng.uniform(40, 215, 3)
    grain = _grain(rng, 2, 30)
    things = [_thing(rng, ground) for _ in range(int(rng.integers(1, 4)))]
    light = rng.uniform(0, 0.35)
    for picture in range(pictures):
        image, labels = _texture(rng, ground, *grain), np.zeros((SIZE, SIZE), np.uint8)
        for k, (kind, colour, texture, size, often) in enumerate(things, 1):
            outer, inner = _shapes(rng, kind, size, max(1, int(rng.poisson(often))))
            image[outer] = _texture(rng, colour, *texture)[outer]
            labels[outer] = k
            if kind == "nucleus":
                image[inner] = _texture(rng, colour * 0.55, *texture)[inner]
                labels[inner] = k + 3
        ramp = np.linspace(-1, 1, SIZE) * light * rng.choice([-1, 1])
        image *= 1 + (ramp[None, :, None] if picture % 2 else ramp[:, None, None])
        blur = rng.uniform(0.3, 1.1)
        image = gaussian_filter(image, (blur, blur, 0)) + rng.normal(0, rng.uniform(0, 5), image.shape)
        yield np.clip(image, 0, 255).astype(np.uint8), labels


def _grain(rng: np.random.Generator, least: float, most: float) -> tuple[float, float, float]:
    """Strength, size in pixels and stretch of a texture."""
    return rng.uniform(least, most), rng.choice([0.7, 1.5, 3, 6]), rng.choice([1, 1, 3])


def _thing(rng: np.random.Generator, ground: np.ndarray) -> tuple:
    colour = np.clip(ground + rng.normal(0, 1, 3) * rng.choice([18, 35, 60]), 5, 250)
    return rng.choice(KINDS), colour, _grain(rng, 1, 25), rng.uniform(0.02, 0.16), rng.integers(1, 9)


def _texture(rng: np.random.Generator, colour: np.ndarray, strength: float, size: float, stretch: float) -> np.ndarray:
    noise = gaussian_filter(rng.standard_normal((SIZE, SIZE)), (size, size * stretch))
    return colour + strength * (noise / (noise.std() + 1e-6))[..., None] * np.array([1, 0.8, 0.9])


def _shapes(rng: np.random.Generator, kind: str, size: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of things of a kind, and of what lies within them."""
    outer, inner = Image.new("L", (SIZE, SIZE)), Image.new("L", (SIZE, SIZE))
    draw, draw_inner = ImageDraw.Draw(outer), ImageDraw.Draw(inner)
    for _ in range(count):
        centre, radius, turn = rng.uniform(0, SIZE, 2), SIZE * size * rng.uniform(0.7, 1.4), rng.uniform(0, 2 * np.pi)
        if kind in ("blob", "nucleus"):
            angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            reach = radius * (1 + 0.18 * np.sin(angle * rng.integers(2, 5) + turn) + 0.06 * rng.standard_normal(24))
            rim = np.stack([reach * np.cos(angle), rng.uniform(0.6, 1) * reach * np.sin(angle)], 1)
            draw.polygon(_path(centre + rim), fill=1)
            if kind == "nucleus":
                draw_inner.polygon(_path(centre + rim / 2), fill=1)
        elif kind == "leaf":
            for leaf in range(int(rng.integers(3, 8))):
                along, way = np.linspace(0, 1, 12)[:, None], turn + leaf * rng.uniform(0.7, 1.3)
                spine = np.array([np.cos(way), np.sin(way)]) * along * radius * 2.2
                side = np.array([-np.sin(way), np.cos(way)]) * np.sin(np.pi * along) * radius * 0.45
                draw.polygon(_path(centre + np.concatenate([spine + side, (spine - side)[::-1]])), fill=1)
        elif kind == "curve":
            ways = turn + np.cumsum(rng.normal(0, 0.3, 30))
            steps = np.cumsum(np.stack([np.cos(ways), np.sin(ways)], 1) * SIZE / 18, 0)
            draw.line(_path(np.vstack([centre, centre + steps])), fill=1, width=int(max(2, SIZE * size * 0.12)), joint="curve")
        else:
            angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            draw.polygon(_path(centre + radius * np.stack([np.cos(angle), np.sin(angle)], 1)), fill=1)
    return np.asarray(outer) > 0, np.asarray(inner) > 0


def _path(places: np.ndarray) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in places]
