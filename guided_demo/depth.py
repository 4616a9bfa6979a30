"""Pixels of more than 8 bits as 8: cameras and microscopes count in 12, 16 or 32, and seldom use all of them."""

import numpy as np

from guided_demo.errors import InputError

WITHIN = (0.1, 99.9)  # percentiles: a few hot pixels, a thousand times as bright as the rest, must not turn that black
DIM = 1 / 4  # of white: what is darker than this everywhere was not meant to be seen as it is


def to_8_bit(array: np.ndarray, name: str) -> np.ndarray:
    """Pixels of any depth as uint8 of the same shape, all channels but opacity by one measure.

    array: HxW, HxWx3 or HxWx4 of bool, whole numbers or floats. What a picture of 8 bits would have, 0 to 255, and floats from
    0 to 1 stay as bright as they are, unless all is below DIM; floats may overshoot by a quarter, as they do where a photo was
    resampled. Anything else is stretched between the percentiles WITHIN, or, where these are one number, as of a few stars in
    the dark, between the least and the largest. What is no number is black.
    name: what an error calls the image. Raises InputError for pixels of another type.
    """
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} has pixels of type {array.dtype}; give uint8, uint16 or float.")
    if array.ndim == 3 and array.shape[2] == 4:
        opacity = array[..., 3:]
        full = 1 if array.dtype.kind == "f" and opacity.max() <= 1 else 255 if opacity.max() <= 255 else 65535
        return np.concatenate([to_8_bit(array[..., :3], name), _scaled(opacity, 0, full)], axis=2)
    return _scaled(array, *_range(array))


def _range(array: np.ndarray) -> tuple[float, float]:
    """What becomes black and what becomes white."""
    values = array[np.isfinite(array)]
    if not values.size:
        return 0, 1
    low, high = map(float, np.percentile(values, WITHIN))
    if low == high:
        low, high = float(values.min()), float(values.max())
    for white, over in ((1, 1.25), (255, 1.25)) if array.dtype.kind == "f" else ((255, 1),):
        if -DIM * white <= low and DIM * white <= high <= over * white:
            return 0, white
    return (low, high) if low < high else (min(low, 0), max(high, 0))


def _scaled(array: np.ndarray, low: float, high: float) -> np.ndarray:
    values = np.nan_to_num(array.astype(np.float32), nan=low, posinf=high, neginf=low)
    return np.clip((values - low) * (255 / (high - low or 1)) + 0.5, 0, 255).astype(np.uint8)
