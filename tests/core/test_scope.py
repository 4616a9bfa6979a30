from collections import deque

import numpy as np
import torch
from PIL import Image, ImageDraw

from guided_demo import Annotation, GuidedSegmenter
from guided_demo.core.scope import marked_regions


def flooded(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """What can be walked to from the seeds without leaving the mask, up, down and to the sides."""
    reached, todo = np.zeros_like(mask), deque(zip(*np.nonzero(seeds & mask), strict=True))
    while todo:
        y, x = todo.popleft()
        if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not reached[y, x]:
            reached[y, x] = True
            todo.extend([(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)])
    return reached


def test_what_is_kept_can_be_walked_to_from_a_mark_of_the_class_and_all_else_is_turned_over():
    torch.manual_seed(0)
    logits, marks = torch.randn(3, 12, 20), torch.rand(3, 12, 20) > 0.97
    marks[2] = False
    found = marked_regions(logits, marks)
    for given, marked, kept in zip(logits.numpy(), marks.numpy(), found.numpy(), strict=True):
        assert np.array_equal(kept > 0, flooded(given > 0, marked))
        assert np.array_equal(np.abs(kept), np.abs(given)) and np.array_equal(kept[given <= 0], given[given <= 0])
    assert (found[:2] > 0).any((1, 2)).all() and not (found[2] > 0).any()


def test_of_two_things_that_look_the_same_the_one_that_is_marked_is_kept():
    picture = Image.effect_noise((320, 240), 30).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 70, 130, 160), fill=(200, 30, 30))
    draw.ellipse((190, 70, 280, 160), fill=(200, 30, 30))
    marks = Annotation(points=[(85, 115, "thing"), (160, 20, "background"), (160, 220, "background")])
    segmenter = GuidedSegmenter.load()
    guidance = segmenter.guide(picture, marks)
    everywhere, alone = (segmenter.segment(picture, guidance, marks, scope).labels for scope in ("everywhere", "object"))
    assert everywhere[115, 85] == everywhere[115, 235] == 1
    assert alone[115, 85] == 1 and not alone[:, 165:].any()
    assert (alone[80:150, 60:110] == 1).mean() > 0.9
