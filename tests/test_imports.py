"""Annotations taken in from masks, JSON and COCO."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.ndimage import gaussian_filter

from guided_demo import Annotation, InputError, Point
from guided_demo.export import Mask, indexed_png, write
from guided_demo.imports import read_annotations, read_classes, read_coco, read_mask
from guided_demo.session import ClassItem

NAMES = ("background", "cat", "dog")
LABELS = gaussian_filter(np.random.default_rng(0).random((3, 40, 50)), (0, 3, 3)).argmax(0).astype(np.uint8)


@pytest.mark.parametrize("mode", ["P", "L"])
def test_mask_images_become_annotations(tmp_path, mode):
    marked = np.where(LABELS == 2, 255, LABELS).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(indexed_png(marked)) if mode == "P" else Image.fromarray(marked).save(path)
    assert np.array_equal(read_mask(path, NAMES).label_map((50, 40), NAMES), marked)


@pytest.mark.parametrize(
    "data, words", [(b"", "cannot be read as a mask"), (None, "cannot be read as a mask"), ("RGB", "colour picture")]
)
def test_what_is_no_mask_says_so(tmp_path, data, words):
    path = tmp_path / "a.png"
    if data == "RGB":
        Image.new("RGB", (3, 3)).save(path)
    elif data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_mask(path, NAMES)


def test_a_mask_value_without_a_class_says_so(tmp_path):
    (tmp_path / "a.png").write_bytes(indexed_png(LABELS))
    with pytest.raises(InputError, match="value 2"):
        read_mask(tmp_path / "a.png", NAMES[:2])


def test_annotations_from_json(tmp_path):
    path = tmp_path / "clicks.json"
    annotation = Annotation(points=[(3, 4, "cat")], strokes=[([(1, 2), (3, 4)], None, 2.5)])
    path.write_text(json.dumps({"a.jpg": annotation.to_json()}))
    assert Annotation.from_json(read_annotations(path)["a.jpg"]) == annotation
    assert Point(3, 4, "cat") in annotation.marks
    for text in ("[1]", '{"a.jpg": 3}', "{", "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"clicks\.json"):
            read_annotations(path)


def test_class_lists(tmp_path):
    (tmp_path / "classes.txt").write_text("background\ncat\nZürich dog\n", encoding="utf-8")
    assert read_classes(tmp_path / "classes.txt") == ["background", "cat", "Zürich dog"]
    with pytest.raises(InputError, match=r"none\.txt"):
        read_classes(tmp_path / "none.txt")


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


@pytest.mark.parametrize(
    "change",
    [
        {"images": None},
        {"categories": []},
        {"annotations": [{"image_id": 9, "category_id": 3, "segmentation": []}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": {"size": [4, 5], "counts": [21]}}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": {"size": [4, 5], "counts": [-1, 21]}}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "segmentation": [[1, 2, 3]]}]},
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
    with pytest.raises(InputError, match=r"a\.json is not COCO JSON"):
        read_coco(b"\xff", "a.json")
