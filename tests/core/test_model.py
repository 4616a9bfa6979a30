import copy
import pickle

import numpy as np
import pytest
import torch
from pictures import photo
from PIL import Image
from safetensors.torch import save_file

from guided_demo import Annotation, Guidance, GuidedSegmenter, InputError, Stroke
from guided_demo.core import checkpoint
from guided_demo.core.features import FeatureCache
from guided_demo.geometry import Frame


@pytest.fixture(scope="module")
def segmenter():
    return GuidedSegmenter.untrained(seed=1, side=96)


CAT = Annotation(points=[(20, 20, "cat"), (70, 50, "background")])
DOG = Annotation(points=[(40, 30, "dog")], strokes=[Stroke(((5, 5), (30, 8)), "background", 4)])


def test_own_marks_count_also_where_the_guidance_knows_the_image_but_not_their_class(segmenter):
    guidance = segmenter.guide(photo(0), CAT)
    result = segmenter.segment(photo(0), guidance, annotation=Annotation(points=[(60.5, 20.5, "dog")]))
    assert result.classes == ("background", "cat", "dog") and result.labels[20, 60] == 2


def test_guidance_of_another_checkpoint_is_refused_with_what_to_do(segmenter):
    other = GuidedSegmenter.untrained(seed=2, side=96).guide(photo(0), CAT)
    with pytest.raises(InputError, match="load that one"):
        segmenter.segment(photo(1), other)
    with pytest.raises(InputError, match="different checkpoints"):
        other + segmenter.guide(photo(1), CAT)


def test_absent_is_absent(segmenter):
    empty = segmenter.segment(photo(0), Guidance.empty())
    assert empty.classes == ("background",) and not empty.labels.any() and (empty.novelty == 1).all()
    assert segmenter.guide(photo(0), Annotation()).images == ()
    only_background = segmenter.guide(photo(0), Annotation(points=[(5, 5, "background")]))
    assert not segmenter.segment(photo(1), only_background).labels.any()
    novelty = segmenter.segment(photo(0), only_background).novelty
    assert novelty[5, 5] < novelty.mean() < 0.1
    cat = segmenter.guide(photo(0), CAT)
    with_nothing = cat + segmenter.guide(photo(1), Annotation())
    assert np.array_equal(segmenter.segment(photo(2), cat).labels, segmenter.segment(photo(2), with_nothing).labels)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (300, 4), (3, 200), (1300, 900)])
def test_masks_come_back_in_the_originals_pixels(segmenter, size):
    annotation = Annotation(points=[(0.5, 0.5, "cat")])
    result = segmenter.segment(photo(0, size), segmenter.guide(photo(0, size), annotation), annotation)
    assert result.labels.shape == size[::-1] and result.labels.dtype == np.uint8
    assert result.probabilities.shape == (2, *size[::-1]) and result.novelty.shape == size[::-1]
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-5)
    assert result.labels[0, 0] == 1 and 0 <= result.novelty.min() <= result.novelty.max() <= 1


@pytest.mark.parametrize("scope", ["everywhere", "object"])
def test_annotated_pixels_keep_their_class(segmenter, scope):
    annotation = CAT + DOG
    result = segmenter.segment(photo(0), segmenter.guide(photo(0), annotation), annotation, scope)
    wanted = annotation.label_map((80, 60), result.classes)
    known = wanted != 255
    assert np.array_equal(result.labels[known], wanted[known])
    assert np.array_equal(result.probabilities.argmax(0)[known], wanted[known])


def test_where_all_was_erased_an_image_is_segmented_as_without_annotation(segmenter):
    # Images with few marks weigh less where the query has none of its own.
    guidance = segmenter.guide(photo(1), CAT) + segmenter.guide(photo(2), DOG.add(Stroke(((9, 40), (60, 44)), "cat", 5)))
    erased = CAT.add(Stroke(((0, 30), (80, 30)), None, 60))
    plain = segmenter.segment(photo(0), guidance)
    for scope in ("everywhere", "object"):
        assert np.array_equal(segmenter.segment(photo(0), guidance, erased, scope).probabilities, plain.probabilities)


def test_own_annotation_guides_whether_or_not_guidance_holds_it(segmenter):
    other = segmenter.guide(photo(1), DOG)
    a = segmenter.segment(photo(0), other, CAT)
    b = segmenter.segment(photo(0), other + segmenter.guide(photo(0), CAT), CAT)
    assert a.classes == b.classes and np.array_equal(a.labels, b.labels)


