"""Pictures of textured shapes from a seed: classes, instances, clutter and motion, and no file to download.

A class is a shape with a texture and a colour; its instances differ in place, size, direction and light. Clutter has
the same shapes or textures in other combinations, so neither alone tells a class. In clips, instances move and turn.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from guided_demo.errors import InputError

from .datasets import IGNORE, IGNORE_NUMBER, Dataset, Entry, Labels

FRAMES = 8  # of a clip
_SHAPES = ("disc", "square", "triangle", "star", "ring", "cross")
_TEXTURES = ("striped", "checked", "dotted", "waved", "plain", "speckled")
CLASS_COUNT = 12


@dataclass(frozen=True)
class _Thing:
    """One shape: `kind` is its class, 0 for clutter; place and size in fractions of the image."""

    kind: int
    shape: str
    texture: str
    hue: float
    light: float
    x: float
    y: float
    size: float
    angle: float
    speed: tuple[float, float, float] = (0.0, 0.0, 0.0)  # x, y, angle a frame

    def after(self, frames: int) -> _Thing:
        dx, dy, turn = self.speed
        return replace(self, x=_bounce(self.x + dx * frames), y=_bounce(self.y + dy * frames), angle=self.angle + turn * frames)


def procedural(count: int | str = 200, seed: int | str = 0, kind: str = "semantic", size: int | str = 128) -> Dataset:
    """`count` generated pictures of `size` x `size` pixels, always the same for the same seed.

    Args:
        kind: "semantic" (class maps), "instance" (numbered objects of classes), or "video" (clips of 8 frames, class
            maps; `count` frames in all).
    """
    try:
        count, seed, size = int(count), int(seed), int(size)
    except ValueError as error:
        raise InputError(f"The procedural set takes whole numbers for count, seed and size ({error}).") from error
    if seed < 0 or size < 1:
        raise InputError(f"The procedural set takes a seed from 0 and a size from 1, not {seed} and {size}.")
    if kind not in ("semantic", "instance", "video"):
        raise InputError(f"The kind of a procedural set is semantic, instance or video; {kind!r} is not.")
    entries = []
    for index in range(count):
        clip, frame = divmod(index, FRAMES) if kind == "video" else (index, 0)
        image = partial(_image, seed, clip, frame, size)
        labels = partial(_labels, seed, clip, frame, size, kind == "instance")
        named = f"clip{clip}/{frame}" if kind == "video" else f"{index}"
        entries.append(Entry(named, image, labels, f"clip{clip}" if kind == "video" else None))
    classes = ("background", *(f"{texture} {shape}" for shape, texture, _ in map(_look, range(1, CLASS_COUNT + 1))))
    ignore = IGNORE_NUMBER if kind == "instance" else IGNORE
    return Dataset(f"procedural {kind}", entries, classes, ignore)


def _look(kind: int) -> tuple[str, str, float]:
    """Shape, texture and hue of a class."""
    number = kind - 1
    texture = _TEXTURES[(number + number // len(_SHAPES)) % len(_TEXTURES)]
    return _SHAPES[number % len(_SHAPES)], texture, (number * 0.618034) % 1


def _image(seed: int, clip: int, frame: int, size: int) -> np.ndarray:
    return _render(seed, clip, frame, size)[0]


def _labels(seed: int, clip: int, frame: int, size: int, instances: bool) -> Labels:
    numbers, kinds = _render(seed, clip, frame, size)[1:]
    return (numbers, kinds) if instances else (np.array(kinds, np.int32)[numbers], None)


@lru_cache(maxsize=256)
def _render(seed: int, clip: int, frame: int, size: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Image HxWx3 uint8, object numbers HxW int32 (0 background), and the class of each number."""
    rng = np.random.default_rng([seed, clip])
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    ground = _blotches(rng, size)
    image = _mixed(ground, rng.uniform(0, 1), rng.uniform(0.5, 0.9), rng.uniform(0.1, 0.4))
    numbers, kinds = np.zeros((size, size), np.int32), [0]
    for thing in _scene(rng):
        moved = thing.after(frame)
        u, v = _local(moved, x, y)
        inside = _inside(moved.shape, u, v)
        image[inside] = _mixed(_pattern(moved.texture, u, v), moved.hue, moved.light, 0.75)[inside]
        numbers[inside] = 0
        if moved.kind:
            numbers[inside] = len(kinds)
            kinds.append(moved.kind)
    image += np.random.default_rng([seed, clip, frame, 1]).normal(0, 0.02, image.shape)
    pixels = (255 * image.clip(0, 1)).astype(np.uint8)
    pixels.setflags(write=False)
    numbers.setflags(write=False)
    return pixels, numbers, tuple(kinds)


