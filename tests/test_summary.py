"""Shares, uncertainty and the suggested click, on masks whose answer is known."""

import numpy as np
import pytest

from guided_demo import Annotation
from guided_demo.summary import doubt, small, summarize


class Known:
    """A result whose probabilities are given for blocks of a 4x5 grid."""

    classes = ("background", "cat", "dog")

    def __init__(self, blocks):
        self.blocks = np.asarray(blocks, float)

    def probabilities_at(self, size):
        y = np.arange(size[1]) * self.blocks.shape[1] // size[1]
        x = np.arange(size[0]) * self.blocks.shape[2] // size[0]
        return self.blocks[:, y[:, None], x]

    def labels_at(self, size, unsure):
        probabilities = self.probabilities_at(size)
        return np.where(probabilities.max(0) < unsure, 255, probabilities.argmax(0)).astype(np.uint8)


@pytest.mark.parametrize("size", [(500, 400), (50, 40), (4000, 3200)])
def test_the_click_is_in_the_most_uncertain_region(size):
    blocks = np.zeros((3, 4, 5))
    blocks[0] = 1
    blocks[:, 1, 3] = 0.45, 0.5, 0.05
    blocks[:, 3, 0] = 0.1, 0.1, 0.8
    summary = summarize(Known(blocks), size)
    assert summary.shares == pytest.approx({"background": 18 / 20, "cat": 1 / 20, "dog": 1 / 20}, abs=0.02)
    assert summary.uncertainty == pytest.approx((0.95 + 0.3) / 20, abs=0.01)
    sure = summarize(Known(blocks), size, unsure=0.7)
    assert sure.shares == pytest.approx({"background": 18 / 20, "cat": 0, "dog": 1 / 20}, abs=0.02)
    assert (sure.uncertainty, sure.click) == (summary.uncertainty, summary.click)
    x, y = summary.click
    assert 0.6 < x / size[0] < 0.8
    assert 0.25 < y / size[1] < 0.5


def test_a_view_is_shrunk_and_never_enlarged():
    assert [small(size) for size in ((4000, 3200), (3, 900), (128, 20), (50, 40))] == [(128, 102), (1, 128), (128, 20), (50, 40)]


def test_doubt_is_the_margin_of_the_two_likeliest():
    probabilities = np.random.default_rng(0).dirichlet((1, 1, 1, 1), (6, 7)).transpose(2, 0, 1)
    for y, x in np.ndindex(6, 7):
        first, second = sorted(probabilities[:, y, x])[:-3:-1]
        assert doubt(probabilities)[y, x] == pytest.approx(1 - first + second)
    assert doubt(np.ones((1, 2, 2))).tolist() == [[0, 0], [0, 0]]


def test_real_results_have_summaries(segmenter):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    guidance = segmenter.guide(image, Annotation(points=[(5, 5, "cat"), (50, 30, "background")]))
    summary = summarize(segmenter.segment(image, guidance), (60, 40))
    assert sum(summary.shares.values()) == pytest.approx(1)
    assert 0 <= summary.uncertainty <= 1
    assert 0 <= summary.click[0] <= 60
    assert 0 <= summary.click[1] <= 40
