"""Datasets: the plain folder, the procedural set, and what is said of what is wrong or missing."""

import itertools
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import halves, mask, picture

from guided_demo import InputError
from guided_demo.meta.datasets import Dataset, Entry, open_dataset, plain
from guided_demo.meta.layouts import READERS


@pytest.fixture
def leaves(tmp_path):
    for name, numbers in (("a", halves(0, 2)), ("b", halves(1, 255))):
        picture(tmp_path / "images" / f"{name}.jpg")
        mask(tmp_path / "masks" / f"{name}.png", numbers)
    (tmp_path / "classes.txt").write_text("ground\nleaf\nstem\n")
    return tmp_path


def test_every_reader_is_in_the_documentation():
    documented = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    assert [name for name in READERS if f"`{name}" not in documented] == []


def test_a_plain_folder(leaves):
    dataset = open_dataset(f"plain:{leaves}")
    assert len(dataset) == 2 and dataset.names == ("a", "b") and dataset.classes == ("ground", "leaf", "stem")
    sample = dataset[0]
    assert sample.image.shape == (8, 12, 3) and sample.image.dtype == np.uint8
    assert sample.labels.dtype == np.int32 and (sample.labels == halves(0, 2)).all()
    assert dataset.by_class == {1: [1], 2: [0]} and dataset.ignore == 255
    assert [s.id for s in dataset] == ["a", "b"]
    (leaves / "classes.txt").write_bytes(b"ground\r\nleaf \r\nstem\r\n\r\n")
    assert plain(leaves).classes == ("ground", "leaf", "stem")
    (leaves / "classes.txt").write_text("\n")
    assert plain(leaves).classes == ("background", "1", "2")
    (leaves / "classes.txt").unlink()
    assert plain(leaves).classes == ("background", "1", "2")


def test_what_systems_leave_in_a_folder_is_passed_over_and_one_mask_is_for_one_image(leaves):
    (leaves / "images" / "._a.jpg").write_bytes(b"what macOS keeps of a file")
    (leaves / "classes.txt").write_text("ground\nleaf\nstem\n", encoding="utf-8-sig")
    assert plain(leaves).names == ("a", "b") and plain(leaves).classes[0] == "ground"
    picture(leaves / "images" / "a.png")
    with pytest.raises(InputError, match=r"a\.jpg and a\.png would have the same mask"):
        plain(leaves)


def test_photos_of_all_kinds_that_are_read_elsewhere_are_in_a_plain_folder(leaves):
    for name in ("c.ppm", "d.gif", "e.jpe"):
        picture(leaves / "images" / name)
        mask(leaves / "masks" / f"{name[0]}.png", halves(0, 1))
    assert plain(leaves).names == ("a", "b", "c", "d", "e") and plain(leaves)[3].image.shape == (8, 12, 3)


def test_objects_of_no_class_are_background():
    labels = np.array([[0, 1, 2]], np.int32)
    entry = Entry("a", lambda: np.zeros((1, 3, 3), np.uint8), lambda: (labels, (0, 0, 1)))
    dataset = Dataset("objects", [entry], ("background", "leaf"), 65535)
    assert dataset.by_class == {1: [0]} and dataset.shares(0) == {1: 1 / 3}


def test_nothing_is_read_before_it_is_asked_for(leaves):
    (leaves / "images" / "b.jpg").write_bytes(b"not an image")
    dataset = plain(leaves)
    assert dataset[0].id == "a"
    with pytest.raises(InputError, match=r"b\.jpg"):
        dataset[1]


def test_datasets_travel_to_workers(leaves):
    copy = pickle.loads(pickle.dumps(plain(leaves).keeping([1])))
    assert (copy[1].labels == halves(1, 255)).all()


def test_subsets_and_classes_kept(leaves):
    dataset = plain(leaves)
    assert dataset.subset([1]).names == ("b",)
    only = dataset.keeping([1])
    assert (only[0].labels == 0).all() and (only[1].labels == halves(1, 255)).all()
    assert only.by_class == {1: [1]}


