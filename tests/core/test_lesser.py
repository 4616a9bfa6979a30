"""Regions of a mask that are lesser than its surest one."""

import numpy as np
import pytest
import torch

from guided_demo.core.encoder import GROUPS, SEMANTIC
from guided_demo.core.lesser import ALIKE, ENOUGH, MARKED, STEEP, doubt_lesser

SURE, LESS, SMALL = (slice(0, 8), slice(0, 8)), (slice(0, 8), slice(16, 24)), (slice(16, 20), slice(20, 24))


def scene(less=3.0, small=4.0):
    """Logits (1, 24, 32) with three regions, whose places look like the class."""
    logits = torch.full((1, 24, 32), -5.0)
    for region, value in zip((SURE, LESS, SMALL), (6.0, less, small), strict=True):
        logits[(0, *region)] = value
    known = torch.randn(1, SEMANTIC, generator=torch.Generator().manual_seed(0))
    return logits, known[0][:, None, None].repeat(1, 6, 8), known, torch.zeros(1, 24, 32, dtype=torch.bool)


def unlike(semantic, known, cosine):
    """The second group of the descriptor turned away from the class, where LESS is: a cosine of so much."""
    middle = slice(GROUPS[0], GROUPS[0] + GROUPS[1])
    own = known[0, middle] / known[0, middle].norm()
    other = torch.roll(own, 1) - (torch.roll(own, 1) @ own) * own
    semantic[middle, 0:2, 4:6] = (cosine * own + (1 - cosine**2) ** 0.5 * other / other.norm())[:, None, None]


def test_a_region_that_is_sure_enough_and_like_the_class_stays():
    scenery = scene()
    assert torch.equal(doubt_lesser(*scenery), scenery[0])


@pytest.mark.parametrize(("less", "cosine"), [(0.6, 1.0), (3.0, 0.7), (1.5, 0.9), (6.0, 0.2)])
def test_the_less_sure_and_the_less_like_the_class_the_more_is_lost(less, cosine):
    logits, semantic, known, marks = scene(less)
    unlike(semantic, known, cosine)
    found = doubt_lesser(logits, semantic, known, marks)
    lost = STEEP * max(0, ENOUGH - (less / 6 + ALIKE * (cosine - 1)))
    assert lost > 0 and np.allclose(found[(0, *LESS)], less - lost, atol=1e-3)
    found[(0, *LESS)] = logits[(0, *LESS)]
    assert torch.equal(found, logits)  # nothing else changes


def test_what_is_marked_stays_and_marks_lower_the_doubt():
    logits, semantic, known, marks = scene(0.6, 0.5)
    before = doubt_lesser(logits, semantic, known, marks)
    marks[0, 3:5, 17:19] = True
    found = doubt_lesser(logits, semantic, known, marks)
    assert torch.equal(found[(0, *LESS)], logits[(0, *LESS)])
    lost = [(logits - each)[(0, *SMALL)] for each in (before, found)]
    assert (lost[0] > 0).all() and torch.allclose(lost[1], lost[0] * MARKED / (MARKED + 4), atol=1e-4)


def test_each_class_is_measured_by_its_own_surest_region_and_one_region_alone_stays():
    logits, semantic, known, marks = scene(0.6)
    weak = torch.full_like(logits, -5.0)
    weak[(0, *LESS)] = 0.6
    both = doubt_lesser(torch.cat([logits, weak]), semantic, known.repeat(2, 1), marks.repeat(2, 1, 1))
    assert torch.equal(both[:1], doubt_lesser(logits, semantic, known, marks)) and torch.equal(both[1:], weak)


def test_a_mask_of_nothing_stays():
    logits, semantic, known, marks = scene()
    nothing = torch.full_like(logits, -3.0)
    assert torch.equal(doubt_lesser(nothing, semantic, known, marks), nothing)
