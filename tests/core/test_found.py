"""What is surely found in an annotated image guides others."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from pictures import photo

from guided_demo import Annotation, Guidance, GuidedSegmenter, InputError, Stroke
from guided_demo.core import found, model

BOTH = Annotation(points=[(20, 20, "cat"), (55, 50, "background")])
THREE = BOTH + Annotation(strokes=[Stroke(((30, 40), (40, 45)), "dog", 3)])


@pytest.fixture(scope="module")
def segmenter():
    return GuidedSegmenter.load()  # one of random weights finds one class everywhere


@pytest.fixture(autouse=True)
def sure_of_what_is_likelier(monkeypatch):
    monkeypatch.setattr(found, "SURE", 0.5)  # in pictures of noise nothing is sure


def entries(guidance):
    return list(guidance.ledger.values())


def told_by_marks_alone(guidance):
    return replace(guidance, ledger={entry: replace(c, found={}) for entry, c in guidance.ledger.items()})


@pytest.mark.parametrize("annotation", [BOTH, THREE])
@pytest.mark.parametrize("size", [(80, 60), (60, 90)])
def test_what_is_found_is_the_mean_of_where_each_class_is_sure(segmenter, annotation, size):
    encoded = segmenter.encode(photo(3, size))
    guidance = segmenter.guide(encoded, annotation)
    alone = told_by_marks_alone(guidance)
    with torch.inference_mode():
        logits = segmenter._answer(encoded, alone, annotation, False)[0]
    (contribution,) = entries(guidance)
    width, height = (side // 4 for side in encoded.frame.content)
    odds = np.exp(logits.numpy()[:, :height, :width])
    detail = encoded.features.detail[0].float().numpy()[:, :height, :width]
    where = {name: p > 0.5 for name, p in zip(guidance.classes, odds / odds.sum(0), strict=True) if (p > 0.5).any()}
    assert list(contribution.found) == list(where) and len(where) > 1
    for name, likely in where.items():
        sample = contribution.found[name]
        assert sample.pixels == likely.sum()
        assert np.allclose(sample.weight.astype(float) @ sample.detail, detail[:, likely].mean(1), atol=0.01)


def test_it_guides_others_and_not_the_image_it_was_found_in(segmenter):
    encoded, other = segmenter.encode(photo(0)), segmenter.encode(photo(1))
    guidance = segmenter.guide(encoded, BOTH)
    marks = told_by_marks_alone(guidance)
    both = [guidance + segmenter.guide(other, THREE), marks + segmenter.guide(other, THREE)]
    for known, alone in ((guidance, marks), both):
        logits = [segmenter.segment(encoded, each, BOTH)._logits for each in (known, alone)]
        assert torch.equal(*logits)
    assert not torch.equal(*(segmenter.segment(other, each)._logits for each in (guidance, marks)))


def test_two_marked_images_are_each_told_by_what_was_found_in_the_other(segmenter):
    one, other = segmenter.encode(photo(0)), segmenter.encode(photo(1))
    parts = segmenter.guide(one, BOTH), segmenter.guide(other, BOTH)
    for images in ((one, other), (other, one)):  # whoever is asked first
        guidance = parts[0] + parts[1]
        for image in images:
            seen = segmenter.segment(image, guidance, BOTH)
            anew = segmenter.segment(image, parts[1] + parts[0], BOTH)
            assert torch.equal(seen._logits, anew._logits)


def test_where_nothing_but_background_is_marked_others_count_by_their_marks(segmenter, monkeypatch):
    monkeypatch.setattr(model, "confine", lambda before, after, *_: after())
    known, false = segmenter.guide(photo(0), BOTH), Annotation(points=[(30, 30, "background")])
    for own, same in ((false, True), (THREE, False)):
        logits = [segmenter.segment(photo(1), each, own)._logits for each in (known, told_by_marks_alone(known))]
        assert torch.equal(*logits) == same


def test_nothing_is_looked_for_where_a_mask_says_all_or_no_background_is_known(segmenter):
    mask = Annotation.from_mask(np.repeat([0, 1], 2400).reshape(60, 80).astype(np.uint8), ["background", "cat"])
    for annotation in (
        mask,
        mask + BOTH,
        Annotation(points=[(20, 20, "cat"), (50, 9, "dog")]),
        Annotation(points=[(9, 9, "background")]),
    ):
        (contribution,) = entries(segmenter.guide(photo(0), annotation))
        assert contribution.found == {}


def test_the_answer_it_was_found_by_is_not_worked_out_again(segmenter, monkeypatch):
    encoded, asked = segmenter.encode(photo(0)), []
    answer = segmenter.network.head.forward
    monkeypatch.setattr(segmenter.network.head, "forward", lambda *given: asked.append(given) or answer(*given))
    guidance = segmenter.guide(encoded, BOTH)
    kept = segmenter.segment(encoded, guidance, BOTH)
    assert len(asked) == 1
    anew = GuidedSegmenter.load().segment(photo(0), guidance, BOTH)
    assert torch.equal(kept._logits, anew._logits)
    # Other marks, another scope, or others' guidance: another answer.
    more = segmenter.guide(photo(1), THREE)
    for given, own, scope in ((guidance, BOTH, "object"), (guidance + more, BOTH, "everywhere"), (guidance, THREE, "everywhere")):
        asked.clear()
        again = segmenter.segment(encoded, given, own, scope)
        assert asked
        fresh = GuidedSegmenter.load().segment(photo(0), given, own, scope)
        assert torch.equal(again._logits, fresh._logits)


def test_it_is_renamed_dropped_and_saved_with_its_class(segmenter):
    guidance = segmenter.guide(photo(0), THREE)
    (contribution,) = entries(guidance)
    assert Guidance.from_bytes(guidance.to_bytes()).to_bytes() == guidance.to_bytes()
    assert {"cat", "background"} < contribution.found.keys()
    (renamed,) = entries(guidance.rename("cat", "lynx"))
    assert renamed.found.keys() == {"lynx" if name == "cat" else name for name in contribution.found}
    (dropped,) = entries(guidance.drop_class("cat"))
    assert dropped.found.keys() == contribution.found.keys() - {"cat"}
    read = Guidance.from_bytes(guidance.to_bytes())
    for change in (Guidance, lambda g: g.rename("cat", "lynx"), lambda g: g.drop_class("cat")):
        given = (guidance, read) if change is Guidance else (change(guidance), change(read))
        assert torch.equal(*(segmenter.segment(photo(1), each)._logits for each in given))


def test_without_the_background_nothing_is_surely_found_as_if_it_had_not_been_marked(segmenter):
    dropped = segmenter.guide(photo(0), THREE).drop_class("background")
    assert dropped == segmenter.guide(photo(0), THREE.drop("background")) and entries(dropped)[0].found == {}


def test_the_same_marks_told_by_more_or_less_add_up_to_the_same_in_any_order(segmenter):
    marks = THREE.drop("dog")
    parts = segmenter.guide(photo(0), THREE).drop_class("dog"), segmenter.guide(photo(0), marks)
    parts = *parts, told_by_marks_alone(parts[1])
    assert len({part.to_bytes() for part in parts}) == 3 and len({entry for part in parts for entry in part.ledger}) == 1
    assert len({sum(p).to_bytes() for p in permutations(parts)}) == 1
    assert entries(sum(parts))[0].found


def test_a_file_that_found_what_is_not_marked_is_refused(segmenter):
    (contribution,) = entries(segmenter.guide(photo(0), BOTH))
    for annotation in (BOTH.drop("cat"), Annotation.from_mask(np.zeros((60, 80), np.uint8), ["cat"]) + BOTH.drop("cat")):
        wrong = replace(contribution, annotation=annotation)
        with pytest.raises(InputError, match="not a guidance file"):
            Guidance.from_bytes(Guidance(segmenter.checkpoint_id, {wrong.entry: wrong}).to_bytes())
