"""Annotations from files that people have: JSON of points and strokes, mask images, COCO."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from guided_demo.annotation import BACKGROUND, MAX_CLASSES, Annotation
from guided_demo.errors import InputError
from guided_demo.polygons import fill


def read_json(data: bytes, name: str) -> Iterator[tuple[str, Callable[[], Annotation]]]:
    """Photos by name, each with a function that makes its annotation; from COCO, or from points and strokes.

    COCO has polygons or run lengths; later ones lie over earlier ones, and what is in none is background. The other form is
    {"photo.jpg": {"marks": [...]}}, where a mark is {"point": [x, y], "label": "cat"} or {"stroke": [[x, y], ...], "label":
    "cat", "radius": 6}; the label null erases, and "shape": "polygon" fills.
    name: what an error calls the file. It and the functions raise InputError for what is not of these forms.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise InputError(f"{name} cannot be read as JSON: {error}.") from error
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        yield from _read_coco(content, name)
    elif isinstance(content, dict) and all(isinstance(marks, dict) for marks in content.values()):
        yield from ((photo, partial(Annotation.from_json, marks)) for photo, marks in content.items())
    else:
        raise InputError(f'{name} is neither COCO nor of the form {{"photo.jpg": {{"marks": [...]}}}}.')


def read_mask(data: bytes, classes: Sequence[str] | None, name: str) -> Annotation:
    """An annotation from the file of an indexed or grey mask image: value i is classes[i], 255 is unmarked.

    Black and white pictures, with the values 0 and 255 only, have two classes. Where `classes` is None they are called
    background, class 1, class 2 … name: what an error calls the file. Raises InputError.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in ("P", "L", "1"):
                raise InputError(f"{name} is a colour picture; a mask has one number a pixel, as an indexed PNG.")
            labels = np.array(image.convert("L") if image.mode == "1" else image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be read as a mask: {error}.") from error
    if set(np.unique(labels)) == {0, 255}:
        labels = labels // 255
    names = [BACKGROUND, *(f"class {value}" for value in range(1, 255))] if classes is None else classes
    return Annotation.from_mask(labels, names[:MAX_CLASSES])


def class_names(data: bytes, name: str) -> list[str]:
    """The class names of a text file, one a line, the first being pixel value 0. Raises InputError."""
    try:
        return [line.rstrip("\r") for line in data.decode().removesuffix("\n").split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(f"{name} cannot be read: {error}.") from error


def _read_coco(coco: dict[str, Any], name: str) -> Iterator[tuple[str, Callable[[], Annotation]]]:
    try:
        categories = {item["id"]: str(item["name"]) for item in coco["categories"]}
        classes = [BACKGROUND, *(kind for kind in dict.fromkeys(categories.values()) if kind != BACKGROUND)]
        regions: dict[Any, list[tuple[int, Any]]] = {item["id"]: [] for item in coco["images"]}
        for item in coco["annotations"]:
            regions[item["image_id"]].append((classes.index(categories[item["category_id"]]), item["segmentation"]))
        photos = [(str(i["file_name"]), (int(i["width"]), int(i["height"])), regions[i["id"]]) for i in coco["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _not_coco(name, error) from error
    for photo, size, parts in photos:
        yield photo, partial(_filled, parts, size, classes, name)


def _filled(parts: list[tuple[int, Any]], size: tuple[int, int], classes: Sequence[str], name: str) -> Annotation:
    labels = np.zeros(size[::-1], np.uint8)
    try:
        for label, segmentation in parts:
            labels[_region(segmentation, size)] = label
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _not_coco(name, error) from error
    return Annotation.from_mask(labels, classes)


def _not_coco(name: str, error: Exception) -> InputError:
    return InputError(f"{name} is not COCO JSON with segmentations ({type(error).__name__}: {error}).")


def _region(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """HxW bool from COCO's segmentation: polygons, run lengths as numbers, or as compressed text."""
    if isinstance(segmentation, list):
        return fill((np.array(outline, float).reshape(-1, 2) for outline in segmentation), size)
    counts = segmentation["counts"]
    runs = np.array(_decompressed(counts) if isinstance(counts, str) else counts)
    if tuple(segmentation["size"]) != size[::-1] or runs.sum() != size[0] * size[1] or (runs < 0).any():
        raise ValueError("run lengths do not fit the image")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size).T


def _decompressed(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