def _scene(rng: np.random.Generator) -> list[_Thing]:
    """Clutter first, then one to four things of one to three classes."""
    classes = rng.choice(CLASS_COUNT, size=rng.integers(1, 4), replace=False) + 1
    kinds = [0] * int(rng.integers(2, 6)) + [int(rng.choice(classes)) for _ in range(rng.integers(1, 5))]
    looks = {_look(kind)[:2] for kind in range(1, CLASS_COUNT + 1)}
    things = []
    for kind in kinds:
        shape, texture, hue = _look(kind or 1)
        while kind == 0 and (shape, texture) in looks:
            shape, texture, hue = str(rng.choice(_SHAPES)), str(rng.choice(_TEXTURES)), rng.uniform()
        x, y = rng.uniform(0.1, 0.9, 2)
        size = rng.uniform(0.12, 0.28) if kind else rng.uniform(0.05, 0.15)
        speed = rng.normal(0, 0.03), rng.normal(0, 0.03), rng.normal(0, 0.1)
        near_hue, light, angle = (hue + rng.normal(0, 0.02)) % 1, rng.uniform(0.7, 1.0), rng.uniform(0, 2 * np.pi)
        things.append(_Thing(kind, shape, texture, near_hue, light, x, y, size, angle, speed))
    return things


def _bounce(place: float) -> float:
    """Back and forth between 0 and 1."""
    return 1 - abs(place % 2 - 1)


def _local(thing: _Thing, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in which the thing has radius 1 and stands upright."""
    dx, dy = (x - thing.x) / thing.size, (y - thing.y) / thing.size
    cos, sin = np.cos(thing.angle), np.sin(thing.angle)
    return cos * dx + sin * dy, cos * dy - sin * dx


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    radius, largest, smallest = np.hypot(u, v), np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
    if shape == "disc":
        return radius < 0.9
    if shape == "square":
        return largest < 0.8
    if shape == "triangle":
        return (v > -0.6) & (v < 0.9 - 1.7 * abs(u))
    if shape == "star":
        return radius < 0.65 + 0.3 * np.cos(5 * np.arctan2(v, u))
    if shape == "ring":
        return (radius > 0.45) & (radius < 1)
    return (smallest < 0.3) & (largest < 1)


def _pattern(texture: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """In [0, 1], from the first colour to the second."""
    if texture == "striped":
        return (np.sin(14 * u) > 0).astype(float)
    if texture == "checked":
        return (np.sin(9 * u) * np.sin(9 * v) > 0).astype(float)
    if texture == "dotted":
        return ((np.sin(10 * u) * np.sin(10 * v)) ** 2 > 0.5).astype(float)
    if texture == "waved":
        return 0.5 + 0.5 * np.sin(12 * v + 2 * np.sin(5 * u))
    if texture == "plain":
        return np.full(u.shape, 0.2)
    return np.modf(abs(np.sin(np.floor(12 * u) * 12.9898 + np.floor(12 * v) * 78.233)) * 43758.5453)[0]


def _blotches(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth noise of three scales in about [0, 1], size x size."""
    total = np.zeros((size, size))
    for cells, strength in ((4, 0.5), (12, 0.3), (40, 0.2)):
        place = np.linspace(0, cells - 1.001, size)
        low, part = place.astype(int), place % 1
        noise = rng.uniform(size=(cells, cells))
        rows = noise[low] * (1 - part)[:, None] + noise[low + 1] * part[:, None]
        total += strength * (rows[:, low] * (1 - part) + rows[:, low + 1] * part)
    return total


def _mixed(pattern: np.ndarray, hue: float, light: float, saturation: float) -> np.ndarray:
    """A pattern in a colour and in a darker, shifted one: HxWx3 in [0, 1]."""
    first = np.array(colorsys.hsv_to_rgb(hue % 1, saturation, light))
    second = np.array(colorsys.hsv_to_rgb((hue + 0.12) % 1, saturation, 0.35 * light))
    return first * (1 - pattern)[..., None] + second * pattern[..., None]
