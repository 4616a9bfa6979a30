"""Pictures that tests make up."""

import io

import numpy as np
from PIL import Image


def photo_bytes(seed, size=(80, 60)):
    """A PNG of smooth noise, the same for the same seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()
