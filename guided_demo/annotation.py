"""What a person marked on one image: points, strokes and dense masks. Immutable, JSON-safe, the source of truth.

Coordinates are (x, y) in pixels of the original, upright image; the centre of the first pixel is (0.5, 0.5). A mark
covers pixels; where marks overlap, the later one wins, and an eraser unmarks what lies under it.
"""

from __future__ import annotations

import base64
import math
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .dense import dense, laid_over
from .drawing import Drawing, Drawings, Marked
from .errors import InputError
from .marks import MAX_CLASSES, UNMARKED, DenseMask, Mark, Point, Stroke, check_name

BACKGROUND = "background"
FARTHEST, WIDEST = 10_000_000, 100_000  # pixels; what draws strokes counts in 32 bits
_DRAWINGS = Drawings(512 << 20)


def class_called(name: str) -> str:
    """The class that a person means by a name, see `check_name`: `background` in whatever letters, and else as it is written."""
    name = check_name(name)
    return BACKGROUND if name.casefold() == BACKGROUND else name


class Annotation:
    """The marks on one image, in the order they were made; strokes given to the constructor come before points.

    points: (x, y, class) or Points; strokes: (path, class), or with a radius in pixels (path, class, radius), or Strokes, a path
    being [(x, y), …]; mask: what `from_mask` makes; marks: Points and Strokes in any order, which come last. Raises InputError
    for what is none of these; whether the marks lie in an image is seen when there is one, see `validate`.

    >>> Annotation(points=[(12.5, 8.0, "cat")], strokes=[([(3, 4), (9, 4)], "background", 2.0)]).classes
    ('background', 'cat')
    """

    __slots__ = ("__weakref__", "_before", "marks", "mask")
    marks: tuple[Mark, ...]
    mask: DenseMask | None
    _before: weakref.ref[Annotation] | None  # the same but for the last mark

    def __init__(
        self,
        points: Iterable[Point | Sequence] = (),
        strokes: Iterable[Stroke | Sequence] = (),
        mask: DenseMask | None = None,
        *,
        marks: Iterable[Mark] = (),
    ) -> None:
        made = _made(Stroke, strokes, "Strokes are [(path, class), …], a path being [(x, y), …]")
        clicked = _made(Point, points, "Points are [(x, y, class), …]")
        object.__setattr__(self, "marks", (*made, *clicked, *map(_is_mark, marks)))
        if not isinstance(mask, DenseMask | None):
            raise InputError("A mask is made an annotation by Annotation.from_mask(mask, classes).")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "_before", None)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("An Annotation is immutable; use add, rename or drop, which return a new one.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Annotation) and (self.marks, self.mask) == (other.marks, other.mask)

    def __hash__(self) -> int:
        return hash((self.marks, self.mask))

    def __repr__(self) -> str:
        dense = f", mask={self.mask.classes}" if self.mask else ""
        return f"Annotation({len(self.points)} points, {len(self.strokes)} strokes{dense})"

    def __reduce__(self):
        return (_restore, (self.marks, self.mask))

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(m for m in self.marks if isinstance(m, Point))

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        return tuple(m for m in self.marks if isinstance(m, Stroke))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names that are marked, `background` first where it is among them, then in order of appearance."""
        named = [*(self.mask.classes if self.mask else ()), *(m.label for m in self.marks if m.label is not None)]
        return tuple(sorted(dict.fromkeys(named), key=lambda c: c != BACKGROUND))

    @property
    def is_empty(self) -> bool:
        """Whether there is no mark and no mask; an eraser counts as a mark."""
        return not self.marks and self.mask is None

    @classmethod
    def from_mask(cls, mask: Any, classes: Sequence[str]) -> Annotation:
        """Annotation from a dense label map: HxW integers, value i is `classes[i]`, 255 is unmarked.

        Raises InputError for an array of another form, values that no class is named for, or more than 254 classes.
        """
        return cls(mask=dense(mask, classes))

    def add(self, mark: Mark) -> Annotation:
        """With one more mark, a Point or a Stroke, over those before."""
        more = Annotation(mask=self.mask, marks=(*self.marks, mark))
        object.__setattr__(more, "_before", weakref.ref(self))
        return more

    def __add__(self, other: Annotation) -> Annotation:
        """Both annotations; what `other` marks wins where they overlap. Its dense mask lies over one here, which it replaces if
        they differ in size, and under the marks of both.

        Raises InputError where two masks have more than 254 classes, or the bytes of one cannot be read.
        """
        return Annotation(mask=laid_over(self.mask, other.mask), marks=(*self.marks, *other.marks))

    def rename(self, old: str, new: str) -> Annotation:
        """With class `old` called `new`; where there is a class of that name, the two become one."""
        marks = tuple(replace(m, label=new) if m.label == old else m for m in self.marks)
        mask = self.mask and replace(self.mask, classes=tuple(new if c == old else c for c in self.mask.classes))
        if mask is not None and len(names := tuple(dict.fromkeys(mask.classes))) < len(mask.classes):
            lookup = np.full(256, UNMARKED, np.uint8)
            lookup[: len(mask.classes)] = [names.index(name) for name in mask.classes]
            mask = Annotation.from_mask(lookup[mask.labels()], names).mask
        return Annotation(mask=mask, marks=marks)

    def drop(self, label: str) -> Annotation:
        """Without the marks of a class; what its strokes and its part of a mask covered is unmarked, as after an eraser."""
        kept: list[Mark] = []
        for mark in self.marks:
            if mark.label != label:
                kept.append(mark)
            elif isinstance(mark, Stroke):
                kept.append(replace(mark, label=None))
        mask = self.mask
        if mask is not None and label in mask.classes:
            lookup = np.arange(256, dtype=np.uint8)
            lookup[[i for i, name in enumerate(mask.classes) if name == label]] = UNMARKED
            mask = Annotation.from_mask(lookup[mask.labels()], mask.classes).mask
        nothing_left = mask is None and all(m.label is None for m in kept)
        return Annotation() if nothing_left else Annotation(mask=mask, marks=kept)

    def validate(self, size: tuple[int, int]) -> None:
        """Raise InputError unless every class has a name that can be used and every mark lies in an image of `size` (W, H)."""
        width, height = size
        for mark in self.marks:
            if isinstance(mark, Point):
                _check_inside(mark.x, mark.y, width, height)
            else:
                _check_stroke(mark, width, height)
        if self.mask is not None:
            h, w = self.mask.labels().shape
            if (w, h) != (width, height):
                raise InputError(f"The mask is {w}x{h} pixels but its image is {width}x{height}; they must agree.")
        for name in self.classes:
            check_name(name)
        if len({BACKGROUND, *self.classes}) > MAX_CLASSES:  # as every mask has a background
            raise InputError(f"At most {MAX_CLASSES} classes can be annotated, the background among them.")

    def label_map(self, size: tuple[int, int], classes: Sequence[str]) -> np.ndarray:
        """HxW uint8 for an image of `size` (W, H): index into `classes`, 255 where unmarked or of no class named."""
        out = np.full((size[1], size[0]), UNMARKED, np.uint8)
        rows, columns, labels = self.marked(size, classes)
        out[rows, columns] = labels
        return out

    def marked(self, size: tuple[int, int], classes: Sequence[str], target: tuple[int, int] | None = None) -> Marked:
        """Rows, columns and labels of the marked pixels of label_map; cheap where the marks cover little of a large image.

        target: a size (W, H) that they will be brought to; those that make no difference there are then left out.
        """
        return self._drawing(size).marked(classes, target)

    def _drawing(self, size: tuple[int, int]) -> Drawing:
        # Guiding and segmenting ask for the same, and an annotation never changes.
        drawing = _DRAWINGS.get(self, size)
        if drawing is None:
            before = self._before and self._before()
            begun = before and _DRAWINGS.get(before, size)
            drawing = begun + self.marks[-1:] if begun else Drawing.of(size, self.mask) + self.marks
            _DRAWINGS.put(self, drawing)
        return drawing

    def to_json(self) -> dict[str, Any]:
        """What json can write: {"marks": [{"point": [x, y], "label": "cat"}, …]}, and {"mask": …} where there is one."""
        marks = [
            {"point": [m.x, m.y], "label": m.label}
            if isinstance(m, Point)
            else {"stroke": [list(p) for p in m.path], "label": m.label, "radius": m.radius, "shape": m.shape}
            for m in self.marks
        ]
        out: dict[str, Any] = {"marks": marks}
        if self.mask is not None:
            out["mask"] = {"png": base64.b64encode(self.mask.png).decode(), "classes": list(self.mask.classes)}
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Annotation:
        """Inverse of to_json; raises InputError when `data` is not of its form."""
        try:
            if not isinstance(data, dict):
                raise TypeError(f"it is of type {type(data).__name__}")
            if data and not {"marks", "mask"} & data.keys():
                raise KeyError("marks")
            mask = data.get("mask")
            dense = mask and DenseMask(base64.b64decode(mask["png"]), tuple(str(c) for c in mask["classes"]))
            return cls(mask=dense, marks=[_mark_from_json(m) for m in data.get("marks", ())])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            said = f"{error} is missing" if isinstance(error, KeyError) else str(error).removesuffix(".")
            form = '{"marks": [{"point": [x, y], "label": "cat"}]}'
            raise InputError(f"This is not an annotation, such as {form}: {said}.") from error


def _made(kind: type[Point] | type[Stroke], given: Any, form: str) -> list[Any]:
    """Marks of what the caller gave. Raises InputError, with what was wanted, if that is not of that form."""
    if not isinstance(given, Iterable):
        raise InputError(f"{form}, and not {given!r:.80}.")
    return [_one(kind, each, form) for each in given]


def _one(kind: type[Point] | type[Stroke], given: Any, form: str) -> Any:
    try:
        mark = given if isinstance(given, kind) else kind(*given)
    except InputError:  # which says what is wrong with it already
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{form}; {given!r} is none of them.") from error
    if not (isinstance(mark.label, str) or (mark.label is None and isinstance(mark, Stroke))):
        raise InputError(f"A class is called by a text, such as 'cat', and not {mark.label!r}.")
    return mark


def _is_mark(given: Any) -> Mark:
    """The same. Raises InputError if it is none."""
    if not isinstance(given, Mark):
        raise InputError(f"Marks are Point(x, y, class) and Stroke(path, class), and not {given!r:.80}.")
    return given


def _restore(marks: tuple[Mark, ...], mask: DenseMask | None) -> Annotation:
    return Annotation(mask=mask, marks=marks)


def _mark_from_json(data: dict[str, Any]) -> Mark:
    label = data["label"]
    if not {"point", "stroke"} & data.keys():
        raise KeyError("point")
    if "point" in data:
        x, y = data["point"]
        if label is None:
            raise ValueError("a point has no class; only strokes can erase")
        return Point(float(x), float(y), str(label))
    radius, shape = float(data.get("radius", 6.0)), data.get("shape", "brush")
    return Stroke(tuple(data["stroke"]), None if label is None else str(label), radius, shape)


def _check_inside(x: float, y: float, width: int, height: int) -> None:
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError("A point has a coordinate that is not a number; give x and y in pixels of the image.")
    if not (0 <= x <= width and 0 <= y <= height):
        raise InputError(f"The point ({x:g}, {y:g}) is outside the image, which is {width}x{height} pixels.")


def _check_stroke(stroke: Stroke, width: int, height: int) -> None:
    # A brush may run over the edge, as a hand does; what counts is that it touches the image at all.
    if not stroke.path:
        raise InputError("A stroke has no points; draw at least one.")
    if not all(math.isfinite(v) for p in stroke.path for v in p) or not math.isfinite(stroke.radius):
        raise InputError("A stroke has a coordinate that is not a number; give x and y in pixels of the image.")
    if not 0 < stroke.radius <= WIDEST:
        raise InputError(f"A stroke's radius must be above zero and at most {WIDEST} pixels.")
    if max(abs(v) for p in stroke.path for v in p) > FARTHEST:
        raise InputError(f"A stroke reaches more than {FARTHEST} pixels from the image, which is {width}x{height} pixels.")
    xs, ys = zip(*stroke.path, strict=True)
    reach = stroke.radius if stroke.shape == "brush" else 0
    if max(xs) < -reach or max(ys) < -reach or min(xs) > width + reach or min(ys) > height + reach:
        raise InputError(f"A stroke lies outside the image, which is {width}x{height} pixels.")
