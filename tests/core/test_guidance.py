"""Guidance as a ledger that is added to and taken from."""

import copy
import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from pictures import photo

from guided_demo import Annotation, Guidance, GuidedSegmenter, InputError, Stroke, Workspace
from guided_demo.core.contribution import Sample
from guided_demo.core.encoder import DETAIL, SEMANTIC
from guided_demo.core.guidance import merge
from guided_demo.events import AddAnnotation, LoadGuidance

CAT = Annotation(points=[(20, 20, "cat"), (70, 50, "background")])
DOG = Annotation(points=[(40, 30, "dog")], strokes=[Stroke(((5, 5), (30, 8)), "background", 4)])
MASK = Annotation.from_mask(np.repeat([0, 1, 255], [1600, 1600, 1600]).reshape(60, 80), ["background", "cat"])


def test_guidance_adds_in_any_order_and_takes_out_exactly(segmenter):
    parts = [segmenter.guide(photo(i), a) for i, a in enumerate((CAT, DOG, CAT))]
    masks = {segmenter.segment(photo(9), sum(p, Guidance.empty())).labels.tobytes() for p in itertools.permutations(parts)}
    assert len(masks) == 1
    whole = parts[0] + parts[1] + parts[2]
    assert whole.classes == ("background", "cat", "dog") and len(whole.images) == 3
    left = whole.without(parts[1].images[0])
    assert left.to_bytes() == (parts[0] + parts[2]).to_bytes() and left.classes == ("background", "cat")
    assert whole.without("unknown") is whole
    assert sum(parts).to_bytes() == whole.to_bytes()
    with pytest.raises(TypeError):
        1 + whole


def test_segmenting_does_not_ask_whether_guidance_equals_another(segmenter, monkeypatch):
    parts = [segmenter.guide(photo(i), CAT) for i in range(2)]
    kept = [sum(parts), sum(reversed(parts))]
    monkeypatch.setattr(Guidance, "__eq__", lambda *_: pytest.fail("of many photos it takes long"))
    first, second = (segmenter.segment(photo(2), guidance).labels for guidance in kept)
    assert np.array_equal(first, second)


def test_many_are_added_at_once_and_asked_for_their_annotations_without_looking_through_all_again(segmenter, monkeypatch):
    parts = [segmenter.guide(photo(i), CAT) for i in range(5)]
    made = []
    monkeypatch.setattr(Guidance, "__post_init__", lambda self: made.append(self))
    merge(parts)
    assert len(made) == 1  # not one for every part, each with all parts before it
    monkeypatch.undo()
    whole = merge(iter(parts))
    assert whole.to_bytes() == sum(parts, Guidance.empty()).to_bytes() and merge([]).ledger == {}
    assert whole.annotations is whole.annotations
    with pytest.raises(TypeError):
        whole.annotations["a"] = CAT  # or what is kept would no longer be true
    assert whole.without(*whole.images[:3]).images == whole.images[3:]


def test_more_annotation_of_an_image_is_added_and_the_same_counts_once(segmenter):
    first, second = segmenter.guide(photo(0), CAT), segmenter.guide(photo(0), DOG)
    both = first + second
    assert both.images == first.images and both.classes == ("background", "cat", "dog")
    assert (both + first).to_bytes() == both.to_bytes()
    assert set(both.annotations[both.images[0]].classes) == {"background", "cat", "dog"}


def rows(values):
    """A mask of an image of 80 x 60, alike in every column, from pairs of a value and how many rows it has."""
    return np.tile(np.repeat(*zip(*values, strict=True))[:, None], (1, 80))


