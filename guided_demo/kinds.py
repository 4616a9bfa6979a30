"""What kind of file somebody brings, and of masks whether they number classes or things."""

import io
from pathlib import PurePosixPath

import numpy as np
from PIL import Image
from scipy import ndimage

from .files import SUFFIXES
from .imports import ONE_NUMBER

CLASS_LISTS = ("classes.txt", "data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
MOST_NUMBERS = 64  # or colours, in a mask; a photo has more
MOST_THINGS = 10_000  # that a picture of 16 bits numbers; a photo has more values, with gaps between them
MOST_CLASSES = 8  # of one region each, in a mask whose numbers nobody names; where there are more, each is a thing
ZIPS = (b"PK\x03\x04", b"PK\x05\x06")  # the second is an empty one


def kind_of(name: str, data: bytes, is_among_others: bool) -> str | None:
    """A key of `incoming.KINDS`; None for a file of another kind, where it lay in a folder or a zip with others."""
    path = PurePosixPath(name.lower())
    if path.name in CLASS_LISTS:
        return "class list"
    if data.startswith(ZIPS):
        return "project"
    by_suffix = {".safetensors": "guidance", ".json": "annotations", ".txt": "outlines"}
    if path.suffix in by_suffix and not (path.suffix == ".txt" and not _numbers(data)):
        return by_suffix[path.suffix]
    if path.suffix not in SUFFIXES and path.suffix and is_among_others:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "TIFF", "BMP")) as image:
            # A grey photo has to be there before its mask is looked at, whatever order they come in.
            # In colours, too; but that takes long to find out of a photo, which has more bytes.
            if image.mode not in ONE_NUMBER and len(data) > image.width * image.height:
                return "photo"
            numbers = image.convert("I") if image.mode.startswith("I;") else image  # of 16 bits, which cannot be counted
            is_mask = numbers.getcolors(MOST_NUMBERS) is not None or (image.mode != numbers.mode and _counts(numbers))
            return "mask" if is_mask else "photo"
    except Exception:  # a photo of another format, or one that reading will say more about
        return "photo"


def _counts(numbers: Image.Image) -> bool:
    """Whether all numbers from 0 to the largest are there, as where each thing in a photo has a number of its own."""
    values = np.unique(np.asarray(numbers))
    return len(values) <= MOST_THINGS and values[0] == 0 and values[-1] == len(values) - 1


def _numbers(data: bytes) -> bool:
    """Whether a text file has numbers only, as YOLO's have."""
    return not data.translate(None, b"0123456789.eE+- \t\r\n")


def count_things(image: Image.Image) -> int:
    """How many numbers a mask has where it is each thing that has one of its own, and not each class; else 0.

    That is certain where they are more than MOST_NUMBERS, and where they are 1, 2, 3 … up to more than MOST_CLASSES, 255 aside,
    each of which is one connected region.
    """
    numbers = np.asarray(image)
    if image.mode == "1":
        return 0
    values = np.unique(numbers)
    if image.mode.startswith("I;") and len(values) > MOST_NUMBERS:  # of others it is no mask, see `kind_of`
        return len(values)
    things = values[(values != 0) & (values != 255)]
    if len(things) <= MOST_CLASSES or things[0] != 1 or things[-1] != len(things):
        return 0
    boxes = ndimage.find_objects(numbers.astype(np.int32), len(things))
    parts = (ndimage.label(numbers[box] == thing, np.ones((3, 3)))[1] for thing, box in enumerate(boxes, 1))
    return len(things) if all(count == 1 for count in parts) else 0
