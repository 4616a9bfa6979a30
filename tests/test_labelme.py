"""labelme's files in both directions, read and written by labelme itself."""

import importlib
import json
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from guided_demo.export import Mask, write
from guided_demo.imports import read_json
from guided_demo.session import ClassItem

NAMES = ("background", "cat", "Zürich: dog")
CLASSES = tuple(ClassItem(name, "#888888") for name in NAMES)
SIZE = (120, 90)
# What labelme has its windows, networks, sample pictures and log from: nothing that reads, writes or draws shapes.
APART = ("PyQt5", "onnxruntime", "imgviz", "imgviz.io", "loguru")


@pytest.fixture(scope="module")
def labelme():
    with pytest.MonkeyPatch.context() as patch:
        for name in APART:
            patch.setitem(sys.modules, name, MagicMock())
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # which labelme lifts
        yield importlib.import_module("labelme")
    for name in [name for name in sys.modules if name.split(".")[0] == "labelme"]:
        del sys.modules[name]


@pytest.fixture
def masks():
    """Blobs with holes and islands, a single pixel, background only; sizes differ, two names would collide."""
    blobs = gaussian_filter(np.random.default_rng(0).random((3, *SIZE[::-1])), (0, 4, 4)).argmax(0)
    maps = [blobs, np.full((1, 1), 2), np.zeros((20, 30))]
    return [Mask(name, m.astype(np.uint8), Image.Image) for name, m in zip(["a.jpg", "sub/b.png", "a.png"], maps, strict=True)]


def drawn(labelme, file):
    """The labels of a file's shapes as labelme draws them."""
    height, width = labelme.utils.img_data_to_arr(file.image_data).shape[:2]
    labels, _ = labelme.utils.shapes_to_label((height, width), file.shapes, {name: i for i, name in enumerate(NAMES)})
    return labels


def test_labelme_reads_the_masks_that_were_exported(labelme, masks, tmp_path):
    files = dict(write(masks, CLASSES, "labelme"))
    assert list(files) == ["a.json", "sub/b.json", "a.png.json"]
    (tmp_path / "sub").mkdir()
    for mask, (name, data) in zip(masks, files.items(), strict=True):
        (tmp_path / name).write_bytes(data)
        Image.new("RGB", mask.labels.shape[::-1]).save(tmp_path / mask.name)
        read = labelme.LabelFile(str(tmp_path / name))  # it compares height and width with those of the photo
        assert np.array_equal(drawn(labelme, read), mask.labels)
        assert bool(read.shapes) == mask.labels.any()


def test_labelme_refuses_a_size_that_is_not_the_photos(labelme, masks, tmp_path):
    (name, data), *_ = write(masks, CLASSES, "labelme")
    (tmp_path / name).write_bytes(data)
    Image.new("RGB", (SIZE[0], SIZE[1] + 1)).save(tmp_path / masks[0].name)
    with pytest.raises(labelme._label_file.LabelFileError, match="imageHeight"):
        labelme.LabelFile(str(tmp_path / name))


@pytest.mark.parametrize("kind", ["rectangle", "rotation"])
def test_boxes_of_x_anylabeling_have_all_four_corners(kind):
    corners = [[2, 3], [8, 3], [8, 6], [2, 6]]
    shape = {"label": "cat", "shape_type": kind, "points": corners}
    file = {"shapes": [shape], "imagePath": "a.jpg", "imageData": None, "imageHeight": 10, "imageWidth": 20}
    ((_, annotation),) = read_json(json.dumps(file).encode(), "a.json")
    expected = np.zeros((10, 20), np.uint8)
    expected[3:7, 2:9] = 1
    assert np.array_equal(annotation().label_map((20, 10), NAMES), expected)


def test_all_that_labelme_draws_has_the_area_it_gives_it(labelme, tmp_path):
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    part = np.random.default_rng(1).random((12, 20)) < 0.5
    mask = labelme.utils.img_arr_to_b64(part.astype(np.uint8))
    shapes = [
        {"label": "cat", "shape_type": "rectangle", "points": [[20, 30], [5, 10]]},
        {"label": "Zürich: dog", "shape_type": "circle", "points": [[35, 20], [40.5, 20]]},
        {"label": "cat", "shape_type": "polygon", "points": [[50.2, 3], [80, 8.7], [60, 40], [66, 20]]},
        {"label": "Zürich: dog", "shape_type": "oriented_rectangle", "points": [[90, 10], [110, 20], [100, 40], [80, 30]]},
        {"label": "Zürich: dog", "shape_type": "mask", "points": [[10.0, 50.0], [29.0, 61.0]], "mask": mask},
        {"label": "background", "shape_type": "rectangle", "points": [[60, 8], [70, 12]]},
    ]
    path = tmp_path / "a.json"
    labelme.LabelFile().save(str(path), shapes, "..\\photos\\a.png", SIZE[1], SIZE[0])
    ((photo, annotation),) = read_json(path.read_bytes(), "labels/a.json")
    assert photo == "labels/a.png"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"imagePath": "a.png"}))
    assert np.array_equal(annotation().label_map(SIZE, NAMES), drawn(labelme, labelme.LabelFile(str(path))))
