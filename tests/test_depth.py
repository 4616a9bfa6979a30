"""Pictures of more than 8 bits, from arrays and from files as tifffile writes them, are seen whatever their range."""

import io

import numpy as np
import pytest
import tifffile

from guided_demo.depth import to_8_bit
from guided_demo.files import read_image


def tiff(array):
    tifffile.imwrite(buffer := io.BytesIO(), array)
    return buffer.getvalue()


def seen(source):
    return np.asarray(read_image(source), float)[..., 0]


@pytest.fixture
def field():
    """Cells on a dark ground, as a camera of 12 bits counts them."""
    y, x = np.mgrid[:120, :160]
    cells = (np.hypot(x % 40 - 20, y % 40 - 20) < 9) * 1500 + 300
    return (cells + np.random.default_rng(0).normal(0, 20, cells.shape)).round()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32, np.float32])
def test_a_few_hot_pixels_leave_the_rest_as_bright_as_it_was(field, dtype):
    calm, hot = field.astype(dtype), field.astype(dtype)
    hot[5, [3, 70, 140]] = 60_000
    for spoilt in (hot, tiff(hot)):
        assert np.abs(seen(spoilt) - seen(calm)).mean() < 2
    assert seen(hot)[20, 20] - seen(hot)[0, 0] > 200


@pytest.mark.parametrize("low, high, dtype", [
    (0, 0.02, np.float32), (-3, 4, np.float32), (1e5, 3e5, np.float32), (900, 1400, np.uint16), (0, 9, np.uint16),
    (-1000, 3000, np.int16),
])  # fmt: skip
def test_whatever_the_range_all_of_it_is_told_apart(low, high, dtype):
    ramp = np.linspace(low, high, 4000).reshape(40, 100)
    ramp = (ramp if dtype == np.float32 else ramp.round()).astype(dtype)
    levels = seen(tiff(ramp)).ravel()
    assert (levels.min(), levels.max()) == (0, 255) and (np.diff(levels) >= 0).all()
    assert np.abs(levels - np.interp(ramp.ravel().astype(float), [low, high], [0, 255])).max() < 2


def test_an_array_is_seen_as_the_file_that_has_the_same(field):
    for array in (field.astype(np.uint16), field.astype(np.float32), (field / 5000).astype(np.float32)):
        assert np.array_equal(seen(array), seen(tiff(array)))


@pytest.mark.parametrize("make", [lambda a: a.astype(np.int64), lambda a: a.astype(float), lambda a: a / 255])
def test_a_picture_of_8_bits_in_another_type_stays_the_same_picture(make):
    photo = np.random.default_rng(0).integers(20, 180, (30, 40, 3), np.uint8)
    assert np.array_equal(to_8_bit(make(photo), "it"), photo)
    faint = np.dstack([photo, photo[..., :1]])
    assert np.array_equal(to_8_bit(make(faint), "it"), faint)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_few_stars_in_the_dark_stay(dtype):
    sky = np.full((100, 100), 12, dtype)
    sky[40, 40:44] = 700
    for source in (sky, tiff(sky)):
        assert np.argwhere(seen(source) > 200).tolist() == [[40, x] for x in range(40, 44)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0, 7, 1000, 65535, -5.0, 0.001, np.nan, np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (3, 50)])
def test_one_number_everywhere_is_one_grey(value, shape):
    array = np.full(shape, value, np.float32 if isinstance(value, float) else np.uint16)
    assert np.ptp(seen(tiff(array))) == 0


def test_two_pixels_are_black_and_white():
    assert seen(tiff(np.array([[300, 1000]], np.uint16))).tolist() == [[0, 255]]


def test_colours_of_12_bits_are_seen_and_keep_their_hue(field):
    rgb = np.stack([field, field / 2, field / 8], 2).astype(np.uint16)
    for source in (rgb, tiff(rgb)):
        red, green, blue = np.asarray(read_image(source), float)[20, 20]
        assert red > 220 and 100 < green < 150 and blue < 60


def test_opacity_is_no_brightness(field):
    rgba = np.dstack([np.stack([field] * 3, 2), np.full(field.shape, 65535)]).astype(np.uint16)
    assert np.array_equal(seen(rgba), seen(rgba[..., :3]))
