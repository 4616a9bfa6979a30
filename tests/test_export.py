"""Exported masks, read back by programs that are not ours."""

import contextlib
import csv
import io
import json

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.ndimage import gaussian_filter

from guided_demo.errors import InputError
from guided_demo.export import FORMATS, Mask, indexed_png, run_lengths, voc_palette, write
from guided_demo.imports import yolo_names
from guided_demo.session import ClassItem

CLASSES = (ClassItem("background", "#888888"), ClassItem("cat", "#ff0000"), ClassItem("Zürich: dog", "#0000ff"))


@pytest.fixture
def masks():
    """Blobs with holes and islands, a single pixel, background only; sizes differ, two names would collide."""
    rng = np.random.default_rng(0)
    blobs = gaussian_filter(rng.random((3, 90, 120)), (0, 4, 4)).argmax(0)
    maps = [blobs, np.full((1, 1), 2), np.zeros((20, 30))]
    names = ["cat.jpg", "sub/one.png", "cat.png"]
    photo = Image.new("RGB", (120, 90), "gray")
    return [Mask(name, m.astype(np.uint8), lambda: photo) for name, m in zip(names, maps, strict=True)]


def regions(masks):
    """(image number, class, pixels) of all that should be found again."""
    for number, mask in enumerate(masks):
        for value in np.unique(mask.labels[mask.labels > 0]):
            yield number, int(value), mask.labels == value


def naive_voc_color(index):
    color = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            color[channel] |= ((index >> channel) & 1) << (7 - place)
        index >>= 3
    return color


def test_palette_is_that_of_voc():
    palette = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
    assert palette.tolist() == [naive_voc_color(i) for i in range(256)]
    assert palette[[1, 15, 255]].tolist() == [[128, 0, 0], [192, 128, 128], [224, 224, 192]]


def test_indexed_png_keeps_every_value():
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    image = Image.open(io.BytesIO(indexed_png(labels)))
    assert image.mode == "P"
    assert np.array_equal(image, labels)
    assert bytes(image.getpalette()) == voc_palette()


def test_png_files(masks):
    files = dict(write(masks, CLASSES, "png", [mask.name for mask in masks]))
    assert list(files) == ["classes.txt", "cat.jpg.png", "sub/one.png", "cat.png.png"]
    assert files["classes.txt"].decode() == "background\ncat\nZürich: dog\n"
    for mask, name in zip(masks, list(files)[1:], strict=True):
        assert np.array_equal(Image.open(io.BytesIO(files[name])), mask.labels)


@pytest.mark.parametrize("form", ["coco-rle", "coco-polygons"])
def test_coco_is_read_by_pycocotools(masks, form, tmp_path):
    files = dict(write(masks, CLASSES, form))
    (tmp_path / "annotations.json").write_bytes(files["annotations.json"])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "annotations.json")
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == [mask.name for mask in masks]
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == {1: "cat", 2: "Zürich: dog"}
    for number, value, expected in regions(masks):
        found = coco.loadAnns(coco.getAnnIds(imgIds=[number + 1], catIds=[value]))
        parts = [coco.annToMask(annotation).astype(bool) for annotation in found]
        assert np.array_equal(np.any(parts, axis=0), expected)
        assert sum(annotation["area"] for annotation in found) == expected.sum()
        for annotation, part in zip(found, parts, strict=True):
            box = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(part, np.uint8)))
            assert annotation["bbox"] == box.tolist()
    assert len(coco.getAnnIds(imgIds=[3])) == 0


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_run_lengths_are_those_of_pycocotools(density):
    region = np.random.default_rng(0).random((60, 700)) < density
    region[:, :300] = density > 0.5  # long runs too
    assert run_lengths(region) == coco_mask.encode(np.asfortranarray(region, np.uint8))["counts"].decode()


@pytest.mark.parametrize("form", FORMATS)
def test_pixels_without_a_class_are_nothing_in_any_format(masks, form):
    sure, unsure = masks[0], Mask(masks[0].name, masks[0].labels.copy(), masks[0].photo)
    sure.labels[:30] = 0
    unsure.labels[:30] = 255
    files, others = dict(write([unsure], CLASSES, form)), dict(write([sure], CLASSES, form))
    if form == "png":
        assert np.array_equal(Image.open(io.BytesIO(files["cat.png"])), unsure.labels)
    elif form == "tiff":
        assert np.array_equal(tifffile.imread(io.BytesIO(files["masks.tif"])), unsure.labels)
    elif form == "csv":
        pixels = {row["class"]: int(row["pixels"]) for row in csv.DictReader(io.StringIO(files["areas.csv"].decode()))}
        assert list(pixels.values()) == [(unsure.labels == value).sum() for value in range(3)]
    else:
        assert files == others