def test_masks_of_two_people_are_both_there_however_they_are_added(segmenter):
    size, names = (80, 60), ["background", "cat", "dog"]
    of_cat = Annotation.from_mask(rows([(0, 20), (1, 20), (0, 20)]), names[:2])
    for shift in range(8):  # whose came first was by a hash of what they marked
        of_dog = Annotation.from_mask(rows([(0, 48 - shift), (2, 12), (255, shift)]), names)
        parts = [segmenter.guide(photo(0), a) for a in (of_cat, of_dog, CAT)]
        both = {sum(p).annotations[parts[0].images[0]] for p in itertools.permutations(parts)}
        assert len(both) == 1
        expected = rows([(0, 20), (1, 20), (0, 8 - shift), (2, 12), (0, shift)])
        expected[20, 20], expected[50, 70] = 1, 0
        assert np.array_equal(both.pop().label_map(size, names), expected)


def test_a_click_beside_the_masks_of_two_people_leaves_both_as_guiding_anew_does(segmenter):
    cat = Annotation.from_mask(rows([(0, 20), (1, 20), (255, 20)]), ["background", "cat"])
    dog = Annotation.from_mask(rows([(255, 50), (1, 10)]), ["background", "dog"])
    both = sum(segmenter.guide(photo(0), a) for a in (cat, dog))
    (key,) = both.images
    other = GuidedSegmenter.untrained(seed=1)
    for workspace in (Workspace(segmenter), Workspace(other)):
        workspace.add_image("a.png", photo(0))
        workspace.apply(LoadGuidance(both))
        assert (
            workspace.guidance.classes == both.classes and workspace.guidance.checkpoint_id == workspace.segmenter.checkpoint_id
        )
        workspace.apply(AddAnnotation(key, Annotation(points=[(3, 45, "tree")])))
        assert workspace.guidance.classes == ("background", "cat", "dog", "tree")
        labels = workspace.segment(key).labels
        assert (labels[20:40] == 1).all() and (labels[50:] == 2).all() and labels[45, 3] == 3


def test_an_eraser_takes_nothing_of_what_others_marked(segmenter):
    names = ["background", "cat", "dog"]
    line = ((10, 30), (70, 30))
    for radius in range(3, 11):
        cat = Annotation(strokes=[(line, "cat", 5), (((10, 20), (70, 20)), None, 4.0)], points=[(40, 30, "dog")])
        dog = Annotation(marks=[Stroke(line, "dog", radius), Stroke(line, None, radius + 2), Stroke(((5, 5),), "dog", 2)])
        (both,) = (segmenter.guide(photo(0), cat) + segmenter.guide(photo(0), dog)).annotations.values()
        marked = [a.label_map((80, 60), names) for a in (both, cat, dog)]
        assert np.array_equal(marked[0], np.where(marked[2] == 255, *marked[1:]))
        assert both.classes == ("cat", "dog")


def test_marks_that_contradict_others_are_taken_for_corrections_where_they_are_fewer(segmenter):
    for x in range(10, 70, 8):
        few = segmenter.guide(photo(0), Annotation(points=[(x, 20, "dog")]))
        many = segmenter.guide(photo(0), Annotation(points=[(x, 20, "cat"), (x + 1, 30, "cat")]))
        (both,) = (few + many).annotations.values()
        assert both.label_map((80, 60), ["cat", "dog"])[20, x] == 1


def test_guidance_can_be_given_to_other_processes(segmenter):
    for guidance in (segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG), Guidance.empty()):
        assert pickle.loads(pickle.dumps(guidance)).to_bytes() == copy.deepcopy(guidance).to_bytes() == guidance.to_bytes()


def test_guidance_is_equal_to_what_holds_the_same(segmenter, tmp_path):
    cat, dog = segmenter.guide(photo(0), CAT), segmenter.guide(photo(1), DOG)
    both = cat + dog
    both.save(tmp_path / "both.safetensors")
    same = [dog + cat, both + cat, Guidance.load(tmp_path / "both.safetensors"), pickle.loads(pickle.dumps(both))]
    assert all(other == both for other in same) and {*same} == {both}
    (entry, of_cat), *_ = both.ledger.items()
    otherwise = replace(of_cat, centre=of_cat.centre + np.float16(1))  # as an older version may have made it of the same marks
    others = [
        cat,
        Guidance("another", both.ledger),
        replace(both, ledger={**both.ledger, entry: otherwise}),
        both.rename("cat", "dog"),
    ]
    assert not any(other == both for other in others) and both != entry
    assert both.without(*both.images) == Guidance.empty() != both


