import itertools
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch
from pictures import photo
from PIL import Image

from guided_demo import Annotation, Guidance, GuidedSegmenter, InputError, Stroke
from guided_demo.core import checkpoint
from guided_demo.core.encoder import DETAIL, SEMANTIC
from guided_demo.core.features import FeatureCache
from guided_demo.core.guidance import Sample


@pytest.fixture(scope="module")
def segmenter():
    return GuidedSegmenter.untrained(seed=1, side=96)


CAT = Annotation(points=[(20, 20, "cat"), (70, 50, "background")])
DOG = Annotation(points=[(40, 30, "dog")], strokes=[Stroke(((5, 5), (30, 8)), "background", 4)])


def test_guidance_adds_in_any_order_and_takes_out_exactly(segmenter):
    parts = [segmenter.guide(photo(i), a) for i, a in enumerate((CAT, DOG, CAT))]
    masks = {segmenter.segment(photo(9), sum(p, Guidance.empty())).labels.tobytes() for p in itertools.permutations(parts)}
    assert len(masks) == 1
    whole = parts[0] + parts[1] + parts[2]
    assert whole.classes == ("background", "cat", "dog") and len(whole.images) == 3
    left = whole.without(parts[1].images[0])
    assert left.to_bytes() == (parts[0] + parts[2]).to_bytes() and left.classes == ("background", "cat")
    assert whole.without("unknown") is whole


def test_more_annotation_of_an_image_is_added_and_the_same_counts_once(segmenter):
    first, second = segmenter.guide(photo(0), CAT), segmenter.guide(photo(0), DOG)
    both = first + second
    assert both.images == first.images and both.classes == ("background", "cat", "dog")
    assert (both + first).to_bytes() == both.to_bytes()
    assert set(both.annotations[both.images[0]].classes) == {"background", "cat", "dog"}


def test_saved_guidance_gives_the_same_masks(segmenter, tmp_path):
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG)
    guidance.save(tmp_path / "g.safetensors")
    again = Guidance.load(tmp_path / "g.safetensors")
    a, b = segmenter.segment(photo(2), guidance), segmenter.segment(photo(2), again)
    assert np.array_equal(a.probabilities, b.probabilities) and again.annotations == guidance.annotations
    assert again.to_bytes() == guidance.to_bytes()


def test_guidance_of_the_first_format_is_still_read(segmenter):
    """It had semantics in float16: the same masks but for rounding."""
    guidance = segmenter.guide(photo(0), CAT + DOG)
    (contribution,) = guidance.ledger.values()
    header = {
        "format": 1,
        "checkpoint": guidance.checkpoint_id,
        "images": [
            {
                "key": contribution.key,
                "size": contribution.size,
                "classes": list(contribution.samples),
                "pixels": [s.pixels for s in contribution.samples.values()],
                "annotation": contribution.annotation.to_json(),
            }
        ],
    }
    tensors = {"0.centre": contribution.centre}
    for i, s in enumerate(contribution.samples.values()):
        tensors |= {f"0.{i}.semantic": s.semantic.astype(np.float16), f"0.{i}.detail": s.detail, f"0.{i}.weight": s.weight}
    old = Guidance.from_bytes(safetensors.numpy.save(tensors, {"guidance": json.dumps(header)}))
    assert old.annotations == guidance.annotations
    a, b = segmenter.segment(photo(2), guidance), segmenter.segment(photo(2), old)
    assert np.allclose(a.probabilities, b.probabilities, atol=0.01)


def test_what_is_stored_of_an_exemplar_is_close_to_it():
    rng = np.random.default_rng(0)
    semantic = rng.normal(size=(50, SEMANTIC)) * rng.uniform(0, 1, (50, 1))
    semantic[0] = 0
    stored = Sample.of(semantic, np.zeros((50, DETAIL)), np.full(50, 0.02), 50).semantic
    assert np.abs(stored - semantic).max() <= np.abs(semantic).max() / 127
    cosines = (stored * semantic).sum(1)[1:] / np.linalg.norm(stored, axis=1)[1:] / np.linalg.norm(semantic, axis=1)[1:]
    assert cosines.min() > 0.999


