"""Guidance: the latent representation of a task, as an immutable ledger of what each annotated image contributed."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from ..annotation import BACKGROUND, Annotation
from ..errors import InputError
from ..files import MAX_PIXELS, read_bytes, write_atomic
from ..marks import MAX_CLASSES, DenseMask, check_name
from .encoder import DETAIL, SEMANTIC
from .exemplars import COUNT

# Files of earlier formats are still read: the first had OLD_PARTS with semantics in float16, the second masks in the header, and
# the third nothing that was found.
FORMAT = 4
PARTS, OLD_PARTS = ("steps", "step", "detail", "weight"), ("semantic", "detail", "weight")
LARGEST = 128  # the network finds less than 20 in photos, and 35 in patterns; from 200 on, regressions have no solution


@dataclass(frozen=True)
class Sample:
    """One class in one image, as it is stored: n exemplars, and the number of annotated pixels they stand for.

    steps (n, SEMANTIC) int8 times step (n, 1) float16 is their semantics: half the size of float16, and cosines change by less
    than .001; detail (n, DETAIL) float16; weight (n,) float16, which sums to about 1.
    """

    steps: np.ndarray
    step: np.ndarray
    detail: np.ndarray
    weight: np.ndarray
    pixels: int

    @classmethod
    def of(cls, semantic: np.ndarray, detail: np.ndarray, weight: np.ndarray, pixels: int) -> Sample:
        """From exemplars (n, SEMANTIC) and (n, DETAIL), and weights (n,), of any floating type."""
        semantic = semantic.astype(np.float32)
        step = np.maximum(np.abs(semantic).max(1, keepdims=True) / 127, 1e-6).astype(np.float16)
        steps = np.rint(semantic / step.astype(np.float32)).clip(-127, 127).astype(np.int8)
        return cls(steps, step, detail.astype(np.float16), weight.astype(np.float16), pixels)

    @property
    def semantic(self) -> np.ndarray:
        """(n, SEMANTIC) float32."""
        return self.steps * self.step.astype(np.float32)


@dataclass(frozen=True)
class Contribution:
    """What one image gives: samples by class, its mean descriptor (SEMANTIC,) float16, and the annotation it came from; found:
    samples of what it surely shows beside its marks, see `found`."""

    key: str
    size: tuple[int, int]
    samples: Mapping[str, Sample]
    centre: np.ndarray
    annotation: Annotation
    found: Mapping[str, Sample] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        """Its place in the ledger: the image, and what was marked on it."""
        marks = json.dumps(self.annotation.to_json(), sort_keys=True)
        return f"{self.key}/{hashlib.sha256(marks.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, eq=False)
class Guidance:
    """What each annotation of each image contributed. Make it with GuidedSegmenter.guide, and add.

    `+` is order-free, and the same annotation of the same image counts once, however often it is added; it raises InputError
    for guidance of different checkpoints. `without(key)` takes an image out again exactly.
    checkpoint_id: of the network that made it, None where it is empty; ledger: its contributions, see `Contribution.entry`.
    """

    checkpoint_id: str | None = None
    ledger: Mapping[str, Contribution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ledger", MappingProxyType(dict(sorted(self.ledger.items()))))

    def __repr__(self) -> str:
        return f"Guidance({', '.join(self.classes)}; {len(self.images)} image{'s' * (len(self.images) != 1)})"

    def __reduce__(self):
        return Guidance.from_bytes, (self.to_bytes(),)  # to other processes it goes as a file does

    @classmethod
    def empty(cls) -> Guidance:
        """Guidance by nothing: under it, all is background."""
        return cls()

    @property
    def classes(self) -> tuple[str, ...]:
        """`background`, then every guided class in alphabetical order, so that they do not depend on the order of adding."""
        names = {name for c in self.ledger.values() for name in c.samples} - {BACKGROUND}
        return (BACKGROUND, *sorted(names))

    @property
    def images(self) -> tuple[str, ...]:
        """Keys of the annotated images."""
        return tuple(dict.fromkeys(c.key for c in self.ledger.values()))

    @cached_property  # every photo of a gallery asks for its own
    def annotations(self) -> Mapping[str, Annotation]:
        """By image key: all that was marked on it."""
        out: dict[str, Annotation] = {}
        for c in self.ledger.values():
            out[c.key] = out[c.key] + c.annotation if c.key in out else c.annotation
        return MappingProxyType(out)

    @cached_property  # every photo of a gallery asks for it
    def uncorrected(self) -> Guidance:
        """Without the images in which only background is marked: these say where others' guidance is wrong. The same object where
        there are none."""
        showing = {c.key for c in self.ledger.values() if c.samples.keys() - {BACKGROUND}}
        return self.without(*(key for key in self.images if key not in showing))

    def __add__(self, other: Guidance) -> Guidance:
        if not isinstance(other, Guidance):
            return NotImplemented
        return merge([self, other])

    def __radd__(self, other: int) -> Guidance:
        return self if other == 0 else NotImplemented  # with which `sum` begins

    def without(self, *keys: str) -> Guidance:
        """This guidance with nothing of the images of these keys (`EncodedImage.key`); the same object where it holds none."""
        if not all(isinstance(key, str) for key in keys):
            raise InputError("An image is taken out by its key: guidance.without(segmenter.encode(image).key).")
        gone = set(keys)
        kept = {entry: c for entry, c in self.ledger.items() if c.key not in gone}
        return replace(self, ledger=kept) if len(kept) < len(self.ledger) else self

    def only(self, key: str) -> Guidance:
        """What the image `key` alone contributed."""
        return replace(self, ledger={entry: c for entry, c in self.ledger.items() if c.key == key})

    def rename(self, old: str, new: str) -> Guidance:
        """Class `old` under the name `new`, which must not be taken in an image that has both. Raises InputError where it
        is, or is no name for a class."""
        new = check_name(new)
        if any(old in c.samples and new in c.samples for c in self.ledger.values()):
            raise InputError(f"There already is a class {new}; choose another name.")

        def renamed(c: Contribution) -> Contribution:
            annotation = c.annotation.rename(old, new)
            samples, found = ({new if name == old else name: s for name, s in part.items()} for part in (c.samples, c.found))
            # In the order that guiding would give them, so that sums come out the same to the bit.
            ordered = sorted(samples, key=annotation.classes.index)
            return replace(c, samples={name: samples[name] for name in ordered}, annotation=annotation, found=found)

        return self._map(renamed)

    def drop_class(self, name: str) -> Guidance:
        """Without a class; an image that showed nothing else leaves the ledger."""

        def dropped(c: Contribution) -> Contribution:
            samples, found = ({n: s for n, s in part.items() if n != name} for part in (c.samples, c.found))
            return replace(c, samples=samples, annotation=c.annotation.drop(name), found=found)

        return self._map(dropped)

    def _map(self, change) -> Guidance:
        changed = (change(c) for c in self.ledger.values())
        return replace(self, ledger={c.entry: c for c in changed if c.samples})

    def to_bytes(self) -> bytes:
        """safetensors with JSON metadata; dense masks are tensors, their PNG bytes (n,) uint8, as the header has 100 MB at most.

        Raises InputError where points and strokes alone are more than that.
        """
        tensors: dict[str, np.ndarray] = {}
        entries: list[dict[str, Any]] = []
        for i, c in enumerate(self.ledger.values()):
            tensors[f"{i}.centre"] = c.centre
            both = [*c.samples.values(), *c.found.values()]
            for j, sample in enumerate(both):
                tensors |= {f"{i}.{j}.{part}": getattr(sample, part) for part in PARTS}
            entry: dict[str, Any] = {
                "key": c.key,
                "size": list(c.size),
                "classes": list(c.samples),
                "found": list(c.found),
                "pixels": [s.pixels for s in both],
                "annotation": Annotation(marks=c.annotation.marks).to_json(),
            }
            if c.annotation.mask is not None:
                tensors[f"{i}.mask"] = np.frombuffer(c.annotation.mask.png, np.uint8)
                entry["mask"] = list(c.annotation.mask.classes)
            entries.append(entry)
        header = {"format": FORMAT, "checkpoint": self.checkpoint_id, "images": entries}
        try:
            return safetensors.numpy.save(tensors, {"guidance": json.dumps(header)})
        except SafetensorError as error:
            raise InputError(
                "There are more points and strokes than a guidance file has room for (100 MB); save the guidance of fewer images "
                "at a time."
            ) from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Guidance:
        """Inverse of to_bytes. Raises InputError for anything that is not a whole guidance file."""
        try:
            tensors = safetensors.numpy.load(data)
            header = _header(data)
            if header["format"] > FORMAT:
                raise InputError("This guidance file is of a newer format; update guided_demo to read it.")
            contributions = [_contribution(i, entry, tensors) for i, entry in enumerate(header["images"])]
            return cls(header["checkpoint"], {c.entry: c for c in contributions})
        except InputError:
            raise
        except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise InputError("This is not a guidance file, or it is cut short; save the guidance again.") from error

    def save(self, path: str | Path) -> None:
        """Write it to a file, as `to_bytes` has it; folders that are not there are made.

        Raises InputError if the file cannot be written; one that was there is then as it was.
        """
        write_atomic(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Guidance:
        """Read it from a file that `save`, the page or the command line wrote. Raises InputError if that cannot be read, or is no
        guidance."""
        return cls.from_bytes(read_bytes(path))


def _header(data: bytes) -> dict[str, Any]:
    # safetensors' own reader of bytes gives the tensors only; the metadata is in the JSON header before them.
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["guidance"])


def _contribution(i: int, entry: dict[str, Any], tensors: dict[str, np.ndarray]) -> Contribution:
    names = [str(name).strip() for name in (*entry["classes"], *entry.get("found", ()))]
    both = []
    for j, (name, pixels) in enumerate(zip(names, entry["pixels"], strict=True)):
        old = f"{i}.{j}.semantic" in tensors
        a = [tensors[f"{i}.{j}.{part}"] for part in (OLD_PARTS if old else PARTS)]
        count = int(pixels)
        sample = Sample.of(a[0], a[1], a[2], count) if old else Sample(a[0], a[1], a[2], a[3], count)
        _check(sample)
        both.append((name, sample))
    marked = len(entry["classes"])
    samples, found = dict(both[:marked]), dict(both[marked:])
    width, height = map(int, entry["size"])
    if min(width, height) < 1 or width * height > MAX_PIXELS:
        raise ValueError("an image has a size that none has")
    annotation, centre = _annotation(i, entry, tensors), tensors[f"{i}.centre"]
    annotation.validate((width, height))
    if not samples.keys() <= set(annotation.classes):
        raise ValueError("exemplars are of a class that is not marked")
    if not found.keys() <= samples.keys() & {mark.label for mark in annotation.marks}:
        raise ValueError("a class is found that is not marked")
    if centre.shape != (SEMANTIC,) or centre.dtype != np.float16 or not _is_likely(centre):
        raise ValueError("an image has no mean descriptor")
    return Contribution(str(entry["key"]), (width, height), samples, centre, annotation, found)


def _annotation(i: int, entry: dict[str, Any], tensors: dict[str, np.ndarray]) -> Annotation:
    annotation = Annotation.from_json(entry["annotation"])  # before the third format, with its mask
    if "mask" in entry or f"{i}.mask" in tensors:
        png = tensors[f"{i}.mask"]
        if annotation.mask is not None or png.dtype != np.uint8 or png.ndim != 1:
            raise ValueError("a mask is not as it was saved")
        annotation = Annotation(mask=DenseMask(png.tobytes(), tuple(map(str, entry["mask"]))), marks=annotation.marks)
    if annotation.mask is not None and len(annotation.mask.classes) > MAX_CLASSES:
        raise ValueError("a mask has more classes than values")
    return annotation


def _check(sample: Sample) -> None:
    n = len(sample.weight)
    wanted = ((n, SEMANTIC), np.int8), ((n, 1), np.float16), ((n, DETAIL), np.float16), ((n,), np.float16)
    parts = [getattr(sample, part) for part in PARTS]
    if any((part.shape, part.dtype) != form or not np.isfinite(part).all() for part, form in zip(parts, wanted, strict=True)):
        raise ValueError("exemplars do not agree")
    if not all(map(_is_likely, (sample.semantic, sample.detail, sample.weight))):
        raise ValueError("exemplars are of no photo")
    if not (n <= COUNT and 0 < sample.pixels <= MAX_PIXELS and sample.weight.sum() > 0 and (sample.weight >= 0).all()):
        raise ValueError("exemplars stand for nothing")


def _is_likely(values: np.ndarray) -> bool:
    return bool((np.abs(values) <= LARGEST).all())  # which no NaN is


def merge(parts: Iterable[Guidance]) -> Guidance:
    """The sum of guidances, in a time that grows as their number does; empty where there are none. Raises InputError if they are
    of different checkpoints."""
    given = [part for part in parts if part.ledger]
    ids = {part.checkpoint_id for part in given}
    if len(ids) > 1:
        raise InputError(
            "Guidances of different checkpoints cannot be added; make those of one checkpoint again from their annotations "
            "with the other."
        )
    return Guidance(next(iter(ids), None), {entry: c for part in given for entry, c in part.ledger.items()})
