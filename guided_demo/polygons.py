"""Masks to polygons and back, exact to the pixel, holes included."""

from collections.abc import Iterable, Iterator

import numpy as np

Region = tuple[tuple[slice, slice], np.ndarray]  # rows and columns of an image, and bool of these; nothing is elsewhere

# Directions of travel, the mask on the right hand: right, down, left, up; what lies to the right of each.
_STEP = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
_INWARD = np.array([(0, 1), (-1, 0), (0, -1), (1, 0)])


def polygons(mask: np.ndarray, inset: bool = False) -> list[np.ndarray]:
    """One closed polygon for each 4-connected part of a mask.

    mask: HxW bool. Returns arrays Nx2 of (x, y). By default they run along the edges of pixels, from (0, 0) to (W, H);
    with `inset`, through the centres of the outermost pixels, as pixel indices, for programs that fill a polygon and
    draw its outline. A hole is joined to the outside by a cut of no width, so that filling by the even-odd rule or
    the non-zero rule gives the mask.
    """
    start, direction, follow = _edges(mask)
    count = len(start)
    shift = 0.5 if inset else 0.0
    place = start.astype(float)
    if inset:
        before = direction[_inverse(follow)]
        place += 0.5 * (_INWARD[direction] + np.where((before != direction)[:, None], _INWARD[before], 0))
    after = follow.tolist()
    extra: list[tuple[float, float]] = []
    for hole, target in _cuts(mask, start, direction, follow):
        y = start[hole, 1] + 0.5
        near, far = (start[hole, 0] - shift, y), (start[target, 0] + shift, y)
        # ... target, far, near, round the hole, near, far, after the target ...
        first = count + len(extra)
        extra += [far, near, near, far]
        after += [first + 1, after[hole], first + 3, after[target]]
        after[target], after[hole] = first, first + 2
    if extra:
        place = np.concatenate([place, np.array(extra)])
    return [_corners(place[loop] - shift) for loop in _loops(after)]


def fill(outlines: Iterable[np.ndarray], size: tuple[int, int]) -> Region:
    """The pixels of an image of `size` (W, H) whose centre lies in any polygon, an array Nx2, by even-odd."""
    boxes = [(outline, *_box(outline, size)) for outline in outlines if len(outline)]
    boxes = [(outline, low, high) for outline, low, high in boxes if (low < high).all()]
    if not boxes:
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    left, top = np.min([low for _, low, _ in boxes], axis=0).tolist()
    right, bottom = np.max([high for _, _, high in boxes], axis=0).tolist()
    filled = np.zeros((bottom - top, right - left), bool)
    for outline, low, high in boxes:
        (x0, y0), (x1, y1) = low - (left, top), high - (left, top)
        filled[y0:y1, x0:x1] |= _inside(outline, low, high)
    return (slice(top, bottom), slice(left, right)), filled


def _box(outline: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The first pixel (x, y) of an image of `size` (W, H) that an outline may reach, and the one past the last."""
    # Rounding can put an edge that begins or ends at a pixel's centre on the other side of it.
    spread = np.array([[-1, 0], [1, 0]])
    low, high = np.clip(np.ceil([outline.min(0) - 0.5, outline.max(0) - 0.5]) + spread, 0, size).astype(int)
    return low, high


def _inside(outline: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """HxW bool of the part of an image from pixel `low` (x, y) to before `high`, the box of an outline: what lies in it."""
    (left, top), (right, bottom) = low, high
    flips = np.zeros((bottom - top, right - left + 1), np.uint8)
    after = np.roll(outline, -1, 0)
    begins, ends = np.clip(np.ceil(np.sort([outline[:, 1], after[:, 1]], axis=0) - 0.5), top, bottom).astype(int)
    for edge in np.flatnonzero(begins < ends):
        (x0, y0), (x1, y1) = outline[edge], after[edge]
        rows = np.arange(begins[edge], ends[edge])
        x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        flips[rows - top, np.clip(np.ceil(x - 0.5), left, right).astype(int) - left] += 1
    return np.cumsum(flips[:, :-1], axis=1, dtype=np.uint8) % 2 == 1


def _edges(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges between the mask and the rest: start (E, 2), direction (E,), and the edge that follows each (E,)."""
    padded = np.pad(mask.astype(bool), 1)
    inside = padded[1:-1, 1:-1]
    neighbours = padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2]  # above, right, below, left
    corner = (0, 0), (1, 0), (1, 1), (0, 1)  # of a pixel, where the edge on that side starts
    index = np.full((4, mask.shape[0] + 1, mask.shape[1] + 1), -1)
    starts, directions, count = [], [], 0
    for turn, (neighbour, (dx, dy)) in enumerate(zip(neighbours, corner, strict=True)):
        y, x = np.nonzero(inside & ~neighbour)
        starts.append(np.stack([x + dx, y + dy], 1))
        directions.append(np.full(len(x), turn))
        index[turn, y + dy, x + dx] = np.arange(count, count + len(x))
        count += len(x)
    start, direction = np.concatenate(starts), np.concatenate(directions)
    x, y = (start + _STEP[direction]).T
    right, ahead, left = (index[(direction + turn) % 4, y, x] for turn in (1, 0, 3))
    # Where two pixels touch at a corner only, both turns exist; the right one keeps to the pixel, so they stay apart.
    return start, direction, np.where(right >= 0, right, np.where(ahead >= 0, ahead, left))


def _cuts(mask: np.ndarray, start: np.ndarray, direction: np.ndarray, follow: np.ndarray) -> Iterator[tuple[int, int]]:
    """For each hole its leftmost edge, and the edge that ends the row of mask to its left."""
    up = np.full(mask.shape, -1)
    ups = np.flatnonzero(direction == 3)
    up[start[ups, 1] - 1, start[ups, 0]] = ups
    for loop in _loops(follow.tolist()):
        x, y = start[loop].T
        area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
        if area > 0:
            continue  # an outside
        down = [edge for edge in loop if direction[edge] == 1]
        hole = min(down, key=lambda edge: start[edge, 0])
        row = up[start[hole, 1], : start[hole, 0]]
        yield hole, int(row[np.flatnonzero(row >= 0)[-1]])


def _loops(follow: list[int]) -> Iterator[list[int]]:
    seen = bytearray(len(follow))
    for first in range(len(follow)):
        loop, at = [], first
        while not seen[at]:
            seen[at] = 1
            loop.append(at)
            at = follow[at]
        if loop:
            yield loop


def _inverse(follow: np.ndarray) -> np.ndarray:
    before = np.empty_like(follow)
    before[follow] = np.arange(len(follow))
    return before


def _corners(points: np.ndarray) -> np.ndarray:
    """Without repetitions and points on a straight line between their neighbours; at least three points."""
    points = points[(points != np.roll(points, 1, 0)).any(1)] if (points != points[0]).any() else points[:1]
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turns = (before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]) | ((before * after).sum(1) < 0)
    kept = points[turns]
    return kept if len(kept) >= 3 else np.resize(points if len(kept) == 0 else kept, (3, 2))