def test_ten_densely_annotated_images_of_three_classes_fit_in_a_megabyte():
    segmenter = GuidedSegmenter.untrained(seed=2, side=384)  # as many places to choose exemplars from as are shipped
    guidance = Guidance.empty()
    mask = np.arange(300 * 400).reshape(300, 400) * 3 // (300 * 400)
    for i in range(10):
        guidance = guidance + segmenter.guide(photo(i, (400, 300)), Annotation.from_mask(mask, ["background", "cat", "dog"]))
    assert 300_000 <= len(guidance.to_bytes()) <= 1_000_000


@pytest.mark.parametrize("cut", [0, 7, 100, 0.5, 0.99])
def test_a_guidance_file_that_is_cut_short_is_refused(segmenter, cut):
    data = segmenter.guide(photo(0), CAT).to_bytes()
    length = cut if isinstance(cut, int) else int(len(data) * cut)
    with pytest.raises(InputError, match="cut short"):
        Guidance.from_bytes(data[:length])


def changed(data, header=(), **tensors):
    """A guidance file with other things said of it, and other tensors."""
    (length,) = struct.unpack("<Q", data[:8])
    said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["guidance"])
    said = {key: value for key, value in (said | dict(header)).items() if value is not None}
    return safetensors.numpy.save(safetensors.numpy.load(data) | tensors, {"guidance": json.dumps(said)})


@pytest.mark.parametrize(
    "change",
    [
        {"header": {"checkpoint": None}},
        {"header": {"images": 3}},
        {"0.centre": np.zeros(5, np.float16)},
        {"0.centre": np.full(SEMANTIC, np.nan, np.float16)},
        {"0.0.detail": np.zeros((1, DETAIL + 1), np.float16)},
        {"0.0.weight": np.zeros(1, np.float16)},
        {"0.0.weight": np.zeros((1, 1), np.float16)},
    ],
)
def test_a_guidance_file_with_parts_that_do_not_fit_is_refused(segmenter, change):
    data = segmenter.guide(photo(0), CAT).to_bytes()
    assert Guidance.from_bytes(changed(data)).to_bytes() == data
    with pytest.raises(InputError, match="not a guidance file"):
        Guidance.from_bytes(changed(data, **change))


def test_a_guidance_file_with_any_byte_changed_is_read_or_refused(segmenter):
    data, rng = segmenter.guide(photo(0), CAT).to_bytes(), np.random.default_rng(0)
    (length,) = struct.unpack("<Q", data[:8])
    refused = 0
    for place in rng.integers(0, length + 8, 400):
        other = bytearray(data)
        other[place] = rng.integers(256)
        try:
            segmenter.segment(photo(1), replace(Guidance.from_bytes(bytes(other)), checkpoint_id=segmenter.checkpoint_id))
        except InputError:
            refused += 1
    assert refused > 200


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


def test_own_annotation_guides_whether_or_not_guidance_holds_it(segmenter):
    other = segmenter.guide(photo(1), DOG)
    a = segmenter.segment(photo(0), other, CAT)
    b = segmenter.segment(photo(0), other + segmenter.guide(photo(0), CAT), CAT)
    assert a.classes == b.classes and np.array_equal(a.labels, b.labels)


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


def test_encoding_twice_is_encoding_once(segmenter):
    encoded = segmenter.encode(photo(0))
    assert segmenter.encode(encoded) is encoded and encoded.size == (80, 60)
    assert encoded.key == segmenter.encode(np.asarray(photo(0))).key != segmenter.encode(photo(1)).key
    a = segmenter.segment(encoded, segmenter.guide(encoded, CAT)).probabilities
    b = segmenter.segment(photo(0), segmenter.guide(photo(0), CAT)).probabilities
    assert np.array_equal(a, b)


def test_other_networks_are_not_loaded_but_told_about(tmp_path):
    with pytest.raises(InputError, match="train --model late-global"):
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


def test_a_checkpoint_without_some_of_the_weights_is_refused(segmenter, tmp_path):
    path = tmp_path / "part.safetensors"
    checkpoint.save(segmenter.network.head, path, {"config": segmenter.metadata["config"], "side": 64})
    with pytest.raises(InputError, match="it has no"):
        GuidedSegmenter.load(path)


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
