"""Every public layout, read from a tiny copy of it."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny import halves, mask, picture

from guided_demo import InputError
from guided_demo.meta.datasets import open_dataset

# --- VOC -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def voc_root(tmp_path):
    """Training: cat (8) with person (15), then dog (12); validation: cat, then sheep (17). SBD: cat again, and a val image."""
    from scipy.io import savemat

    base = tmp_path / "VOCdevkit" / "VOC2012"
    shown = {"t1": (8, 15), "t2": (12, 255), "v1": (8, 0), "v2": (17, 8)}
    for name, sides in shown.items():
        picture(base / "JPEGImages" / f"{name}.jpg")
        mask(base / "SegmentationClass" / f"{name}.png", halves(*sides))
        mask(base / "SegmentationObject" / f"{name}.png", halves(1, 255 if sides[1] == 255 else 2 * (sides[1] > 0)))
    lists = base / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("t1\nt2\n")
    (lists / "val.txt").write_text("v1\nv2\n")
    sbd = tmp_path / "benchmark_RELEASE" / "dataset"
    for name in ("s1", "v1"):
        picture(sbd / "img" / f"{name}.jpg")
        for kind in ("cls", "inst"):
            (sbd / kind).mkdir(exist_ok=True)
            truth = {"Segmentation": halves(8, 0) if kind == "cls" else halves(1, 2), "Categories": [[8], [3]]}
            savemat(sbd / kind / f"{name}.mat", {"GTcls" if kind == "cls" else "GTinst": truth})
    (sbd / "train.txt").write_text("v1\n")
    (sbd / "val.txt").write_text("s1\n")
    return tmp_path


def test_voc_with_sbd_and_without_its_validation_images(voc_root):
    train = open_dataset(f"voc:{voc_root}")
    assert train.names == ("t1", "t2", "s1")
    assert train.by_class == {8: [0, 2], 12: [1], 15: [0]} and train.classes[17] == "sheep"
    assert (train[2].labels == halves(8, 0)).all() and (train[1].labels == halves(12, 255)).all()
    assert open_dataset(f"voc/val:{voc_root}").names == ("v1", "v2")


def test_voc_instances(voc_root):
    train = open_dataset(f"voc/train/instance:{voc_root}")
    assert train[0].objects == (0, 8, 15) and (train[0].labels == halves(1, 2)).all()
    assert (train[1].labels[:, 6:] == train.ignore).all() and train.ignore == 65535
    assert train[2].objects == (0, 8, 3)
    assert train.by_class == {3: [2], 8: [0, 2], 12: [1], 15: [0]}


def test_voc_in_the_augmented_form(voc_root):
    base = voc_root / "VOCdevkit" / "VOC2012"
    for name in ("t1", "t2"):
        mask(base / "SegmentationClassAug" / f"{name}.png", halves(3, 3))
    assert open_dataset(f"voc:{voc_root}").by_class[3] == [0, 1]
    listing = base / "ImageSets" / "Segmentation" / "trainaug.txt"
    for listed in ("t2\n", "/JPEGImages/t2.jpg /SegmentationClassAug/t2.png\n"):  # as they are to be had
        listing.write_text(listed)
        augmented = open_dataset(f"voc/trainaug:{voc_root}")
        assert augmented.names == ("t2",) and (augmented[0].labels == 3).all()


@pytest.mark.parametrize("part", ("train", "val"))
def test_a_list_that_is_missing_or_no_text_is_named(voc_root, part):
    listing = voc_root / "benchmark_RELEASE" / "dataset" / f"{part}.txt"
    listing.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=rf"{part}\.txt is not a list of SBD"):
        open_dataset(f"voc:{voc_root}")
    listing.unlink()
    with pytest.raises(InputError, match=rf"expected at .*{part}\.txt"):
        open_dataset(f"voc:{voc_root}")


def test_a_mask_of_sbd_that_is_broken_or_something_else_is_named(voc_root):
    from scipy.io import savemat

    mat = voc_root / "benchmark_RELEASE" / "dataset" / "cls" / "s1.mat"
    whole = mat.read_bytes()
    savemat(mat, {"other": np.zeros(3)})
    foreign = mat.read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2], foreign):
        mat.write_bytes(content)
        with pytest.raises(InputError, match=r"s1\.mat is not a mask of SBD"):
            open_dataset(f"voc:{voc_root}")[2]


def test_pascal5i_holds_its_classes_out(voc_root):
    # fold 3 holds out 16 to 20, fold 2 holds out 11 to 15, fold 1 holds out 6 to 10
    assert open_dataset(f"pascal5i/3/train:{voc_root}").names == ("t1", "t2", "s1")
    assert open_dataset(f"pascal5i/2/train:{voc_root}").names == ("s1",)
    assert open_dataset(f"pascal5i/1/train:{voc_root}").names == ("t2",)
    test = open_dataset(f"pascal5i/3/test:{voc_root}")
    assert test.names == ("v2",) and (test[0].labels == halves(17, 0)).all()
    with pytest.raises(InputError, match="fold"):
        open_dataset(f"pascal5i/4/test:{voc_root}")


# --- COCO ------------------------------------------------------------------------------------------------------------


def coco_root(root, split, images, annotations):
    names = {3: "car", 5: "airplane", 90: "toothbrush", 22: "elephant"}
    content = {
        "images": [{"id": i, "file_name": f"{i:012}.jpg", "width": 12, "height": 8} for i in images],
        "annotations": [{"id": n, "iscrowd": 0, **a} for n, a in enumerate(annotations)],
        "categories": [{"id": i, "name": name} for i, name in names.items()],
    }
    for i in images:
        picture(root / split / f"{i:012}.jpg")
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


BOX = [[0, 0, 6, 0, 6, 8, 0, 8]]  # the left half
SMALL = [[2, 2, 4, 2, 4, 4, 2, 4]]


def test_coco_polygons_run_lengths_overlaps_and_crowds(tmp_path):
    counts = [6 * 8, 2 * 8, 4 * 8]  # columns 6 and 7, column by column
    root = coco_root(
        tmp_path, "val2017", [7, 9],
        [
            {"image_id": 7, "category_id": 90, "area": 4, "segmentation": SMALL},
            {"image_id": 7, "category_id": 3, "area": 48, "segmentation": BOX},
            {"image_id": 7, "category_id": 3, "area": 16, "iscrowd": 1, "segmentation": {"size": [8, 12], "counts": counts}},
            {"image_id": 9, "category_id": 5, "area": 48, "segmentation": BOX},
        ],
    )  # fmt: skip
    expected = halves(1, 0).astype(int)
    expected[2:4, 2:4] = 4
    expected[:, 6:8] = 255
    dataset = open_dataset(f"coco/val2017:{root}")
    assert dataset.classes == ("background", "car", "airplane", "elephant", "toothbrush")
    assert (dataset[0].labels == expected).all() and (dataset[1].labels == halves(2, 0)).all()
    assert dataset.by_class == {1: [0], 2: [1], 4: [0]}
    sample = open_dataset(f"coco/val2017/instance:{root}")[0]
    assert sample.objects == (0, 1, 4)
    assert (sample.labels == np.select([expected == 1, expected == 4, expected == 255], [1, 2, 65535])).all()


def test_photos_of_one_name_in_folders_of_coco_are_told_apart(tmp_path):
    listing = coco_root(tmp_path, "val2017", [7, 9], []) / "annotations" / "instances_val2017.json"
    content = json.loads(listing.read_text())
    for image, folder in zip(content["images"], ("a", "b"), strict=True):
        image["file_name"] = f"{folder}/1.jpg"
        picture(tmp_path / "val2017" / folder / "1.jpg")
    listing.write_text(json.dumps(content))
    dataset = open_dataset(f"coco/val2017:{tmp_path}")
    assert dataset.names == ("a/1", "b/1") and dataset[1].image.shape == (8, 12, 3)


def test_class_255_of_a_list_like_lvis_is_a_class(tmp_path):
    crowd = {"size": [8, 12], "counts": [6 * 8, 2 * 8, 4 * 8]}
    shown = {"image_id": 7, "area": 48, "category_id": 255}
    root = coco_root(tmp_path, "val2017", [7], [shown | {"segmentation": BOX}, shown | {"segmentation": crowd, "iscrowd": 1}])
    listing = root / "annotations" / "instances_val2017.json"
    content = json.loads(listing.read_text()) | {"categories": [{"id": i, "name": f"c{i}"} for i in range(1, 301)]}
    listing.write_text(json.dumps(content))
    dataset = open_dataset(f"coco/val2017:{root}")
    assert (dataset[0].labels[:, :6] == 255).all() and (dataset[0].labels[:, 6:8] == dataset.ignore).all()
    assert dataset.ignore == 65535 and dataset.shares(0) == {255: 0.5}


def test_the_many_shot_split_is_balanced_seeded_and_without_voc_classes(tmp_path):
    annotations = [{"image_id": i, "category_id": 3, "area": 4, "segmentation": SMALL} for i in range(30)]
    annotations += [{"image_id": i, "category_id": 22, "area": 48, "segmentation": BOX} for i in range(10)]
    annotations += [{"image_id": i, "category_id": 90, "area": 48, "segmentation": BOX} for i in range(8, 20)]
    root = coco_root(tmp_path, "val2017", range(30), annotations)
    support, test = (open_dataset(f"coco-many-shot/{half}:{root}") for half in ("support", "test"))
    assert not set(support.names) & set(test.names)
    assert sorted(support.names + test.names) == [f"{i:012}" for i in range(20)]  # the rest shows cars only
    for number in (3, 4):
        assert abs(len(support.by_class[number]) - len(test.by_class[number])) <= 1
    assert 1 not in support.by_class and not any((s.labels == 1).any() for s in support)
    assert open_dataset(f"coco-many-shot/support:{root}").names == support.names
    assert open_dataset(f"coco-many-shot/support/1:{root}").names != support.names


def test_json_that_is_not_coco_is_told(tmp_path):
    coco_root(tmp_path, "val2017", [1], [])
    (tmp_path / "annotations" / "instances_val2017.json").write_text('{"images": []}')
    with pytest.raises(InputError, match="not COCO's instances JSON"):
        open_dataset(f"coco/val2017:{tmp_path}")


@pytest.mark.parametrize(
    "wrong",
    (
        {"area": 48},
        {"segmentation": BOX},
        {"area": "48", "segmentation": BOX},
        {"area": 48, "segmentation": {"size": [8, 13], "counts": [104]}},
        {"area": 48, "segmentation": [[0, 0, 6]]},
    ),
)
def test_objects_that_are_not_cocos_are_told(wrong, tmp_path):
    coco_root(tmp_path, "val2017", [7], [{"image_id": 7, "category_id": 3, **wrong}])
    with pytest.raises(InputError, match=r"instances_val2017\.json is not COCO's instances JSON"):
        open_dataset(f"coco/val2017:{tmp_path}")[0]


# --- DAVIS, FSS-1000, BSDS500 ----------------------------------------------------------------------------------------


def test_davis(tmp_path):
    for frame, numbers in enumerate((halves(1, 2), halves(2, 255))):
        picture(tmp_path / "JPEGImages" / "480p" / "goat" / f"{frame:05}.jpg")
        mask(tmp_path / "Annotations" / "480p" / "goat" / f"{frame:05}.png", numbers)
    for year, line in (("2016", "/JPEGImages/480p/goat/00000.jpg /Annotations/480p/goat/00000.png\n"), ("2017", "goat\n")):
        (tmp_path / "ImageSets" / year).mkdir(parents=True)
        (tmp_path / "ImageSets" / year / "val.txt").write_text(line)
    single = open_dataset(f"davis/2016/val:{tmp_path}")
    assert single.names == ("goat/00000", "goat/00001") and single.by_clip == {"goat": [0, 1]} and single[0].clip == "goat"
    assert (single[0].labels == 1).all() and (single[1].labels == halves(1, 255)).all()
    several = open_dataset(f"davis/2017/val:{tmp_path}")
    assert (several[0].labels == halves(1, 2)).all() and several[0].objects == (0, 1, 1)
    assert (several[1].labels[:, 6:] == several.ignore).all()
    mask(tmp_path / "Annotations" / "480p" / "goat" / "00000.png", halves(0, 255))  # as in DAVIS 2016 itself
    assert (open_dataset(f"davis/2016/val:{tmp_path}")[0].labels == halves(0, 1)).all()
    (tmp_path / "ImageSets" / "2016").rename(tmp_path / "ImageSets" / "480p")  # as its own archive has it
    assert open_dataset(f"davis/2016/val:{tmp_path}").names == single.names
    assert open_dataset(f"davis/2017/val:{tmp_path}").names == several.names


def test_fss1000(tmp_path):
    for name, numbers in (("abacus", (1, 2, 10)), ("zebra", (1,))):
        for n in numbers:
            picture(tmp_path / name / f"{n}.jpg")
            truth = np.repeat(halves(0, 255)[..., None], 3, 2)
            Image.fromarray(truth).save(tmp_path / name / f"{n}.png")
    dataset = open_dataset(f"fss1000:{tmp_path}")
    assert dataset.names == ("abacus/1", "abacus/2", "abacus/10", "zebra/1")
    assert dataset.by_class == {1: [0, 1, 2], 2: [3]} and (dataset[3].labels == halves(0, 2)).all()


@pytest.mark.parametrize("original", (True, False))
def test_bsds(tmp_path, original):
    base = tmp_path / "data" if original else tmp_path
    picture(base / "images" / "val" / "100.jpg")
    maps = halves(1, 2), halves(3, 200)
    if original:
        from scipy.io import savemat

        cells = np.empty((1, 2), object)
        for i, regions in enumerate((halves(1, 2), halves(3, 200).astype(np.uint16))):
            cells[0, i] = {"Segmentation": regions}
        (base / "groundTruth" / "val").mkdir(parents=True)
        savemat(base / "groundTruth" / "val" / "100.mat", {"groundTruth": cells})
    else:
        for i, regions in enumerate(maps):
            mask(base / "regions" / "val" / f"100_{i}.png", regions)
    dataset = open_dataset(f"bsds/val:{tmp_path}")
    assert dataset.names == ("100_0", "100_1") and dataset.classes == () and dataset.by_class == {}
    assert all((dataset[i].labels == maps[i]).all() for i in range(2))
