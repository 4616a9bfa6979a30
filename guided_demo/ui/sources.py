"""The images that someone means by a path, a pattern, a picture or a list of these."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from ..files import SUFFIXES, ImageSource, list_images


def named_images(images: Any) -> Iterator[tuple[str, ImageSource]]:
    """What `annotate` was given, as pairs of a name and an image to read.

    images: a path, a folder or a pattern such as "photos/*.jpg", an image of any other kind, an array of several, a list of
        these, or a dict of images by name. Raises InputError where a folder or a pattern has no image, or the one path that
        was given is not there; one of several is left to whoever reads it.
    """
    if isinstance(images, Mapping):
        yield from ((str(name), image) for name, image in images.items())
        return
    one = isinstance(images, str | os.PathLike | bytes | Image.Image) or hasattr(images, "read")
    if one or (isinstance(images, np.ndarray) and images.ndim < 4):
        images = [images]
    if not isinstance(images, Iterable):
        raise InputError(f"images is a {type(images).__name__}; give a path, a folder, a pattern, an image, or a list of these.")
    for number, image in enumerate(images, 1):
        if isinstance(image, str | os.PathLike):
            path = os.path.expanduser(image)
            lacks = not one and not os.path.exists(path) and not glob.has_magic(path)
            yield from [(path, Path(path))] if lacks else _files(path)
        else:
            yield f"image {number}", image


def _files(path: str) -> Iterator[tuple[str, Path]]:
    """The image at a path, those of a folder, or those that fit a pattern, named from where the pattern begins."""
    if os.path.exists(path):
        found = list(list_images([path]))
    else:
        base = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(path).parts))
        fitting = map(Path, sorted(glob.glob(path, recursive=True)))
        found = [(file.relative_to(base).as_posix(), file) for file in fitting if file.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"There are no images at {path}; the notebook's folder is {Path.cwd()}.")
    yield from found
