"""The guidance file: safetensors, with the annotations and what belongs to which image as JSON in its metadata. Never pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from ..annotation import Annotation
from ..errors import InputError
from ..files import MAX_PIXELS
from ..marks import MAX_CLASSES, DenseMask
from .contribution import Contribution, Sample
from .encoder import DETAIL, SEMANTIC
from .exemplars import COUNT

# Files of earlier formats are still read: the first had OLD_PARTS with semantics in float16, the second masks in the header, and
# the third nothing that was found.
FORMAT = 4
PARTS, OLD_PARTS = ("steps", "step", "detail", "weight"), ("semantic", "detail", "weight")
LARGEST = 128  # the network finds less than 20 in photos, and 35 in patterns; from 200 on, regressions have no solution


def write(checkpoint_id: str | None, contributions: Iterable[Contribution]) -> bytes:
    """A file of guidance by the network `checkpoint_id`. Dense masks are tensors, their PNG bytes (n,) uint8, as the header has
    100 MB at most.

    Raises InputError where points and strokes alone are more than that.
    """
    tensors: dict[str, np.ndarray] = {}
    entries: list[dict[str, Any]] = []
    for i, c in enumerate(contributions):
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
    header = {"format": FORMAT, "checkpoint": checkpoint_id, "images": entries}
    try:
        return safetensors.numpy.save(tensors, {"guidance": json.dumps(header)})
    except SafetensorError as error:
        raise InputError(
            "There are more points and strokes than a guidance file has room for (100 MB); save the guidance of fewer images "
            "at a time."
        ) from error


def read(data: bytes) -> tuple[str | None, list[Contribution]]:
    """Inverse of `write`. Raises InputError for anything that is not a whole guidance file."""
    try:
        tensors = safetensors.numpy.load(data)
        header = _header(data)
        if header["format"] > FORMAT:
            raise InputError("This guidance file is of a newer format; update guided_demo to read it.")
        return header["checkpoint"], [_contribution(i, entry, tensors) for i, entry in enumerate(header["images"])]
    except InputError:
        raise
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InputError("This is not a guidance file, or it is cut short; save the guidance again.") from error


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
