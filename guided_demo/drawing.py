"""Marks as pixels. A drawing grows by one mark at a time, so that a stroke costs what it covers, not what all others do."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, floor, hypot, prod, sqrt
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .errors import InputError
from .marks import MAX_CLASSES, UNMARKED, DenseMask, Mark, Point, Stroke

LARGE = 1 << 20  # pixels
DRAWN = 255
MOST_PAINTED = 1 << 32  # pixels for one stroke, a second's work
MOST_CROSSED = 1 << 23  # rows that the edges of one polygon cross, as much
Box = tuple[int, int, int, int]
Place = tuple[float, float]
Marked = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Drawing:
    """The marks on an image of `size` (W, H). canvas: the part of it, from (left, top), that they may touch, uint8: an index into
    `names`, the classes in the order they came, or UNMARKED."""

    size: tuple[int, int]
    left: int
    top: int
    canvas: np.ndarray
    names: tuple[str, ...]
    _found: dict[tuple[int, int], Marked] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, size: tuple[int, int], mask: DenseMask | None) -> Drawing:
        """With a dense mask of the image's size, or nothing."""
        if mask is None:
            return cls(size, 0, 0, np.zeros((0, 0), np.uint8), ())
        names = tuple(dict.fromkeys(mask.classes))
        lookup = np.full(256, UNMARKED, np.uint8)
        lookup[: len(mask.classes)] = [names.index(name) for name in mask.classes]
        return cls(size, 0, 0, lookup[mask.labels()], names)

    def __add__(self, marks: Sequence[Mark]) -> Drawing:
        """With these marks over the others."""
        if not marks:
            return self
        names = tuple(dict.fromkeys([*self.names, *(mark.label for mark in marks if mark.label is not None)]))
        if len(names) > MAX_CLASSES:
            raise InputError(f"At most {MAX_CLASSES} classes can be annotated.")
        boxes = [_box(mark, self.size) for mark in marks]
        height, width = self.canvas.shape
        before = [(self.left, self.top, self.left + width, self.top + height)] if self.canvas.size else []
        firsts, ends = np.split(np.array(boxes + before), 2, 1)
        (left, top), (right, bottom) = firsts.min(0).tolist(), ends.max(0).tolist()
        canvas = np.full((bottom - top, right - left), UNMARKED, np.uint8)
        canvas[self.top - top :, self.left - left :][:height, :width] = self.canvas
        for mark, box in zip(marks, boxes, strict=True):
            # Each on a picture of its own: those of two ends of a large photo would be on one as large.
            x, y, beyond, below = box
            touched = canvas[y - top : below - top, x - left : beyond - left]
            value = UNMARKED if mark.label is None else names.index(mark.label)
            if isinstance(mark, Stroke):
                touched[_painted(mark, box, self.size)] = value
            else:
                touched[0, 0] = value
        return Drawing(self.size, left, top, canvas, names)

    def marked(self, classes: Sequence[str], target: tuple[int, int] | None = None) -> Marked:
        """Rows, columns and labels, indices into `classes`, of the pixels that are marked with one of these, in reading order.

        target: the size (W, H) that they will be brought to, by scale_pixels. In a large drawing pixels are then left out that a
        later one with the same label joins there: where a mark covers much of a large image, most.
        """
        # In a small drawing, looking for such pixels costs more than it spares.
        rows, columns, own = self._places(self.size if target is None or self.canvas.size < LARGE else target)
        lookup = np.array([classes.index(name) if name in classes else UNMARKED for name in self.names], np.uint8)
        if (lookup == np.arange(len(lookup))).all():
            return rows, columns, own
        labels = lookup[own]
        if (lookup != UNMARKED).all():
            return rows, columns, labels
        kept = labels != UNMARKED
        return rows[kept], columns[kept], labels[kept]

    def _places(self, target: tuple[int, int]) -> Marked:
        if target not in self._found:
            found = self.canvas != UNMARKED
            for axis, (first, across, side) in enumerate(zip((self.top, self.left), target[::-1], self.size[::-1], strict=True)):
                places = (2 * np.arange(first, first + found.shape[axis]) + 1) * across // (2 * side)
                joined = places[1:] == places[:-1]
                if joined.any():
                    here, label = (np.moveaxis(part, axis, 0) for part in (found, self.canvas))  # views: writing reaches `found`
                    here[:-1] &= (label[1:] != label[:-1]) | ~joined[:, None]
            # Small numbers, as there may be millions; they are still exact where a side is multiplied with another.
            number = np.int32 if max(self.size) < 1 << 15 else np.int64
            places = np.flatnonzero(found).astype(number)
            rows = places // number(found.shape[1])
            columns = places - rows * number(found.shape[1])
            self._found[target] = rows + number(self.top), columns + number(self.left), self.canvas.ravel()[places]
        return self._found[target]

    @property
    def nbytes(self) -> int:
        """What it may come to hold, in bytes: with the canvas, two coordinates and a label of every pixel."""
        return self.canvas.size * (1 + 2 * 4 + 1)


