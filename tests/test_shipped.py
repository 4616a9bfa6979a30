"""The checkpoint that is shipped, on real photographs."""

import hashlib
from pathlib import Path

import gradio
import numpy as np
import pytest

from guided_demo import Annotation, Guidance, GuidedSegmenter
from guided_demo.core.checkpoint import WEIGHTS, find, read

GRADIO = Path(gradio.__file__).parent
CHEETAH, RUNNING, CUB = (
    GRADIO / "media_assets/images/cheetah1.jpg",
    GRADIO / "media_assets/images/cheetah.jpg",
    GRADIO / "test_data/cheetah2.jpg",
)
TOWER, LION = GRADIO / "media_assets/images/tower.jpg", GRADIO / "media_assets/images/lion.jpg"
CLICKS = Annotation(points=[(128, 110, "cheetah"), (100, 220, "cheetah"), (20, 200, "background"), (235, 60, "background")])


@pytest.fixture(scope="module")
def segmenter():
    return GuidedSegmenter.load()


def test_the_file_says_what_it_is():
    path = find("default")
    assert path.stat().st_size <= 16e6
    _, metadata, _ = read(path)
    assert {"config", "side", "training", "data", "seed", "command", "results", "held_out"} <= set(metadata)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in (WEIGHTS / "README.md").read_text()


def share(segmenter, photo, guidance, own=None):
    return (segmenter.segment(photo, guidance, own).labels > 0).mean()


def test_clicks_on_one_cheetah_find_the_others_and_not_the_tower(segmenter):
    guidance = segmenter.guide(CHEETAH, CLICKS)
    assert 0.5 < share(segmenter, CHEETAH, guidance, CLICKS) < 0.75
    assert 0.35 < share(segmenter, CUB, guidance) < 0.7
    assert 0.02 < share(segmenter, RUNNING, guidance) < 0.12
    assert share(segmenter, TOWER, guidance) < 0.01


def test_clicks_on_the_background_take_the_lion_out_of_the_mask(segmenter):
    guidance = segmenter.guide(CHEETAH, CLICKS)
    lion = Annotation(points=[(125, 60, "background"), (125, 125, "background"), (60, 120, "background")])
    shares = [share(segmenter, LION, guidance, Annotation(points=lion.points[:count])) for count in range(4)]
    assert shares[0] > 0.5 and shares[1] < 0.4 and shares[3] < 0.1


def test_a_click_on_the_background_leaves_what_is_right(segmenter):
    """It took seven eighths of a cheetah that was found well, far from the click."""
    guidance = segmenter.guide(CHEETAH, Annotation(points=[(128, 128, "cheetah"), (8, 8, "background")]))
    before = segmenter.segment(RUNNING, guidance).labels > 0
    corner = Annotation(points=[(before.shape[1] - 9, 9, "background")])
    after = segmenter.segment(RUNNING, guidance, corner).labels > 0
    assert before.mean() > 0.05 and (before & after).sum() > 0.9 * before.sum()


def test_masks_follow_the_guidance_when_classes_are_exchanged(segmenter):
    swapped = Annotation(points=[(p.x, p.y, "background" if p.label == "cheetah" else "cheetah") for p in CLICKS.points])
    a = segmenter.segment(CUB, segmenter.guide(CHEETAH, CLICKS)).labels > 0
    b = segmenter.segment(CUB, segmenter.guide(CHEETAH, swapped)).labels > 0
    assert (a & b).sum() / a.sum() < 0.1 and (a | b).mean() > 0.8


def test_two_classes_are_told_apart(segmenter):
    lion = Annotation(points=[(125, 60, "lion"), (90, 150, "lion"), (20, 20, "background")])
    guidance = segmenter.guide(CHEETAH, CLICKS) + segmenter.guide(LION, lion)
    assert guidance.classes == ("background", "cheetah", "lion")
    cub = segmenter.segment(CUB, guidance).labels
    pride = segmenter.segment(LION, guidance, lion).labels
    assert (cub == 1).sum() > 5 * (cub == 2).sum() and (pride == 2).sum() > 5 * (pride == 1).sum()


def test_probabilities_are_novel_where_nothing_alike_was_annotated(segmenter):
    result = segmenter.segment(TOWER, segmenter.guide(CHEETAH, CLICKS))
    own = segmenter.segment(CHEETAH, segmenter.guide(CHEETAH, CLICKS))
    assert np.median(result.novelty) > np.median(own.novelty)
    assert (segmenter.segment(TOWER, Guidance.empty()).novelty == 1).all()
