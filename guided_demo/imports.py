"""Annotations from files that people have: JSON of points and strokes, mask images, COCO."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from guided_demo.annotation import BACKGROUND, Annotation
from guided_demo.errors import InputError
from guided_demo.polygons import fill


def read_annotations(path: Path) -> dict[str, dict]:
    """The JSON of annotations, for Annotation.from_json, by image name: {"photo.jpg": {"marks": [...]}}.

    A mark is {"point": [x, y], "label": "cat"} or {"stroke": [[x, y], ...], "label": "cat", "radius": 6}, where the
    label null erases and "shape": "polygon" fills. Raises InputError if the file is not of this form.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(data, dict) or not all(isinstance(marks, dict) for marks in data.values()):
        raise InputError(f'{path} is not of the form {{"photo.jpg": {{"marks": [...]}}}}.')
    return data


def read_mask(path: Path, classes: Sequence[str]) -> Annotation:
    """An annotation from an indexed or grey mask image: value i is classes[i], 255 is unmarked. Raises InputError."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1"):
                raise InputError(f"{path} is a colour picture; a mask has one number a pixel, as an indexed PNG.")
            labels = np.array(image.convert("L") if image.mode == "1" else image)
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as a mask: {error}.") from error
    return Annotation.from_mask(labels, classes)


def read_classes(path: Path) -> list[str]:
    """The class names of a text file, one a line, the first being pixel value 0. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def read_coco(data: bytes, name: str) -> dict[str, Annotation]:
    """Annotations by file name from COCO JSON with polygons or run lengths; what is in no region is background.

    name: what an error calls the file. Later regions lie over earlier ones. Raises InputError.
    """
    try:
        coco = json.loads(data)
        categories = {item["id"]: str(item["name"]) for item in coco["categories"]}
        classes = [BACKGROUND, *(kind for kind in dict.fromkeys(categories.values()) if kind != BACKGROUND)]
        images = {item["id"]: item for item in coco["images"]}
        maps = {key: np.zeros((int(item["height"]), int(item["width"])), np.uint8) for key, item in images.items()}
        for item in coco["annotations"]:
            labels = maps[item["image_id"]]
            region = _region(item["segmentation"], labels.shape[::-1])
            labels[region] = classes.index(categories[item["category_id"]])
        return {images[key]["file_name"]: Annotation.from_mask(labels, classes) for key, labels in maps.items()}
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{name} is not COCO JSON with segmentations ({type(error).__name__}: {error}).") from error


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