def _box(mark: Mark, size: tuple[int, int]) -> Box:
    """Left, top, right and bottom of what a mark can touch of an image of `size` (W, H)."""
    reach, path = (0, ((mark.x, mark.y),)) if isinstance(mark, Point) else (mark.radius + 2, mark.path)
    spans = (_span(places, reach, side) for places, side in zip(zip(*path, strict=True), size, strict=True))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def _span(places: Sequence[float], reach: float, side: int) -> tuple[int, int]:
    """First pixel and the one after the last that coordinates reach, within 0 to `side`; at least one pixel."""
    first = min(max(int(min(places) - reach), 0), side - 1)
    return first, min(max(int(max(places) + reach) + 1, first + 1), side)


class Drawings:
    """The drawings asked for last, by their owner and size, in at most `limit` bytes, a MB or more for each."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._kept: OrderedDict[tuple[int, tuple[int, int]], tuple[Any, Drawing, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, owner: object, size: tuple[int, int]) -> Drawing | None:
        with self._lock:
            found = self._kept.get((id(owner), size))
            if found is None:
                return None
            self._kept.move_to_end((id(owner), size))
            return found[1]

    def put(self, owner: object, drawing: Drawing) -> None:
        key, cost = (id(owner), drawing.size), max(drawing.nbytes, 1 << 20)
        with self._lock:
            self._held += cost - self._kept.get(key, (None, None, 0))[2]
            self._kept[key] = owner, drawing, cost  # with the owner, so that its id stays its own
            while len(self._kept) > 1 and self._held > self._limit:
                self._held -= self._kept.popitem(last=False)[1][2]


def _is_filled(stroke: Stroke) -> bool:
    return stroke.shape == "polygon" and len(stroke.path) >= 3


def _coarseness(stroke: Stroke, reach: float, size: tuple[int, int]) -> int:
    """How many pixels of an image of `size` (W, H), across, are drawn as one; no more than 1 for what a hand draws."""
    across, down = np.abs(np.diff(stroke.path, axis=0)).T if len(stroke.path) > 1 else np.zeros((2, 0))
    if _is_filled(stroke):
        return ceil(np.minimum(down, size[1]).sum() / MOST_CROSSED)
    dabs = len(stroke.path) * min(prod(size), 4 * reach**2)
    lines = np.minimum(np.minimum(np.hypot(across, down), hypot(*size)) * 2 * reach, prod(size)).sum()
    return ceil(sqrt((dabs + lines) / MOST_PAINTED))


def _draw_thin(draw: ImageDraw.ImageDraw, begin: Place, end: Place, size: tuple[int, int]) -> None:
    """Draw a line of one pixel's width on a picture of `size` (W, H): the pixels that Pillow draws, however far off it ends."""
    begin, end = (int(begin[0]), int(begin[1])), (int(end[0]), int(end[1]))  # as Pillow does
    moves = end[0] - begin[0], end[1] - begin[1]
    steps = max(map(abs, moves))
    if steps <= max(size):
        draw.line((begin, end), fill=DRAWN)
        return
    # Pillow takes every step of a line, also the millions that may lie outside. Here are its steps inside, and a few beside them.
    first, last = 0, steps
    for at, move, side in zip(begin, moves, size, strict=True):
        if move:
            enters, leaves = sorted(steps * (edge - at) / move for edge in (-1, side))
            first, last = max(first, floor(enters)), min(last, ceil(leaves))
        elif not 0 <= at < side:
            return
    step = np.arange(first, last + 1)
    places = [at + np.sign(move) * ((2 * abs(move) * step + steps) // (2 * steps)) for at, move in zip(begin, moves, strict=True)]
    draw.point(np.stack(places, 1).ravel().tolist(), fill=DRAWN)


def _painted(stroke: Stroke, box: Box, size: tuple[int, int]) -> np.ndarray:
    """The part `box` of an image of `size` (W, H) as bool: where a stroke covers it."""
    left, top, right, bottom = box
    picture = Image.new("L", (right - left, bottom - top))
    draw = ImageDraw.Draw(picture)
    # Pillow's pixel i is drawn for coordinate i, ours has its centre at i + 0.5.
    path = [(x - left - 0.5, y - top - 0.5) for x, y in stroke.path]
    reach = min(stroke.radius, hypot(*size))  # from a place in the image, more covers no more
    coarse = _coarseness(stroke, reach, size)
    if coarse > 1:
        # Over the same pixels again and again, as no hand does: on a grid of the image's, so that no other mark matters.
        shrunk = tuple((x / coarse, y / coarse) for x, y in stroke.path)
        width, height = (-(-side // coarse) for side in size)
        small = _painted(replace(stroke, path=shrunk, radius=reach / coarse), (0, 0, width, height), (width, height))
        rows, columns = np.arange(top, bottom) // coarse, np.arange(left, right) // coarse
        return small[rows[:, None], columns]
    if _is_filled(stroke):
        draw.polygon(path, fill=DRAWN, outline=DRAWN)
        return np.asarray(picture) > 0
    radius = reach - 0.5
    width = max(1, round(2 * reach)) if radius > 0 else 1
    for ends in pairwise(path):  # one by one, as Pillow lets no other thread run meanwhile
        if width == 1:
            _draw_thin(draw, *ends, picture.size)
        else:
            draw.line(ends, fill=DRAWN, width=width)
    for x, y in path:
        if radius > 0:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=DRAWN)
        else:  # finer than a pixel, so the pixel that it is on
            draw.point((floor(x + 0.5), floor(y + 0.5)), fill=DRAWN)
    return np.asarray(picture) > 0