def test_own_annotation_guides_also_where_guidance_holds_another_of_the_image(segmenter):
    earlier, own = segmenter.guide(photo(0), CAT), Annotation(points=[(40, 30, "cat"), (5, 5, "background")])
    a = segmenter.segment(photo(0), earlier, own)
    b = segmenter.segment(photo(0), earlier + segmenter.guide(photo(0), own), own)
    assert np.array_equal(a.probabilities, b.probabilities)
    assert not np.array_equal(a.probabilities, segmenter.segment(photo(0), segmenter.guide(photo(0), own), own).probabilities)


def test_labels_follow_probabilities(segmenter):
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG)
    result = segmenter.segment(photo(2), guidance)
    assert np.array_equal(result.labels, segmenter.segment(photo(2), guidance).labels)
    top = np.sort(result.probabilities, 0)
    clear = top[-1] - top[-2] > 1e-4
    assert np.array_equal(result.probabilities.argmax(0)[clear], result.labels[clear])


@pytest.mark.parametrize("size", [(80, 60), (31, 200)])
def test_unsure_pixels_have_no_class_but_annotated_ones_do(segmenter, size):
    result = segmenter.segment(photo(0), segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG), CAT)
    plain, likeliest = result.labels_at(size), result.probabilities_at(size).max(0)
    previous = np.zeros(plain.shape, bool)
    for unsure in (0.0, *np.quantile(likeliest, [0.2, 0.5, 0.9]), 1.0):
        labels = result.labels_at(size, float(unsure))
        left_out = labels == 255
        assert np.array_equal(left_out, likeliest < np.float32(unsure))
        assert np.array_equal(labels[~left_out], plain[~left_out])
        assert (left_out >= previous).all()
        previous = left_out
    assert set(np.unique(labels)) >= {result.classes.index("cat"), 255}


def test_labels_are_found_a_class_at_a_time_however_many_there_are(segmenter, monkeypatch):
    result = segmenter.segment(photo(0), segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG))
    brought = []
    to_image = Frame.to_image
    monkeypatch.setattr(Frame, "to_image", lambda frame, maps, *rest: brought.append(len(maps)) or to_image(frame, maps, *rest))
    result.labels_at((80, 60), 0.9)
    assert set(brought) == {1}


def test_an_image_that_is_being_marked_is_made_ready_once(segmenter, monkeypatch):
    one, other = segmenter.encode(photo(0)), segmenter.encode(photo(1))
    ready, readied = segmenter.network.head.ready, []
    monkeypatch.setattr(segmenter.network.head, "ready", lambda features: readied.append(features) or ready(features))
    guidance = segmenter.guide(one, CAT)
    first = segmenter.segment(one, guidance, CAT)
    for _ in range(3):  # strokes, each of which makes all masks anew
        segmenter.segment(other, guidance)
        last = segmenter.segment(one, guidance, CAT)
    assert len(readied) == 1 + 3 and torch.equal(first._logits, last._logits)


def test_what_a_notebook_shows_of_them_is_a_line(segmenter):
    encoded, guidance = segmenter.encode(photo(0)), segmenter.guide(photo(0), CAT)
    assert repr(encoded) == f"EncodedImage(80x60, key {encoded.key})"
    assert repr(guidance) == "Guidance(background, cat; 1 image)"
    assert repr(guidance + segmenter.guide(photo(1), DOG)) == "Guidance(background, cat, dog; 2 images)"
    assert repr(segmenter.segment(encoded, guidance)) == "Result(80x60; background, cat)"
    assert repr(segmenter) == f"GuidedSegmenter(checkpoint {segmenter.checkpoint_id}, cpu)"


@pytest.mark.parametrize("wrong", ["cats.safetensors", None, {"marks": []}])
def test_what_is_no_guidance_or_annotation_is_refused_with_what_is(segmenter, wrong):
    with pytest.raises(InputError, match="or read with"):
        segmenter.segment(photo(0), wrong)
    with pytest.raises(InputError, match="An annotation is made with"):
        segmenter.guide(photo(0), wrong)
    if wrong is not None:
        with pytest.raises(InputError, match="An annotation is made with"):
            segmenter.segment(photo(0), Guidance.empty(), wrong)


def test_encoding_twice_is_encoding_once(segmenter):
    encoded = segmenter.encode(photo(0))
    assert segmenter.encode(encoded) is encoded and encoded.size == (80, 60)
    assert encoded.key == segmenter.encode(np.asarray(photo(0))).key != segmenter.encode(photo(1)).key
    a = segmenter.segment(encoded, segmenter.guide(encoded, CAT)).probabilities
    b = segmenter.segment(photo(0), segmenter.guide(photo(0), CAT)).probabilities
    assert np.array_equal(a, b)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_a_result_comes_from_another_process_as_it_is(segmenter, copied):
    result = segmenter.segment(photo(0), segmenter.guide(photo(0), CAT), annotation=CAT)
    other = copied(result)
    assert other.classes == result.classes
    for values in ("labels", "probabilities", "novelty"):
        assert np.array_equal(getattr(other, values), getattr(result, values))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda segmenter: pickle.loads(pickle.dumps(segmenter))])
