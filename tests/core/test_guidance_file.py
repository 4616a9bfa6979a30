"""Guidance as a file: what is saved comes back, and what is no such file is refused."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from pictures import photo

from guided_demo import Annotation, Guidance, GuidedSegmenter, InputError, Stroke
from guided_demo.core.encoder import DETAIL, SEMANTIC
from guided_demo.core.guidance_file import PARTS
from guided_demo.marks import DenseMask

CAT = Annotation(points=[(20, 20, "cat"), (70, 50, "background")])
DOG = Annotation(points=[(40, 30, "dog")], strokes=[Stroke(((5, 5), (30, 8)), "background", 4)])
MASK = Annotation.from_mask(np.repeat([0, 1, 255], [1600, 1600, 1600]).reshape(60, 80), ["background", "cat"])


def test_saved_guidance_gives_the_same_masks(segmenter, tmp_path):
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), DOG)
    guidance.save(tmp_path / "g.safetensors")
    again = Guidance.load(tmp_path / "g.safetensors")
    a, b = segmenter.segment(photo(2), guidance), segmenter.segment(photo(2), again)
    assert np.array_equal(a.probabilities, b.probabilities) and again.annotations == guidance.annotations
    assert again.to_bytes() == guidance.to_bytes()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("annotation", [CAT + DOG, MASK + DOG])
def test_guidance_of_earlier_formats_is_still_read(segmenter, number, annotation):
    """Both had masks in the header, the first semantics in float16: the same masks but for rounding."""
    guidance = segmenter.guide(photo(0), annotation)
    (contribution,) = guidance.ledger.values()
    header = {
        "format": number,
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
        first = {f"0.{i}.semantic": s.semantic.astype(np.float16), f"0.{i}.detail": s.detail, f"0.{i}.weight": s.weight}
        tensors |= first if number == 1 else {f"0.{i}.{part}": getattr(s, part) for part in PARTS}
    old = Guidance.from_bytes(safetensors.numpy.save(tensors, {"guidance": json.dumps(header)}))
    assert old.annotations == guidance.annotations
    if number == 2:
        assert old.to_bytes() == guidance.to_bytes()
    a, b = segmenter.segment(photo(2), guidance), segmenter.segment(photo(2), old)
    assert np.allclose(a.probabilities, b.probabilities, atol=0.01)


def header_of(data):
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["guidance"])


def test_masks_of_more_bytes_than_a_header_may_have_are_saved_and_read(segmenter):
    guidance = segmenter.guide(photo(0), MASK + DOG)
    (contribution,) = guidance.ledger.values()
    png = MASK.mask.png + bytes(20_000_000)  # readers of PNG pass over what follows its end
    large = replace(contribution, annotation=Annotation(mask=DenseMask(png, MASK.mask.classes), marks=DOG.marks))
    copies = [replace(large, key=key) for key in "abcd"]
    many = Guidance(guidance.checkpoint_id, {c.entry: c for c in copies})
    data = many.to_bytes()
    assert 80_000_000 < len(data) < 80_200_000 and len(json.dumps(header_of(data))) < 4000
    assert dict(Guidance.from_bytes(data).annotations) == dict.fromkeys("abcd", large.annotation)


def test_more_marks_than_a_file_has_room_for_get_a_sentence(segmenter):
    guidance = segmenter.guide(photo(0), CAT)
    (contribution,) = guidance.ledger.values()
    long = replace(contribution, key='"' * 26_000_000)  # each is four characters in the header
    with pytest.raises(InputError, match=r"more points and strokes .* room for \(100 MB\); save the guidance of fewer images"):
        Guidance(guidance.checkpoint_id, {"a": long}).to_bytes()


def test_ten_densely_annotated_images_of_three_classes_fit_in_a_megabyte():
    segmenter = GuidedSegmenter.untrained(seed=2, side=384)  # as many places to choose exemplars from as are shipped
    guidance = Guidance.empty()
    mask = np.arange(300 * 400).reshape(300, 400) * 3 // (300 * 400)
    for i in range(10):
        guidance = guidance + segmenter.guide(photo(i, (400, 300)), Annotation.from_mask(mask, ["background", "cat", "dog"]))
    assert 300_000 <= len(guidance.to_bytes()) <= 1_000_000


def test_a_guidance_file_is_written_whole_or_not_at_all(segmenter, tmp_path):
    guidance = segmenter.guide(photo(0), CAT)
    guidance.save(tmp_path / "new" / "g.safetensors")
    assert Guidance.load(tmp_path / "new" / "g.safetensors").to_bytes() == guidance.to_bytes()
    with pytest.raises(InputError, match="cannot be written"):
        guidance.save(tmp_path / "new" / "g.safetensors" / "g.safetensors")
    with pytest.raises(InputError, match=r"none\.safetensors cannot be read"):
        Guidance.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("cut", [0, 7, 100, 0.5, 0.99])
def test_a_guidance_file_that_is_cut_short_is_refused(segmenter, cut):
    data = segmenter.guide(photo(0), CAT).to_bytes()
    length = cut if isinstance(cut, int) else int(len(data) * cut)
    with pytest.raises(InputError, match="cut short"):
        Guidance.from_bytes(data[:length])


def changed(data, header=(), **tensors):
    """A guidance file with other things said of it, and other tensors."""
    said = {key: value for key, value in (header_of(data) | dict(header)).items() if value is not None}
    tensors = {name: t for name, t in (safetensors.numpy.load(data) | tensors).items() if t is not None}
    return safetensors.numpy.save(tensors, {"guidance": json.dumps(said)})


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
        {"0.0.steps": np.full((1, SEMANTIC), 7, np.uint32)},
        {"0.0.steps": np.full((1, SEMANTIC), 1e300)},
        {"0.0.step": np.full((1, 1), 60_000, np.float16)},
        {"0.0.step": np.full((1, 1), np.inf, np.float16)},
        {"0.0.detail": np.full((1, DETAIL), -1000, np.float16)},
        {"0.0.weight": np.full(1, 1e300)},
        {"0.centre": np.full(SEMANTIC, 1e300)},
        {
            "0.0.steps": np.ones((81, SEMANTIC), np.int8),
            "0.0.step": np.ones((81, 1), np.float16),
            "0.0.detail": np.ones((81, DETAIL), np.float16),
            "0.0.weight": np.ones(81, np.float16),
        },
    ],
)
def test_a_guidance_file_with_parts_that_do_not_fit_is_refused(segmenter, change):
    data = segmenter.guide(photo(0), CAT).to_bytes()
    assert Guidance.from_bytes(changed(data)).to_bytes() == data
    with pytest.raises(InputError, match="not a guidance file"):
        Guidance.from_bytes(changed(data, **change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": [0, 60]}, "not a guidance file"),
        ({"size": [10**9, 10**9]}, "not a guidance file"),
        ({"size": [30, 30]}, "outside the image"),
        ({"pixels": [10**400, 1]}, "not a guidance file"),
        ({"annotation": {}}, "not a guidance file"),
        ({"classes": ["background", "dog"]}, "not a guidance file"),
        ({"annotation": {"marks": [{"point": [float("nan"), 3], "label": "cat"}]}}, "not a number"),
        (
            {"annotation": {"marks": [{"point": [2, 3], "label": "a\nb"}]}, "classes": ["a\nb"], "found": [], "pixels": [1]},
            "one line",
        ),
    ],
)
def test_a_guidance_file_that_says_what_cannot_be_is_refused(segmenter, change, words):
    data = segmenter.guide(photo(0), CAT).to_bytes()
    (image,) = header_of(data)["images"]
    with pytest.raises(InputError, match=words):
        Guidance.from_bytes(changed(data, {"images": [image | change]}))
    assert Guidance.from_bytes(changed(data, {"images": [image | {"classes": ["background", " cat "]}]})).to_bytes() == data


@pytest.mark.parametrize(
    ("tensor", "entry", "words"),
    [
        (None, {}, "not a guidance file"),
        (MASK.mask.png[:-40], {}, "mask cannot be read"),
        (b"no picture", {}, "mask cannot be read"),
        (b"", {}, "mask cannot be read"),
        (np.zeros((2, 9), np.uint8), {}, "not a guidance file"),
        (np.zeros(9, np.float16), {}, "not a guidance file"),
        (MASK.mask.png, {"mask": None}, "not a guidance file"),
        (MASK.mask.png, {"mask": 3}, "not a guidance file"),
        (MASK.mask.png, {"mask": ["background", "a\nb"]}, "one line"),
        (MASK.mask.png, {"mask": ["background", "cat"] * 150}, "not a guidance file"),
        (MASK.mask.png, {"annotation": MASK.to_json()}, "not a guidance file"),
        (Annotation.from_mask(np.zeros((30, 40), np.uint8), ["cat"]).mask.png, {}, "mask is 40x30 pixels but its image is 80x60"),
    ],
)
def test_a_guidance_file_with_a_mask_that_is_not_as_it_was_saved_is_refused(segmenter, tensor, entry, words):
    data = segmenter.guide(photo(0), MASK + CAT).to_bytes()
    assert Guidance.from_bytes(data).to_bytes() == data
    (image,) = header_of(data)["images"]
    tensor = np.frombuffer(tensor, np.uint8) if isinstance(tensor, bytes) else tensor
    with pytest.raises(InputError, match=words):
        Guidance.from_bytes(changed(data, {"images": [image | entry]}, **{"0.mask": tensor}))
    unsaid = {key: value for key, value in image.items() if key != "mask"}
    with pytest.raises(InputError, match="not a guidance file"):
        Guidance.from_bytes(changed(data, {"images": [unsaid]}))


@pytest.mark.parametrize("annotation", [CAT, MASK])
def test_a_guidance_file_with_any_byte_changed_is_read_or_refused(segmenter, annotation):
    data, rng = segmenter.guide(photo(0), annotation).to_bytes(), np.random.default_rng(0)
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
