"""Annotations taken in from masks, JSON and COCO."""

import io
import json
import os

import numpy as np
import pytest
import tifffile
from pictures import file_of
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.ndimage import gaussian_filter

from guided_demo import Annotation, InputError, Point, Stroke
from guided_demo.export import Mask, indexed_png, write
from guided_demo.imports import class_names, coco_region, read_json, read_mask, read_yolo, yolo_names
from guided_demo.session import ClassItem

NAMES = ("background", "cat", "dog")
LABELS = gaussian_filter(np.random.default_rng(0).random((3, 40, 50)), (0, 3, 3)).argmax(0).astype(np.uint8)


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


def read_coco(data, name):
    return {photo: annotation() for photo, annotation in read_json(data, name)}


@pytest.mark.parametrize("form", ["coco-rle", "coco-polygons"])
def test_coco_comes_back_as_it_went(form):
    masks = [Mask("a.jpg", LABELS, Image.Image), Mask("b.jpg", np.zeros((3, 4), np.uint8), Image.Image)]
    files = dict(write(masks, [ClassItem(name, "#888888") for name in NAMES], form))
    read = read_coco(files["annotations.json"], "annotations.json")
    for mask in masks:
        found = read[mask.name].label_map(mask.labels.shape[::-1], NAMES)
        assert np.array_equal(found, mask.labels)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_of_pycocotools(compressed):
    region = np.asfortranarray(LABELS == 1, np.uint8)
    code = coco_mask.encode(region)
    flat = region.ravel(order="F")
    ends = [*np.flatnonzero(np.diff(flat, prepend=0)).tolist(), flat.size]
    counts = code["counts"].decode() if compressed else np.diff(ends, prepend=0).tolist()
    coco = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 50, "height": 40}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 3, "segmentation": {"size": [40, 50], "counts": counts}}],
    }
    annotation = read_coco(json.dumps(coco).encode(), "a.json")["a.jpg"]
    assert np.array_equal(annotation.label_map((50, 40), ("background", "cat")), LABELS == 1)


def test_coco_regions_of_all_kinds_lie_over_one_another_in_their_order():
    rng, size = np.random.default_rng(0), (50, 40)
    annotations, expected = [], np.zeros(size[::-1], np.uint8)
    x, y = np.meshgrid(np.arange(50) + 0.5, np.arange(40) + 0.5)
    for number in range(40):
        kind = int(rng.integers(1, 3))
        (left, top), (width, height) = rng.integers(-10, 50, 2).tolist(), rng.integers(1, 16, 2).tolist()
        right, bottom = left + width, top + height
        region = (x > left) & (x < right) & (y > top) & (y < bottom)
        outline = [[left, top, right, top, right, bottom, left, bottom]]
        code = coco_mask.encode(np.asfortranarray(region, np.uint8))
        runs = {"size": code["size"], "counts": code["counts"].decode()}
        annotations.append({"image_id": 7, "category_id": kind, "segmentation": runs if number % 2 else outline})
        expected[region] = kind
    coco = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 50, "height": 40}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": annotations,
    }
    assert np.array_equal(read_coco(json.dumps(coco).encode(), "a.json")["a.jpg"].label_map(size, NAMES), expected)
    assert set(np.unique(expected)) == {0, 1, 2}


def test_run_lengths_are_told_of_in_the_columns_that_they_are_in():
    rng = np.random.default_rng(0)
    for number in range(300):
        size = tuple(rng.integers(1, 12, 2).tolist())
        cuts = np.sort(rng.integers(0, size[0] * size[1] + 1, number % 7))
        runs = np.diff([0, *cuts, size[0] * size[1]])
        expected = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size).T
        box, inside = coco_region({"size": size[::-1], "counts": runs.tolist()}, size)
        found = np.zeros(size[::-1], bool)
        found[box] = inside
        assert np.array_equal(found, expected)
    box, inside = coco_region({"size": [4000, 6000], "counts": [4000 * 300 + 7, 80, 3920, 80, 4000 * 5699 - 87]}, (6000, 4000))
    assert box[1] == slice(300, 302) and inside.shape == (4000, 2) and inside.sum() == 160