def test_a_segmenter_goes_to_other_processes_without_what_it_keeps_of_images(segmenter, copied):
    guidance = segmenter.guide(photo(0), CAT)
    expected = segmenter.segment(photo(0), guidance, annotation=CAT).probabilities
    weights = sum(value.nbytes for value in segmenter.network.state_dict().values())
    assert len(pickle.dumps(segmenter)) < 1.1 * weights
    other = copied(segmenter)
    assert np.array_equal(other.segment(photo(0), guidance, annotation=CAT).probabilities, expected)
    assert repr(other) == repr(segmenter)


def test_other_networks_are_not_loaded_but_told_about(tmp_path):
    with pytest.raises(InputError, match="train --config paper"):
        GuidedSegmenter.load("vgg16-paper")
    other = tmp_path / "other.safetensors"
    checkpoint.save(torch.nn.Linear(1, 1), other, {"model": "prototype", "config": {}, "side": 64})
    with pytest.raises(InputError, match="evaluate --model"):
        GuidedSegmenter.load(other)


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"config": {"variant": "lite0", "width": 32}}, {"config": 3, "side": 64}, {"config": {"depth": 9}, "side": 64},
        {"config": {"variant": "lite0", "width": 16}, "side": 64}, {"config": {"variant": "lite0", "width": 32}, "side": "x"},
        [1],
    ],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_refused(segmenter, tmp_path, metadata):
    path = tmp_path / "odd.safetensors"
    checkpoint.save(segmenter.network, path, metadata)
    with pytest.raises(InputError, match="is not a checkpoint of"):
        GuidedSegmenter.load(path)


def test_a_checkpoint_with_metadata_too_deep_to_be_read_is_refused(tmp_path):
    path = tmp_path / "deep.safetensors"
    save_file({}, path, {"guided_demo": "[" * 100_000})
    with pytest.raises(InputError, match="is not a checkpoint of"):
        GuidedSegmenter.load(path)


def test_a_checkpoint_without_some_of_the_weights_is_refused(segmenter, tmp_path):
    path = tmp_path / "part.safetensors"
    checkpoint.save(segmenter.network.head, path, {"config": segmenter.metadata["config"], "side": 64})
    with pytest.raises(InputError, match="it has no"):
        GuidedSegmenter.load(path)


def test_a_device_that_is_not_there_is_said_to_be_none():
    with pytest.raises(InputError, match="There is no tpu here; use cpu"):
        GuidedSegmenter.load(device="tpu")


def test_more_classes_than_a_mask_has_numbers_for_are_refused(segmenter):
    marked = [segmenter.guide(photo(i), Annotation(points=[(k % 80, k // 80, f"{i} {k}") for k in range(127)])) for i in (0, 1)]
    with pytest.raises(InputError, match="255 classes, and a mask at most 254"):
        segmenter.segment(photo(2), marked[0] + marked[1])


def test_bad_calls_get_a_sentence(segmenter):
    with pytest.raises(InputError, match="outside"):
        segmenter.guide(photo(0), Annotation(points=[(500, 1, "cat")]))
    with pytest.raises(InputError, match="scope"):
        segmenter.segment(photo(0), Guidance.empty(), scope="here")
    with pytest.raises(InputError, match="no checkpoint"):
        GuidedSegmenter.load("nowhere.safetensors")
    with pytest.raises(InputError, match="another checkpoint"):
        GuidedSegmenter.untrained(seed=5, side=96).encode(segmenter.encode(photo(0)))


def test_features_are_worked_out_once_and_kept_within_bounds(segmenter, tmp_path, monkeypatch):
    calls = []
    encode = segmenter.encode
    monkeypatch.setattr(segmenter, "encode", lambda i: (isinstance(i, Image.Image) and calls.append(1)) or encode(i))
    one = encode(photo(0)).nbytes
    cache = FeatureCache(segmenter, memory_bytes=int(1.5 * one), folder=tmp_path)
    first, second = cache.encode(photo(0)), cache.encode(photo(1))
    assert len(calls) == 2 and len(cache._kept) == 1
    again = cache.encode(photo(0))
    assert len(calls) == 2 and again is not first
    guidance = segmenter.guide(second, CAT)
    assert np.array_equal(segmenter.segment(again, guidance).labels, segmenter.segment(first, guidance).labels)
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:50])
    cache.encode(photo(1))
    assert len(calls) == 3
