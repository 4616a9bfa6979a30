"""COCO taken in."""

import json

import numpy as np
import pytest
from labelled import LABELS, NAMES
from PIL import Image
from pycocotools import mask as coco_mask

from guided_demo import InputError
from guided_demo.export import Mask, write
from guided_demo.imports import coco_region, read_json, read_yolo
from guided_demo.session import ClassItem


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
