"""Annotations from files that people have: JSON of points and strokes, mask images, COCO, labelme, YOLO."""

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageDraw

from guided_demo.annotation import BACKGROUND, MAX_CLASSES, Annotation, Mark, Point, Stroke
from guided_demo.errors import InputError
from guided_demo.files import FORMATS, MAX_PIXELS
from guided_demo.pages import has_pages
from guided_demo.polygons import Region, fill

ONE_NUMBER = ("P", "L", "1", "I;16", "I;16B", "I")  # Pillow's modes of pictures with one whole number a pixel
DEEPEST = 20  # lists in lists of a data.yaml
WIDEST = 4  # radius of a circle, in sides of its photo
LINE = 5.0  # half of what labelme gives a line for its width, in pixels
BEYOND = 2  # sides of a photo that YOLO's corners may be at; what is further is in pixels


def read_json(data: bytes, name: str) -> Iterator[tuple[str, Callable[[], Annotation]]]:
    """Photos by name, each with a function that makes its annotation; from COCO, labelme, or points and strokes.

    COCO has polygons, run lengths or boxes, labelme shapes of all kinds, about one photo; later ones lie over earlier ones, and
    what is in none is background. Points and lines of labelme are marks over them, which say nothing of what is beside. The third
    form is
    {"photo.jpg": {"marks": [...]}}, where a mark is {"point": [x, y], "label": "cat"} or {"stroke": [[x, y], ...], "label":
    "cat", "radius": 6}; a stroke with the label null erases, and "shape": "polygon" fills.
    name: what an error calls the file. It and the functions raise InputError for what is not of these forms.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be read as JSON: {error}.") from error
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        yield from _read_coco(content, name)
    elif isinstance(content, dict) and "shapes" in content:
        yield _read_labelme(content, name)
    elif isinstance(content, dict) and all(isinstance(marks, dict) for marks in content.values()):
        yield from ((photo, partial(Annotation.from_json, marks)) for photo, marks in content.items())
    else:
        raise InputError(f'{name} is neither COCO nor labelme nor of the form {{"photo.jpg": {{"marks": [...]}}}}.')


def read_mask(data: bytes, classes: Sequence[str] | None, name: str) -> Annotation:
    """An annotation from the file of an indexed or grey mask image: value i is classes[i], 255 is unmarked.

    Black and white pictures, of one bit, or with the values 0 and 255 (or 65535, of 16 bits) only, have two classes; where 255
    has another colour, as in the masks that are exported, it is unmarked. Where `classes` is None they are called background,
    class 1, class 2 …
    name: what an error calls the file. Raises InputError, also for 255 alone where that is white, which may mean either.
    """
    labels, grey = read_numbers(data, name)
    values = set(np.unique(labels).tolist())
    if values == set(np.unique(grey).tolist()):
        if values in ({0, 255}, {0, 65535}, {65535}):
            labels = labels > 0
        elif values == {255}:
            said = f"{name} is 255 everywhere, which is white as well as unmarked"
            raise InputError(f"{said}; if all of its photo is of a class, give its pixels the number of that class, such as 1.")
    names = [BACKGROUND, *(f"class {value}" for value in range(1, 255))] if classes is None else classes
    return Annotation.from_mask(labels, names[:MAX_CLASSES])


def read_numbers(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a mask image, HxW, of one bit as bool, and the grey they are shown in, which is another in indexed ones.

    name: what an error calls the file. Raises InputError.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            numbers, mode = np.array(image), image.mode
            grey = np.array(image.convert("L")) if mode == "P" else numbers
            is_stack = has_pages(image)
    except Exception as error:  # what a decoder raises on damaged bytes differs by format
        raise InputError(f"{name} cannot be read as a mask: {error}.") from error
    if mode not in ONE_NUMBER:
        raise InputError(f"{name} is a colour picture; a mask has one number a pixel, as an indexed PNG.")
    if is_stack:
        raise InputError(f"{name} is a stack, and which of its pages is meant is unclear; save each as a mask of its own.")
    return numbers, grey


def class_names(data: bytes, name: str) -> list[str]:
    """The class names of a text file, one a line, the first being pixel value 0. Raises InputError."""
    try:
        lines = [line.rstrip("\r") for line in data.decode("utf-8-sig").removesuffix("\n").split("\n")]
        return [BACKGROUND if line.casefold() == BACKGROUND else line for line in lines]
    except UnicodeDecodeError as error:
        raise InputError(f"{name} cannot be read: {error}.") from error


def yolo_names(data: bytes, name: str) -> list[str]:
    """The class names that a YOLO data.yaml has, after `background`. Raises InputError."""
    try:
        depth = 0
        for event in yaml.parse(data, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            # A few hundred bytes of aliases stand for as much text as one likes, and brackets in brackets take minutes.
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
                raise yaml.YAMLError
        names = yaml.safe_load(data)["names"]
        # Another start or a gap would give classes the names of others, as a text would that of each of its letters.
        listed = [names[number] for number in range(len(names))] if isinstance(names, dict | list) else None
        if listed is None:
            raise TypeError(f"names is {names!r:.40}")
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = f"{name} has no list of class names, such as names: [cat, dog] or, numbered from 0 without gaps, names: {{0: cat}}"
        raise InputError(f"{said} ({type(error).__name__}).") from error
    return [BACKGROUND, *map(str, listed)]


def read_yolo(data: bytes, classes: Sequence[str] | None, size: tuple[int, int], name: str) -> Annotation:
    """An annotation from YOLO's lines "class x y x y …", or "class x y w h" for a box, in parts of the photo's `size` (W, H).

    A line may end in how sure somebody's network was of it, which makes no difference.
    classes: class i of YOLO is the i-th of them, `background` aside; by default class 1, class 2 … What no line is about is
    background. name: what an error calls the file. Raises InputError.
    """
    names = [f"class {value}" for value in range(1, MAX_CLASSES)] if classes is None else [c for c in classes if c != BACKGROUND]
    parts: list[tuple[int, Any]] = []
    try:
        for kind, *numbers in filter(None, map(str.split, data.decode().splitlines())):
            if len(numbers) < 4:
                raise ValueError("a line is too short")
            corners = np.array(numbers[: len(numbers) // 2 * 2], float).reshape(-1, 2)
            if (far := np.abs(corners).max()) > BEYOND:
                raise ValueError(f"{far:g} is not a part of the photo from 0 to 1")
            if len(corners) == 2:
                (middle, extent) = corners
                corners = middle + extent * [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]
            parts.append((int(kind) + 1, [_finite(corners * size).ravel().tolist()]))
    except ValueError as error:
        raise InputError(f"{name} does not have YOLO's lines of numbers ({error}).") from error
    for label, _ in parts:
        if not 0 < label <= len(names):
            raise InputError(f"{name} has class {label - 1}, which the list of class names does not.")
    return _filled(parts, size, [BACKGROUND, *names], name)


def coco_region(segmentation: Any, size: tuple[int, int]) -> Region:
    """Part of a photo of `size` (W, H) from COCO's segmentation: polygons, run lengths as numbers, or as compressed text.

    Raises KeyError, TypeError, ValueError, IndexError or OverflowError for what is none.
    """
    if isinstance(segmentation, list):
        return fill([_finite(outline).reshape(-1, 2) for outline in segmentation], size)
    counts = segmentation["counts"]
    runs = np.array(_decompressed(counts) if isinstance(counts, str) else counts)
    if tuple(segmentation["size"]) != size[::-1] or runs.sum() != size[0] * size[1] or (runs < 0).any():
        raise ValueError("run lengths do not fit the image")
    # Runs go down the columns; of these, from the first to the last that the region is in.
    ends, height = np.cumsum(runs), size[1]
    left, right = runs[0] // height, -(-ends[len(runs) // 2 * 2 - 1] // height)
    within = np.diff(np.clip(ends, left * height, right * height), prepend=left * height)
    region = np.repeat(np.arange(len(runs)) % 2 == 1, within).reshape(right - left, height).T
    return (slice(0, height), slice(left, right)), region


def _read_labelme(content: dict[str, Any], name: str) -> tuple[str, Callable[[], Annotation]]:
    try:
        file = str(content.get("imagePath") or name).replace("\\", "/").split("/")[-1]
        size = int(content["imageWidth"]), int(content["imageHeight"])
        shapes = [
            (str(shape["label"]), shape.get("shape_type", "polygon"), shape["points"], shape.get("mask"))
            for shape in content["shapes"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} is not a labelme file ({type(error).__name__}: {error}).") from error
    return str(PurePosixPath(name).parent / file), partial(_drawn, shapes, size, name)


def _drawn(shapes: list[tuple[str, str, Any, Any]], size: tuple[int, int], name: str) -> Annotation:
    """Shapes as labelme draws them: their outlines are part of them, and lines have a width."""
    classes = [BACKGROUND, *(label for label in dict.fromkeys(label for label, *_ in shapes) if label != BACKGROUND)]
    picture = Image.new("I", _checked(size, name))
    draw = ImageDraw.Draw(picture)
    marks: list[Mark] = []
    try:
        for label, kind, points, mask in shapes:
            corners, value = [(float(x), float(y)) for x, y in points], classes.index(label)
            _finite(corners)
            if kind == "point":
                ((x, y),) = corners
                marks.append(Point(x, y, label))
            elif kind in ("line", "linestrip"):
                marks.append(Stroke(tuple(corners), label, LINE))
            elif kind in ("polygon", "oriented_rectangle", "rotation"):  # the last is X-AnyLabeling's
                draw.polygon(corners, fill=value, outline=value)
            elif kind == "rectangle":
                xs, ys = zip(*corners, strict=True)  # of two corners, or of all four, as X-AnyLabeling has it
                draw.rectangle((min(xs), min(ys), max(xs), max(ys)), fill=value, outline=value)
            elif kind == "circle":
                (x, y), rim = corners
                r = float(np.hypot(rim[0] - x, rim[1] - y))
                if r > WIDEST * max(size):  # to draw it would keep the server from everybody else
                    raise ValueError(f"a circle is {2 * r:.0f} pixels wide")
                draw.ellipse((x - r, y - r, x + r, y + r), fill=value, outline=value)
            elif kind == "mask":
                left, top = map(int, corners[0])
                with Image.open(io.BytesIO(base64.b64decode(mask)), formats=("PNG",)) as part:
                    picture.paste(value, (left, top), Image.fromarray(np.array(part) > 0))
            else:
                raise InputError(f"{name} has a shape of the kind {kind}; make it a polygon, a rectangle, a line or a point.")
    except InputError:
        raise
    except (TypeError, ValueError, IndexError, ArithmeticError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} is not a labelme file ({error}).") from error
    area = Annotation() if marks and len(marks) == len(shapes) else Annotation.from_mask(np.array(picture), classes)
    return area + Annotation(marks=marks)


def _read_coco(coco: dict[str, Any], name: str) -> Iterator[tuple[str, Callable[[], Annotation]]]:
    try:
        categories = {item["id"]: str(item["name"]) for item in coco["categories"]}
        classes = [BACKGROUND, *(kind for kind in dict.fromkeys(categories.values()) if kind != BACKGROUND)]
        regions: dict[Any, list[tuple[int, Any]]] = {item["id"]: [] for item in coco["images"]}
        for item in coco["annotations"]:
            regions[item["image_id"]].append((classes.index(categories[item["category_id"]]), _coco_shape(item)))
        photos = [(str(i["file_name"]), (int(i["width"]), int(i["height"])), regions[i["id"]]) for i in coco["images"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _not_coco(name, error) from error
    for photo, size, parts in photos:
        yield photo, partial(_filled, parts, size, classes, name)


def _coco_shape(item: dict[str, Any]) -> Any:
    """An annotation's segmentation; of those that have a box only, which are for detection, its corners."""
    if item.get("segmentation"):
        return item["segmentation"]
    x, y, width, height = item["bbox"]
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def _filled(parts: list[tuple[int, Any]], size: tuple[int, int], classes: Sequence[str], name: str) -> Annotation:
    labels = np.zeros(_checked(size, name)[::-1], np.uint16)
    present = sorted({0, *(label for label, _ in parts)})  # there may be more classes than an annotation can have
    try:
        for label, segmentation in parts:
            box, inside = coco_region(segmentation, size)
            labels[box][inside] = present.index(label)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise _not_coco(name, error) from error
    return Annotation.from_mask(labels, [classes[label] for label in present])


def _finite(corners: Any) -> np.ndarray:
    """Corners as floats. Raises ValueError for what is not a number, as JSON and text may have it."""
    corners = np.array(corners, float)
    if not np.isfinite(corners).all():
        raise ValueError("a corner is not a number")
    return corners


def _checked(size: tuple[int, int], name: str) -> tuple[int, int]:
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise InputError(f"{name} is about a photo of {size[0]}x{size[1]} pixels, and there is none such.")
    return size


def _not_coco(name: str, error: Exception) -> InputError:
    return InputError(f"{name} is not COCO JSON with segmentations or boxes ({type(error).__name__}: {error}).")


def _decompressed(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if shift > 60:
            raise ValueError("a length in it does not end")
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