@pytest.mark.timeout(60)  # it took minutes, as each outline was filled on the whole photo
@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_many_small_outlines_on_a_large_photo_are_soon_read(form):
    size = (4000, 2000)
    corners = np.stack(np.meshgrid(np.arange(0, 4000, 50), np.arange(0, 2000, 50)), -1).reshape(-1, 2) + 10
    outlines = [(corner + [[0, 0], [20, 0], [20, 10], [0, 10]]).astype(float) for corner in corners]
    if form == "coco":
        coco = {
            "images": [{"id": 7, "file_name": "a.jpg", "width": 4000, "height": 2000}],
            "categories": [{"id": 1, "name": "class 1"}],
            "annotations": [{"image_id": 7, "category_id": 1, "segmentation": [o.ravel().tolist()]} for o in outlines],
        }
        annotation = read_coco(json.dumps(coco).encode(), "a.json")["a.jpg"]
    else:
        lines = [" ".join(map(str, [0, *(outline / size).ravel()])) for outline in outlines]
        annotation = read_yolo("\n".join(lines).encode(), None, size, "a.txt")
    tile = np.zeros((50, 50), np.uint8)
    tile[10:20, 10:30] = 1
    assert np.array_equal(annotation.label_map(size, ["background", "class 1"]), np.tile(tile, (40, 80)))


@pytest.mark.parametrize("no_outline", [{}, {"segmentation": []}])
def test_a_coco_box_without_an_outline_is_its_area(no_outline):
    coco = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 5, "height": 4}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 1, 3, 2], **no_outline}],
    }
    found = read_coco(json.dumps(coco).encode(), "a.json")["a.jpg"].label_map((5, 4), ("background", "cat"))
    assert found.tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    "change",
    [
        {"images": None},
        {"categories": []},
        {"annotations": [{"image_id": 9, "category_id": 3, "segmentation": []}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": {"size": [4, 5], "counts": [21]}}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": {"size": [4, 5], "counts": [-1, 21]}}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": [[1, 2, 3]]}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": {"size": [4, 5], "counts": "o" * 50}}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": []}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3]}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": [[0, 0, 2, float("nan"), 2, 2]]}]},
        {"images": [{"id": 7, "file_name": "a.jpg", "width": float("inf"), "height": 4}]},
    ],
)
def test_broken_coco_says_so(change):
    coco = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 5, "height": 4}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 3, "segmentation": [[0, 0, 2, 0, 2, 2]]}],
    }
    assert read_coco(json.dumps(coco).encode(), "a.json")["a.jpg"].classes == ("background", "cat")
    with pytest.raises(InputError, match=r"a\.json is not COCO JSON"):
        read_coco(json.dumps(coco | change).encode(), "a.json")


def test_a_photo_is_read_however_many_classes_others_have():
    coco = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 5, "height": 4}],
        "categories": [{"id": i, "name": f"kind {i}"} for i in range(1200)],
        "annotations": [
            {"image_id": 7, "category_id": i, "segmentation": [[x, 0, x + 1, 0, x + 1, 4, x, 4]]} for x, i in ((1, 900), (2, 254))
        ],
    }
    annotation = read_coco(json.dumps(coco).encode(), "a.json")["a.jpg"]
    assert annotation.classes == ("background", "kind 254", "kind 900")
    assert annotation.label_map((5, 4), annotation.classes)[0].tolist() == [0, 2, 1, 0, 0]


CLASSES = tuple(ClassItem(name, "#000000") for name in NAMES)


