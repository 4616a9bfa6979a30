"""Annotations taken in from masks, points and strokes in JSON, and labelme."""

import io
import json
import os

import numpy as np
import pytest
import tifffile
from labelled import CLASSES, LABELS, NAMES
from pictures import file_of
from PIL import Image

from guided_demo import Annotation, InputError, Point, Stroke
from guided_demo.export import Mask, indexed_png, write
from guided_demo.imports import class_names, read_json, read_mask


@pytest.mark.parametrize("mode", ["P", "L"])
def test_mask_images_become_annotations(mode):
    marked = np.where(LABELS == 2, 255, LABELS).astype(np.uint8)
    data = indexed_png(marked) if mode == "P" else file_of(Image.fromarray(marked))
    assert np.array_equal(read_mask(data, NAMES, "a.png").label_map((50, 40), NAMES), marked)
    unnamed = read_mask(data, None, "a.png")
    assert unnamed.classes == ("background", "class 1")
    assert np.array_equal(unnamed.label_map((50, 40), unnamed.classes), marked)


def test_black_and_white_is_one_class():
    region = LABELS == 1
    for picture in (Image.fromarray(region), Image.fromarray(region * np.uint8(255)), Image.fromarray(region * np.uint8(1))):
        assert np.array_equal(read_mask(file_of(picture), NAMES[:2], "a.png").label_map((50, 40), NAMES), region)


def test_white_all_over_is_that_class_or_said_to_be_unclear():
    for white in (Image.new("1", (50, 40), 1), Image.fromarray(np.full((40, 50), 65535, np.uint16))):
        annotation = read_mask(file_of(white), NAMES[:2], "a.png")
        assert (annotation.label_map((50, 40), NAMES) == 1).all() and annotation.classes == ("cat",)
    with pytest.raises(InputError, match=r"a\.png is 255 everywhere, .* such as 1\."):
        read_mask(file_of(Image.new("L", (50, 40), 255)), NAMES[:2], "a.png")
    assert read_mask(indexed_png(np.full((40, 50), 255, np.uint8)), NAMES, "a.png").is_empty  # all unsure, as exported


def test_pixels_left_without_a_class_stay_so_also_where_nothing_but_background_is_beside_them():
    labels = np.where(LABELS == 1, 255, 0).astype(np.uint8)
    annotation = read_mask(indexed_png(labels), NAMES, "a.png")
    assert annotation.classes == ("background",)
    assert np.array_equal(annotation.label_map((50, 40), NAMES), labels)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "cannot be read as a mask"),
        (indexed_png(LABELS)[:99], "read as a mask"),
        (indexed_png(LABELS).replace(b"\0\0\0\rIHDR", b"\0\0\0\x05IHDR"), "read as a mask"),  # which Pillow has a ValueError for
        (file_of(Image.new("RGB", (3, 3))), "colour"),
    ],
)
def test_what_is_no_mask_says_so(data, words):
    with pytest.raises(InputError, match=rf"a\.png .*{words}"):
        read_mask(data, NAMES, "a.png")


def test_a_stack_is_no_mask_and_a_small_preview_makes_none():
    def two_pages(**second):
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as file:
            file.write(LABELS)
            file.write(LABELS[:20, :25], **second)
        return buffer.getvalue()

    assert np.array_equal(read_mask(two_pages(subfiletype=1), NAMES, "a.tif").label_map((50, 40), NAMES), LABELS)
    with pytest.raises(InputError, match=r"^a\.tif is a stack"):
        read_mask(two_pages(), NAMES, "a.tif")


