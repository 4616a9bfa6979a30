"""Pictures that tests make up."""

import io

import numpy as np
from PIL import Image


def photo(seed, size=(80, 60)):
    """Smooth coloured blobs, so that features differ from place to place; the same for the same seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def photo_bytes(seed, size=(80, 60), form="PNG"):
    """The same as a file."""
    return file_of(photo(seed, size), form)


def file_of(picture, form="PNG"):
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()
