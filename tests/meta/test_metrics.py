"""Measures against loops over pixels."""

import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from guided_demo.meta import metrics


@pytest.fixture
def masks():
    """Pairs of blobs that overlap in part, and pixels that nobody labelled."""
    generator = np.random.default_rng(3)
    rows, columns = np.mgrid[:40, :50]

    def blob():
        y, x, r = generator.uniform(8, 32), generator.uniform(8, 42), generator.uniform(5, 14)
        return (rows - y) ** 2 + (columns - x) ** 2 < r**2

    return [(blob(), blob(), generator.random((40, 50)) > 0.1) for _ in range(6)]


def naive_count(prediction, truth, known):
    found = [0, 0, 0, 0]
    for p, t, k in zip(prediction.flat, truth.flat, known.flat, strict=True):
        if k:
            found[0 if p and t else 1 if p else 2 if t else 3] += 1
    return found


def test_counts_and_what_is_made_of_them(masks):
    counts = np.array([metrics.count(*m) for m in masks])
    assert counts.tolist() == [naive_count(*m) for m in masks]
    tp, fp, fn, tn = counts.sum(0)
    assert metrics.positive_iu(counts) == pytest.approx(tp / (tp + fp + fn))
    each = [a / (a + b + c) for a, b, c, _ in counts.tolist()]
    assert metrics.mean_iou(counts) == pytest.approx(sum(each) / 6)
    assert metrics.fb_iou(counts) == pytest.approx((tp / (tp + fp + fn) + tn / (tn + fp + fn)) / 2)
    by_class = [counts[which].sum(0) for which in ([0, 2, 3], [1, 4], [5])]
    classes = ["cat", "dog", "cat", "cat", "dog", "cow"]
    assert metrics.class_miou(counts, classes) == pytest.approx(np.mean([c[0] / c[:3].sum() for c in by_class]))


def test_nothing_there_and_nothing_found_is_right():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert metrics.iou(metrics.count(empty, empty)) == 1
    assert metrics.iou(metrics.count(full, empty)) == 0
    assert metrics.boundary_f(empty, empty) == 1
    point = np.eye(4, dtype=bool) & (np.arange(4) == 2)
    assert metrics.boundary_f(point, empty) == metrics.boundary_f(empty, point) == 0


def test_boundaries_far_apart_have_nothing_in_common():
    left, right = np.zeros((2, 30, 60), bool)
    left[5:20, 5:10] = right[5:20, 40:50] = True
    assert metrics.boundary_f(left, right) == 0


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="does not fit"):
        metrics.count(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


def naive_boundary(mask):
    h, w = mask.shape
    found = np.zeros_like(mask)
    for y in range(h):
        for x in range(w):
            right = mask[y, min(x + 1, w - 1)]
            below = mask[min(y + 1, h - 1), x]
            diagonal = mask[min(y + 1, h - 1), min(x + 1, w - 1)]
            found[y, x] = any(other != mask[y, x] for other in (right, below, diagonal))
    return found


def naive_f(prediction, truth):
    """DAVIS's definition: match within boundaries dilated by a disk."""
    ours, theirs = naive_boundary(prediction), naive_boundary(truth)
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = x**2 + y**2 <= radius**2
    precision = (ours & binary_dilation(theirs, disk)).sum() / ours.sum()
    recall = (theirs & binary_dilation(ours, disk)).sum() / theirs.sum()
    return 2 * precision * recall / (precision + recall)


def test_boundary_f_is_that_of_davis(masks):
    for prediction, truth, _ in masks:
        assert metrics.boundary_f(prediction, truth) == pytest.approx(naive_f(prediction, truth))
        assert metrics.boundary_f(truth, truth) == 1


def test_the_next_click_is_in_the_middle_of_the_widest_error():
    truth, prediction = np.zeros((30, 60), bool), np.zeros((30, 60), bool)
    truth[5:14, 10:19] = True  # missed: 9 wide
    prediction[20:25, 30:58] = True  # false: 5 wide, larger in area
    known, clicked = np.ones_like(truth), np.zeros_like(truth)
    assert metrics.next_click(prediction, truth, known, clicked) == (14, 9, True)
    known[5:14, 10:19] = False
    column, row, is_object = metrics.next_click(prediction, truth, known, clicked)
    assert (row, is_object) == (22, False) and prediction[row, column]
    clicked[row, column] = True
    assert metrics.next_click(prediction, truth, known, clicked)[:2] != (column, row)
    assert metrics.next_click(truth, truth, known, clicked) is None


def test_errors_at_the_border_are_clicked_inside_them():
    truth = np.zeros((20, 20), bool)
    truth[:8, :8] = True
    known = np.ones_like(truth)
    column, row, _ = metrics.next_click(np.zeros_like(truth), truth, known, ~known)
    assert 2 <= column <= 5 and 2 <= row <= 5


def test_clicks_needed():
    ious = [0.3, 0.86, 0.84, 0.91]
    assert metrics.clicks_needed(ious, 0.85) == 2
    assert metrics.clicks_needed(ious, 0.90) == 4
    assert metrics.clicks_needed(ious, 0.95) == 20


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    inside = 0
    for seed in range(100):
        interval = metrics.bootstrap(generator.normal(0.6, 0.2, size=50), draws=200, seed=seed)
        assert interval.low <= interval.value <= interval.high
        inside += interval.low <= 0.6 <= interval.high
    assert 86 <= inside <= 100


@pytest.mark.parametrize(("level", "deviations"), [(0.95, 1.96), (0.5, 0.674)])
def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_has_it(level, deviations):
    values = np.random.default_rng(0).normal(size=400)
    interval = metrics.bootstrap(values, level=level, draws=4000)
    expected = values.mean() + np.array([-1, 1]) * deviations * values.std() / 20
    assert [interval.low, interval.high] == pytest.approx(expected, abs=0.008)


def test_the_bootstrap_of_a_pooled_measure_is_seeded(masks):
    counts = np.array([metrics.count(*m) for m in masks])
    first = metrics.bootstrap(counts, metrics.positive_iu, seed=4)
    assert first == metrics.bootstrap(counts, metrics.positive_iu, seed=4)
    assert first.value == metrics.positive_iu(counts)
