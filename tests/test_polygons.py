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


def test_polygons_fill_to_the_mask_they_came_from():
    for mask in random_masks(150):
        outlines = polygons(mask)
        assert len(outlines) == label(mask)[1]  # one for each 4-connected part
        assert np.array_equal(fill(outlines, mask.shape[::-1]), mask)


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
    assert not fill([], (4, 3)).any()


@pytest.mark.parametrize("seed", range(5))
def test_fill_against_a_naive_loop(seed):
    rng = np.random.default_rng(seed)
    outlines = [rng.uniform(-5, 25, (7, 2)), rng.uniform(-5, 25, (3, 2))]
    assert np.array_equal(fill(outlines, (20, 14)), naive_fill(outlines, (14, 20)))
