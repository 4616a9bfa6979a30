"""A label map and its classes, for the tests of what is taken in."""

import numpy as np
from scipy.ndimage import gaussian_filter

from guided_demo.session import ClassItem

NAMES = ("background", "cat", "dog")
CLASSES = tuple(ClassItem(name, "#000000") for name in NAMES)
LABELS = gaussian_filter(np.random.default_rng(0).random((3, 40, 50)), (0, 3, 3)).argmax(0).astype(np.uint8)