def test_our_yolo_files_come_back():
    files = dict(write([Mask("a.png", LABELS, lambda: None)], CLASSES, "yolo"))
    names = yolo_names(files["data.yaml"], "data.yaml")
    assert tuple(names) == NAMES
    assert np.array_equal(read_yolo(files["labels/a.txt"], names, (50, 40), "a.txt").label_map((50, 40), NAMES), LABELS)
    assert yolo_names(b"names: [cat, 7]", "data.yaml") == ["background", "cat", "7"]
    beside = b"".join(b"split%d: [a, b]\n" % number for number in range(30))  # many lists, but none within another
    assert yolo_names(beside + b"names: [cat]", "data.yaml") == ["background", "cat"]
    assert read_yolo(b"", None, (5, 4), "a.txt").classes == ("background",)


def test_a_yolo_box_is_its_area():
    expected = np.zeros((40, 50), np.uint8)
    expected[10:30, 5:15] = 1
    assert np.array_equal(
        read_yolo(b"0 .2 .5 .2 .5\n", None, (50, 40), "a.txt").label_map((50, 40), ["background", "class 1"]), expected
    )


@pytest.mark.parametrize("line", ["0 .2 .5 .2 .5", "0 .1 .1 .4 .1 .4 .4"], ids=["box", "outline"])
def test_a_yolo_line_may_end_in_how_sure_a_network_was(line):
    bare, sure = (read_yolo(text.encode(), NAMES, (50, 40), "a.txt") for text in (line, f"{line} 0.873"))
    assert bare == sure and len(bare.classes) == 2


def test_yolo_corners_in_pixels_are_not_taken_for_a_photo_of_background():
    with pytest.raises(InputError, match=r"^a\.txt does not .* \(31 is not a part of the photo from 0 to 1\)\.$"):
        read_yolo(b"0 10 10 31 10 31 20\n", NAMES, (50, 40), "a.txt")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"0 .1 .2 .3", "does not have YOLO's"),
        (b"cat .1 .1 .2 .2 .3 .3", "does not have YOLO's"),
        (b"0 .1 .1 .2 nan .3 .3", "does not have YOLO's"),
        (b"9 .1 .1 .2 .2 .3 .3", "has class 9"),
        (b"-1 .1 .1 .2 .2 .3 .3", "has class -1"),
        (b"\xff\xff", "does not have YOLO's"),
    ],
)
def test_damaged_yolo_files_get_a_sentence(data, words):
    with pytest.raises(InputError, match=rf"^a\.txt {words}"):
        read_yolo(data, NAMES, (50, 40), "a.txt")
    with pytest.raises(InputError, match=r"data\.yaml"):
        yolo_names(b"[1, 2", "data.yaml")


@pytest.mark.parametrize("names", ["cat", "7", "", "{1: cat, 2: dog}", "{0: cat, 2: dog}"])
def test_names_that_may_be_of_other_numbers_are_refused(names):
    """The letters of a text were its names, and class 1 of those numbered from 1 was called as the second."""
    with pytest.raises(InputError, match=r"^data\.yaml has no list of class names, such as names: \[cat, dog\]"):
        yolo_names(f"names: {names}".encode(), "data.yaml")
    assert yolo_names(b"names: {1: dog, 0: cat}", "data.yaml") == ["background", "cat", "dog"]


@pytest.mark.parametrize(
    "data",
    [
        b"a: &a [x, x]\nb: &b [*a, *a]\nnames: *b",
        b"names: " + b"[" * 30_000,
        b"- " * 30_000,
        b"names: [2001-99-99]",
        b"names: !!int x",
        b"names: !!timestamp x",
    ],
    ids=["aliases", "deep", "dashes", "date", "int", "timestamp"],
)
def test_a_list_of_names_made_to_take_all_memory_gets_a_sentence(data):
    """Aliases of aliases made terabytes of some hundred bytes, brackets in brackets took minutes; the others ended the reading of
    all files."""
    with pytest.raises(InputError, match=r"data\.yaml has no list of class names"):
        yolo_names(data, "data.yaml")


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
