"""Pictures and masks as files, from which tests build tiny copies of public layouts."""

import numpy as np
from PIL import Image


def picture(path, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path, numbers):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(numbers, np.uint8), "P")
    image.putpalette([i * 7 % 256 for i in range(768)])
    image.save(path)


def halves(left, right):
    numbers = np.zeros((8, 12), np.uint8)
    numbers[:, :6], numbers[:, 6:] = left, right
    return numbers