def test_a_mask_is_never_given_to_another_program(tmp_path, monkeypatch):
    """A page of PostScript that was called mask.png was run."""
    program, run = tmp_path / "gs", tmp_path / "run"
    program.write_text(f"#!/bin/sh\ntouch {run}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(InputError, match=r"mask\.png cannot be read as a mask"):
        read_mask(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\nshowpage\n", NAMES, "mask.png")
    assert not run.exists()


def test_a_mask_value_without_a_class_says_so():
    with pytest.raises(InputError, match=r"value 2, but only values below 2 have the name of a class; .* 255 where"):
        read_mask(indexed_png(LABELS), NAMES[:2], "a.png")


def test_annotations_from_json():
    annotation = Annotation(points=[(3, 4, "cat")], strokes=[([(1, 2), (3, 4)], None, 2.5)])
    ((name, read),) = read_json(json.dumps({"a.jpg": annotation.to_json()}).encode(), "clicks.json")
    assert (name, read()) == ("a.jpg", annotation)
    assert Point(3, 4, "cat") in annotation.marks
    huge = b'{"a.jpg": {"marks": [{"point": [1' + b"0" * 400 + b', 1], "label": "cat"}]}}'
    for data in (b"[1]", b'{"a.jpg": 3}', b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(InputError, match=r"clicks\.json"):
            list(read_json(data, "clicks.json"))
    ((_, read),) = read_json(huge, "clicks.json")
    with pytest.raises(InputError, match="not an annotation"):
        read()


def test_class_lists():
    for text in ("background\ncat\nZürich dog\n", "background\ncat\nZürich dog", "background\r\ncat\r\nZürich dog\r\n"):
        for encoding in ("utf-8", "utf-8-sig"):  # the latter is what some programs of Windows write
            assert class_names(text.encode(encoding), "classes.txt") == ["background", "cat", "Zürich dog"]
    with pytest.raises(InputError, match=r"classes\.txt"):
        class_names(b"\xff", "classes.txt")


def test_our_labelme_files_come_back():
    ((name, data),) = write([Mask("sub/a.png", LABELS, lambda: None)], CLASSES, "labelme")
    ((photo, annotation),) = read_json(data, name)
    assert photo == "sub/a.png"
    assert np.array_equal(annotation().label_map((50, 40), NAMES), LABELS)


@pytest.mark.parametrize(
    "change",
    [
        {"imageWidth": "wide"},
        {"imageWidth": 10**9},
        {"shapes": [{"label": "cat", "shape_type": "point", "points": [[1, 1], [2, 2]]}]},
        {"shapes": [{"label": "cat", "shape_type": "line", "points": [[1, "two"], [2, 2]]}]},
        {"shapes": [{"label": "cat", "shape_type": "cuboid", "points": [[1, 1], [2, 2]]}]},
        {"shapes": [{"label": "cat", "points": [[1, 1]]}]},
        {"shapes": [{"label": "cat", "shape_type": "mask", "points": []}]},
        {"shapes": [{"label": "cat", "shape_type": "mask", "points": [[1, 1], [2, 2]]}]},
        {"shapes": [{"label": "cat", "shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "iVBORw0K"}]},
        {"shapes": [{"label": "cat", "points": [[1, float("inf")], [2, 2], [3, 1]]}]},
        {"shapes": [{"label": "cat", "shape_type": "circle", "points": [[1, 1], [1e6, 1]]}]},
        {"shapes": 7},
        {"imageWidth": float("inf")},
    ],
)
def test_damaged_labelme_files_get_a_sentence(change):
    content = {"imageWidth": 50, "imageHeight": 40, "shapes": []} | change
    with pytest.raises(InputError, match=r"a\.json"):
        [annotation() for _, annotation in read_json(json.dumps(content).encode(), "a.json")]


@pytest.mark.parametrize("besides", [[], [{"label": "cat", "points": [[10, 10], [20, 10], [20, 20], [10, 20]]}]])
def test_points_and_lines_of_labelme_are_marks(besides):
    """One of them refused the whole file."""
    shapes = [
        {"label": "dog", "shape_type": "point", "points": [[30, 12.5]]},
        *besides,
        {"label": "background", "shape_type": "linestrip", "points": [[1, 1], [9, 1], [9, 30]]},
    ]
    ((_, read),) = read_json(json.dumps({"imageWidth": 50, "imageHeight": 40, "shapes": shapes}).encode(), "a.json")
    annotation = read()
    assert annotation.marks == (Point(30, 12.5, "dog"), Stroke(((1, 1), (9, 1), (9, 30)), "background", 5))
    labels = annotation.label_map((50, 40), ["background", "cat", "dog"])
    assert (labels[12, 30], labels[15, 15], labels[35, 45]) == ((2, 1, 0) if besides else (2, 255, 255))