def test_a_class_has_another_name_and_nothing_else_changes(segmenter):
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), CAT + DOG)
    renamed = guidance.rename("cat", "lynx")
    assert renamed.classes == ("background", "dog", "lynx")
    assert renamed.annotations == {key: a.rename("cat", "lynx") for key, a in guidance.annotations.items()}
    assert renamed.rename("lynx", "cat").to_bytes() == guidance.to_bytes()
    before, after = (segmenter.segment(photo(2), g).probabilities for g in (guidance, renamed))
    assert np.allclose(after[[0, 2, 1]], before, atol=1e-6)
    with pytest.raises(InputError, match="already is a class dog"):
        guidance.rename("cat", "dog")
    apart = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG)
    assert apart.rename("cat", "dog").classes == ("background", "dog")
    assert guidance.rename("cat", " lynx ").to_bytes() == renamed.to_bytes()
    for unusable in ("", "a\nb"):  # its file could not be read again
        with pytest.raises(InputError, match="A class n"):
            guidance.rename("cat", unusable)
    with pytest.raises(InputError, match="called by a text, such as 'cat', and not 3"):
        guidance.rename("cat", 3)


def test_a_class_that_is_dropped_takes_images_along_that_show_nothing_else(segmenter):
    only_cat = segmenter.guide(photo(0), Annotation(points=[(20, 20, "cat")]))
    rest = segmenter.guide(photo(1), CAT + DOG).drop_class("cat")
    assert (only_cat + segmenter.guide(photo(1), CAT + DOG)).drop_class("cat").to_bytes() == rest.to_bytes()
    assert rest.classes == ("background", "dog") and set(next(iter(rest.annotations.values())).classes) == set(rest.classes)


def test_dropping_no_class_is_dropping_nothing_and_no_name_is_told(segmenter):
    guidance = segmenter.guide(photo(0), CAT)
    assert guidance.drop_class("dog") == guidance and guidance.drop_class(" cat ").classes == ("background",)
    for wrong in (["cat"], None):
        with pytest.raises(InputError, match="called by a text, such as 'cat'"):
            guidance.drop_class(wrong)


def test_what_is_no_path_is_told(segmenter):
    for use in (Guidance.load, segmenter.guide(photo(0), CAT).save):
        with pytest.raises(InputError, match=r"called by its path, such as 'cats\.safetensors', and not None"):
            use(None)


def test_what_one_image_contributed(segmenter):
    first, second = segmenter.guide(photo(0), CAT), segmenter.guide(photo(1), DOG)
    assert (first + second).only(second.images[0]).to_bytes() == second.to_bytes()


def test_what_is_stored_of_an_exemplar_is_close_to_it():
    rng = np.random.default_rng(0)
    semantic = rng.normal(size=(50, SEMANTIC)) * rng.uniform(0, 1, (50, 1))
    semantic[0] = 0
    stored = Sample.of(semantic, np.zeros((50, DETAIL)), np.full(50, 0.02), 50).semantic
    assert np.abs(stored - semantic).max() <= np.abs(semantic).max() / 127
    cosines = (stored * semantic).sum(1)[1:] / np.linalg.norm(stored, axis=1)[1:] / np.linalg.norm(semantic, axis=1)[1:]
    assert cosines.min() > 0.999


def test_an_image_is_taken_out_by_its_key_alone(segmenter):
    encoded = segmenter.encode(photo(0))
    guidance = segmenter.guide(encoded, CAT)
    assert guidance.without(encoded.key).images == () and guidance.without("another") is guidance
    assert guidance.only("another").images == ()
    for take in (guidance.without, guidance.only):
        with pytest.raises(InputError, match=r"encode\(image\)\.key"):
            take(encoded)
    with pytest.raises(TypeError):
        guidance + None
