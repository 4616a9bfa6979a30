"""Polygons against naive loops and Pillow's own filling, on masks full of holes, islands and diagonal touches."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, label

from guided_demo.polygons import fill, polygons


def random_masks(count):
    rng = np.random.default_rng(0)
    for number in range(count):
        size = tuple(rng.integers(1, 24, 2))
        if number % 3:
            yield rng.random(size) < rng.choice([0.2, 0.5, 0.8, 0.95])
        else:
            yield gaussian_filter(rng.random(size), 1.5) > 0.5


def naive_fill(outlines, shape):
    """Even-odd: a pixel is inside if an odd number of edges lies left of its centre."""
    filled = np.zeros(shape, bool)
    for y, x in np.ndindex(shape):
        for outline in outlines:
            crossings = 0
            for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, 0), strict=True):
                if min(y0, y1) <= y + 0.5 < max(y0, y1):
                    crossings += x0 + (y + 0.5 - y0) / (y1 - y0) * (x1 - x0) < x + 0.5
            filled[y, x] |= crossings % 2 == 1
    return filled


def fill_whole(outlines, size):
    """`fill` as HxW bool of the image."""
    whole = np.zeros(size[::-1], bool)
    box, inside = fill(outlines, size)
    assert whole[box].shape == inside.shape
    whole[box] = inside
    return whole


def fill_on_whole_images(outlines, size):
    """`fill` as it can be said most shortly, each outline on all of the image."""
    width, height = size
    filled = np.zeros((height, width), bool)
    for outline in outlines:
        flips = np.zeros((height, width + 1), np.uint8)
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, 0), strict=True):
            low, high = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, height).astype(int)
            rows = np.arange(low, high)
            x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0)) if low < high else rows
            np.add.at(flips, (rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), 1)
        filled |= np.cumsum(flips[:, :-1], axis=1, dtype=np.uint8) % 2 == 1
    return filled


def random_outline(rng, size):
    """Anything from no point at all to a tangle, in an image of `size`, over its edges or far from it; also with its points on
    the edges and the centres of pixels or a rounding error beside them, on a line, or all in one place."""
    middle = rng.uniform(-1.5, 2.5, 2) * size if rng.integers(2) else np.divide(size, 2)
    outline = middle + rng.uniform(-1, 1, (rng.integers(9), 2)) * size * rng.choice([0.2, 1, 3, 1e3, 1e9])
    match rng.integers(5):
        case 0:
            outline = np.round(outline * 2) / 2
        case 1:
            outline = (np.round(outline) + 0.5) * (1 + rng.choice([0, 2e-16, -2e-16], outline.shape))
        case 2:
            outline[:, rng.integers(2)] = 3.5
        case 3:
            outline[:] = outline[:1]
    return outline


def test_polygons_fill_to_the_mask_they_came_from():
    for mask in random_masks(150):
        outlines = polygons(mask)
        assert len(outlines) == label(mask)[1]  # one for each 4-connected part
        assert np.array_equal(fill_whole(outlines, mask.shape[::-1]), mask)


def test_inset_polygons_drawn_with_their_outline_give_the_mask():
    for mask in random_masks(150):
        drawn = np.zeros(mask.shape, bool)
        for outline in polygons(mask, inset=True):
            picture = Image.new("1", mask.shape[::-1])
            ImageDraw.Draw(picture).polygon([tuple(point) for point in outline], outline=1, fill=1)
            drawn |= np.asarray(picture)
        assert np.array_equal(drawn, mask)


def test_a_square_is_its_four_corners():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    assert sorted(map(tuple, polygons(mask)[0])) == [(2, 1), (2, 4), (7, 1), (7, 4)]
    assert sorted(map(tuple, polygons(mask, inset=True)[0])) == [(2, 1), (2, 3), (6, 1), (6, 3)]


def test_nothing_has_no_polygons():
    assert polygons(np.zeros((5, 5), bool)) == []
    assert not fill_whole([], (4, 3)).any()


@pytest.mark.parametrize("seed", range(5))
def test_fill_against_a_naive_loop(seed):
    rng = np.random.default_rng(seed)
    outlines = [rng.uniform(-5, 25, (7, 2)), rng.uniform(-5, 25, (3, 2))]
    assert np.array_equal(fill_whole(outlines, (20, 14)), naive_fill(outlines, (14, 20)))


def test_fill_is_the_same_as_on_whole_images_for_outlines_of_all_kinds():
    rng = np.random.default_rng(0)
    for _ in range(1500):
        size = tuple(rng.integers(1, 30, 2).tolist())
        outlines = [random_outline(rng, size) for _ in range(rng.integers(4))]
        assert np.array_equal(fill_whole(outlines, size), fill_on_whole_images(outlines, size))


def test_what_is_filled_is_told_of_where_the_outlines_are_only():
    near = np.array([[2000, 1000], [2080, 1010], [2030.5, 1079]])
    away = near + (60, 20)
    outside = near - (0, 5000)
    (rows, columns), inside = fill([near, outside, away], (6000, 4000))
    assert inside.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert 998 <= rows.start <= 1000 and 1099 <= rows.stop <= 1101
    assert 1998 <= columns.start <= 2000 and 2140 <= columns.stop <= 2142
    corner = (columns.start, rows.start)
    assert np.array_equal(inside, fill_on_whole_images([near - corner, away - corner], inside.shape[::-1]))