@pytest.mark.parametrize("spec", ("voc", "pascal5i/0", "coco", "davis", "fss1000", "bsds", "plain"))
def test_a_missing_root_is_told_in_one_sentence(spec, tmp_path):
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "nowhere"))) as caught:
        open_dataset(f"{spec}:{tmp_path / 'nowhere'}")
    assert "expected" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    (
        *("plain", "nope:/tmp", "voc/a/b/c/d/e:/tmp", "coco/x/y:/tmp", "styles:abc", "styles:-1"),
        *("procedural/x:9", "procedural:0", "procedural/-1:9", "procedural/1/semantic/0:9"),
    ),
)
def test_a_wrong_description_is_told(spec):
    with pytest.raises(InputError):
        open_dataset(spec)


def test_a_folder_that_cannot_be_looked_into_is_told(leaves, monkeypatch):
    """`train` and `evaluate` ended in a traceback."""
    (leaves / "images").rename(leaves / "photos")
    (leaves / "images").touch()
    with pytest.raises(InputError, match=r"images cannot be read: Not a directory\.$"):
        open_dataset(f"plain:{leaves}")

    def locked(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", locked)
    with pytest.raises(InputError, match=r"images cannot be read: Permission denied\.$"):
        open_dataset(f"plain:{leaves}")


def test_broken_files_are_named(leaves, monkeypatch):
    Image.new("RGB", (12, 8)).save(leaves / "masks" / "a.png")
    with pytest.raises(InputError, match=r"a\.png is a colour picture"):
        plain(leaves)[0]
    mask(leaves / "masks" / "a.png", np.zeros((4, 4)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    with pytest.raises(InputError, match=r"a\.png cannot be read as a mask"):
        plain(leaves).present(0)
    monkeypatch.undo()
    with pytest.raises(InputError, match="a differ in size"):
        plain(leaves)[0]
    (leaves / "masks" / "a.png").unlink()
    with pytest.raises(InputError, match=r"mask of a\.jpg was expected at"):
        plain(leaves)


@pytest.mark.parametrize(
    "names, told",
    (
        ("ground\nleaf\nleaf\n", r"calls mask value 2 'leaf', as it does another; line 3"),
        ("a\n \nb", "has no name for mask value 1; line 2"),
    ),
)
def test_names_of_mask_values_that_are_double_or_empty_are_told(leaves, names, told):
    (leaves / "classes.txt").write_text(names)
    with pytest.raises(InputError, match=rf"classes\.txt {told} wants a name of its own"):
        plain(leaves)


def test_labels_that_have_no_name_are_told(leaves):
    (leaves / "classes.txt").write_text("ground\nleaf\n")
    for read in (lambda dataset: dataset[0], lambda dataset: dataset.by_class):
        with pytest.raises(InputError, match="a shows class 2, but the last that is known is 1"):
            read(plain(leaves))
    (leaves / "classes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"classes\.txt is not text in UTF-8"):
        plain(leaves)


# --- procedural ------------------------------------------------------------------------------------------------------


def test_the_procedural_set_is_the_same_for_the_same_seed():
    one, again, other = (open_dataset(f"procedural/{seed}:6") for seed in (1, 1, 2))
    assert all((a.image == b.image).all() and (a.labels == b.labels).all() for a, b in zip(one, again, strict=True))
    assert not (one[0].image == other[0].image).all()


def test_procedural_classes_instances_and_motion():
    classes = open_dataset("procedural/3/semantic/48:120")
    assert len(classes.classes) == 13 and set(classes.by_class) == set(range(1, 13))
    instances = open_dataset("procedural/3/instance/48:120")
    for a, b in zip(classes, instances, strict=True):
        assert (a.image == b.image).all() and (np.array(b.objects)[b.labels] == a.labels).all()
    clips = open_dataset("procedural/3/video:16")
    assert clips.by_clip == {"clip0": list(range(8)), "clip1": list(range(8, 16))}
    for a, b in itertools.pairwise(clips[:8]):
        same, moved = (a.labels == b.labels).mean(), not (a.labels == b.labels).all()
        assert moved and same > 0.8, "motion is there, and gradual"
