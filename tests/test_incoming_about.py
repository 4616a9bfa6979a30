"""Files find the photo that they are about, and only that."""

import numpy as np
import pytest
from brought import labels, take_in
from pictures import photo_bytes

from guided_demo import Point
from guided_demo.events import AddClass, Annotate
from guided_demo.workspace import Workspace
from guided_demo.zips import zip_bytes


@pytest.fixture
def workspace(segmenter):
    return Workspace(segmenter)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("zipped", [True, False])
def test_photos_of_one_name_are_told_apart_and_their_masks_come_back(workspace, segmenter, zipped):
    photos = [("a.png", photo_bytes(1)), ("A.png", photo_bytes(2)), ("a.png", photo_bytes(3))]
    brought = [("photos.zip", zip_bytes(photos))] if zipped else photos
    assert take_in(workspace, brought) == []
    assert [item.name for item in workspace.session.images] == ["a.png", "A-2.png", "a-3.png"]
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(workspace.session.images[1].key, Point(30, 20, "cat")))
    expected = {mask.name: mask.labels for mask in workspace.masks()}
    for form in ("png", "coco-rle", "coco-polygons", "yolo", "labelme"):
        other = Workspace(segmenter)
        assert take_in(other, [*brought, ("m.zip", workspace.export_zip(form))]) == []
        for name, mask in expected.items():
            assert np.array_equal(labels(other, name), mask)


def test_masks_of_photos_that_differ_in_the_ending_come_back(workspace, segmenter):
    photos = [("a.jpg", photo_bytes(1)), ("a.png", photo_bytes(2))]
    assert take_in(workspace, photos) == []
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(workspace.session.images[0].key, Point(30, 20, "cat")))
    expected = {mask.name: mask.labels for mask in workspace.masks()}
    for form in ("png", "coco-rle", "coco-polygons", "yolo", "labelme"):
        other = Workspace(segmenter)
        assert take_in(other, [*photos, ("m.zip", workspace.export_zip(form))]) == []
        for name, mask in expected.items():
            assert np.array_equal(labels(other, name), mask)
    other = Workspace(segmenter)
    (problem,) = take_in(other, [*photos, ("a.txt", b"0 .5 .5 .2 .2")])
    assert problem.sentence.endswith("but for the ending. Call it by the whole name of its photo, such as a.jpg.txt.")
    assert not other.session.annotations


@pytest.mark.parametrize(
    ("names", "forms"),
    [
        (["a.jpg", "day/a.jpg"], ["png", "coco-rle", "labelme"]),
        (["at 12:30.jpg", "day?/con.jpg", "day?/" + "long" * 40 + ".jpg"], ["png", "coco-rle", "yolo", "labelme"]),
    ],
    ids=["folders", "signs"],
)
def test_masks_come_back_whatever_their_photos_are_called(workspace, segmenter, names, forms):
    photos = [(name, photo_bytes(seed)) for seed, name in enumerate(names)]
    assert take_in(workspace, photos) == []
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(workspace.session.images[0].key, Point(30, 20, "cat")))
    for form in forms:
        other = Workspace(segmenter)
        assert take_in(other, [*photos, ("m.zip", workspace.export_zip(form))]) == []
        for mask in workspace.masks():
            assert np.array_equal(labels(other, mask.name), mask.labels)