def test_yolo(masks):
    files = dict(write(masks, CLASSES, "yolo"))
    assert yaml.safe_load(files["data.yaml"])["names"] == {0: "cat", 1: "Zürich: dog"}
    assert list(files)[1:] == ["labels/cat.txt", "labels/sub/one.txt", "labels/cat.png.txt"]
    for number, value, expected in regions(masks):
        lines = [line.split() for line in list(files.values())[number + 1].decode().splitlines()]
        height, width = expected.shape
        found = np.zeros(expected.shape, bool)
        for kind, *numbers in lines:
            corners = np.array(numbers, float)
            assert ((corners >= 0) & (corners <= 1)).all()
            if int(kind) == value - 1:
                polygon = corners.reshape(-1, 2) * (width, height)
                codes = coco_mask.frPyObjects([polygon.ravel().tolist()], height, width)
                found |= coco_mask.decode(codes)[..., 0].astype(bool)
        assert (found & expected).sum() >= 0.99 * (found | expected).sum()
    assert files["labels/cat.png.txt"] == b""


def test_yolo_keeps_any_class_name():
    names = ["🐆 cat", "yes", 'a: "b" #c', "الأسد"]
    classes = [ClassItem(name, "#888888") for name in ("background", *names)]
    ((_, data),) = write([], classes, "yolo")
    assert list(yaml.safe_load(data)["names"].values()) == names
    assert yolo_names(data, "data.yaml") == ["background", *names]


def test_tiff_is_read_by_tifffile(masks):
    files = dict(write(masks, CLASSES, "tiff"))
    with tifffile.TiffFile(io.BytesIO(files["masks.tif"])) as stack:
        assert len(stack.pages) == 3
        for page, mask in zip(stack.pages, masks, strict=True):
            assert np.array_equal(page.asarray(), mask.labels)
    assert files["pages.txt"].decode().splitlines() == [mask.name for mask in masks]


def test_csv(masks):
    rows = list(csv.DictReader(io.StringIO(dict(write(masks, CLASSES, "csv"))["areas.csv"].decode(), newline="")))
    assert len(rows) == 9
    for row, (mask, value) in zip(rows, ((mask, value) for mask in masks for value in range(3)), strict=True):
        assert (row["image"], row["class"]) == (mask.name, CLASSES[value].name)
        assert int(row["pixels"]) == (mask.labels == value).sum()
        assert float(row["share"]) == pytest.approx((mask.labels == value).mean(), abs=1e-6)


def test_a_spreadsheet_computes_no_name():
    classes = (CLASSES[0], ClassItem('=HYPERLINK("http://example.org")', "#ff0000"), ClassItem("-2+3", "#0000ff"))
    blank = Mask("@a.jpg", np.zeros((4, 5), np.uint8), lambda: None)
    rows = list(csv.reader(io.StringIO(dict(write([blank], classes, "csv"))["areas.csv"].decode(), newline="")))
    assert [row[:2] for row in rows[1:]] == [["'@a.jpg", name] for name in ("background", "'" + classes[1].name, "'-2+3")]


@pytest.mark.parametrize("form", FORMATS)
def test_any_name_of_a_photo_can_be_written(form):
    blank = [Mask(name, np.zeros((4, 5), np.uint8), lambda: Image.new("RGB", (5, 4))) for name in ("a\nb.jpg", "c\ud800.jpg")]
    files = dict(write(blank, CLASSES, form))
    if form == "tiff":
        assert files["pages.txt"].decode().splitlines() == ["a_b.jpg", "c?.jpg"]


def test_inside_of_files_photos_have_their_own_names_and_not_those_that_files_may_have():
    names = ["at 12:30?.jpg", "day: 1/con.png", "long" * 50 + ".jpeg"]
    masks = [Mask(name, np.ones((4, 5), np.uint8), lambda: None) for name in names]
    made = {form: dict(write(masks, CLASSES, form, names)) for form in ("coco-rle", "coco-polygons", "tiff", "labelme")}
    for form in ("coco-rle", "coco-polygons"):
        assert [image["file_name"] for image in json.loads(made[form]["annotations.json"])["images"]] == names
    assert made["tiff"]["pages.txt"].decode().splitlines() == names
    assert [json.loads(data)["imagePath"] for data in made["labelme"].values()] == [names[0], "con.png", names[2]]


def test_overlays(masks):
    files = dict(write(masks[:1], CLASSES, "overlays"))
    picture = np.asarray(Image.open(io.BytesIO(files["cat.jpg"])), int)
    red = picture[masks[0].labels == 1].mean(0)
    assert np.abs(red - [191, 64, 64]).max() < 12


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:1]])
def test_no_images_and_no_classes_make_whole_files(form, classes):
    empty = dict(write([], classes, form))
    blank = dict(write([Mask("a.jpg", np.zeros((4, 5), np.uint8), lambda: Image.new("RGB", (5, 4)))], classes, form))
    for name, data in (*empty.items(), *blank.items()):
        if name.endswith(".json"):
            json.loads(data)
        if name.endswith(".yaml"):
            assert len(yaml.safe_load(data)["names"]) == len(classes) - 1


def test_unknown_format():
    with pytest.raises(InputError, match="'bmp'; choose one of png"):
        write([], CLASSES, "bmp")
