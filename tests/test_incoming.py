"""Files of every kind go where they belong, in any order, and one that cannot be used stops no other."""

import io
import json
import shutil

import numpy as np
import pytest
from brought import NAMES, REGION, labels, take_in
from pictures import file_of, photo_bytes
from PIL import Image

from guided_demo import Annotation, Point
from guided_demo.events import AddClass, Annotate, RemoveImages
from guided_demo.export import indexed_png
from guided_demo.incoming import Intake
from guided_demo.naming import Naming
from guided_demo.project import save_project
from guided_demo.workspace import Workspace
from guided_demo.zips import zip_bytes


@pytest.fixture
def workspace(segmenter):
    return Workspace(segmenter)


def test_photos_masks_and_names_in_any_order(workspace):
    files = [
        ("masks/a.png", indexed_png(REGION)),
        ("masks/classes.txt", b"background\ncat\n"),
        ("masks/far.png", indexed_png(REGION)),
        ("photos/b.png", photo_bytes(2)),
        ("photos/a.png", photo_bytes(1)),
    ]
    calls = []
    problems = take_in(workspace, files, lambda *call: calls.append(call))
    assert [item.name for item in workspace.session.images] == ["photos/b.png", "photos/a.png"]
    assert workspace.session.class_names == NAMES
    assert np.array_equal(labels(workspace, "photos/a.png"), REGION)
    assert workspace.session.annotation(Naming(workspace.session.images).find("b").key).is_empty
    assert [(p.name, "no photo of this name" in p.sentence) for p in problems] == [("masks/far.png", True)]
    assert [call[:2] for call in calls] == [(done, 5) for done in range(5)]


def test_a_file_at_which_a_reader_fails_stops_no_other(workspace, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr("guided_demo.incoming.read_json", fails)
    files = [("marks.json", b"{}"), ("a.png", photo_bytes(1)), ("masks/a.png", indexed_png(REGION)), ("b.png", photo_bytes(2))]
    (problem,) = take_in(workspace, files)
    assert (problem.name, "could not be read here" in problem.sentence) == ("marks.json", True) and "a fault" in caplog.text
    assert [item.name for item in workspace.session.images] == ["a.png", "b.png"]
    assert not workspace.session.annotation(Naming(workspace.session.images).find("a").key).is_empty


def test_masks_join_what_is_marked_and_need_no_names(workspace):
    take_in(workspace, [("a.jpg", photo_bytes(1))])
    (item,) = workspace.session.images
    workspace.apply(AddClass("dog"))
    workspace.apply(Annotate(item.key, Point(1, 1, "dog")))
    assert take_in(workspace, [("a.png", file_of(Image.fromarray(REGION * np.uint8(255))))]) == []
    assert workspace.session.class_names == ("background", "dog", "class 1")
    found = labels(workspace, "a")
    assert found[1, 1] == 1
    assert np.array_equal(found[2:], 2 * REGION[2:])


def test_what_is_brought_at_once_is_undone_at_once(segmenter, tmp_path):
    workspace = Workspace(segmenter, tmp_path / "work")
    take_in(workspace, [("a.jpg", photo_bytes(1)), ("b.jpg", photo_bytes(2))])
    workspace.apply(AddClass("dog"))
    before = workspace.session
    guidance = Workspace(segmenter)
    take_in(guidance, [("c.jpg", photo_bytes(3)), ("c.png", indexed_png(REGION))])
    files = [("a.png", indexed_png(REGION)), ("b.png", indexed_png(REGION)), ("g.safetensors", guidance.guidance.to_bytes())]
    assert take_in(workspace, files) == []
    after = workspace.session
    assert len(after.annotations) == 2 and len(workspace.guidance.images) == 3
    again = Workspace(segmenter, shutil.copytree(tmp_path / "work", tmp_path / "copy"))
    for undone in (workspace.undo(), again.undo()):
        assert undone.state.own == before.state.own and undone.class_names == before.class_names
        assert len(undone.past) == len(before.past)
    assert again.redo().annotations == workspace.redo().annotations == after.annotations


def test_grey_photos_are_photos(workspace):
    grey = file_of(Image.open(io.BytesIO(photo_bytes(1))).convert("L"))
    scan = file_of(Image.fromarray(REGION * np.uint8(255)))
    files = [("one/a.png", photo_bytes(1)), ("two/a.png", grey), ("scan.png", scan), ("again/scan.png", scan)]
    assert take_in(workspace, files) == []
    assert [item.name for item in workspace.session.images] == ["one/a.png", "two/a.png", "scan.png"]
    assert workspace.session.annotations == {}


def test_a_grey_photo_has_its_mask_also_where_the_folder_of_masks_comes_first(workspace):
    grey = file_of(Image.open(io.BytesIO(photo_bytes(1))).convert("L"))
    take_in(workspace, [("annotations/a.png", indexed_png(REGION)), ("images/a.png", grey)])
    assert [item.name for item in workspace.session.images] == ["images/a.png"]
    assert np.array_equal(labels(workspace, "a"), REGION)


def test_masks_of_16_bits_are_masks(workspace):
    deep = REGION.astype(np.uint16)
    files = [("a.jpg", photo_bytes(1)), ("b.jpg", photo_bytes(2)), ("m/a.png", file_of(Image.fromarray(deep)))]
    take_in(workspace, [*files, ("m/b.png", file_of(Image.fromarray(deep * 65535)))])
    assert [item.name for item in workspace.session.images] == ["a.jpg", "b.jpg"]
    assert all(np.array_equal(labels(workspace, name), REGION) for name in "ab")


@pytest.mark.parametrize("zipped", [True, False])
def test_each_folder_and_each_zip_has_the_class_names_that_lie_in_it(workspace, zipped):
    mine = [("classes.txt", b"background\ncat"), ("a.png", indexed_png(REGION)), ("deep/c.png", indexed_png(REGION))]
    theirs = [("classes.txt", b"background\ntree"), ("b.png", indexed_png(REGION))]
    if zipped:
        files = [("1.zip", zip_bytes(mine)), ("2.zip", zip_bytes(theirs))]
    else:
        files = [(f"{folder}/{name}", data) for folder, inside in (("1", mine), ("2", theirs)) for name, data in inside]
    assert take_in(workspace, [(f"{name}.jpg", photo_bytes(i)) for i, name in enumerate("abc")] + files) == []
    classes = {item.name: workspace.session.annotation(item.key).classes for item in workspace.session.images}
    assert classes == {"a.jpg": NAMES, "b.jpg": ("background", "tree"), "c.jpg": NAMES}


def test_a_mask_of_another_size_or_in_colours_is_no_photo_without_a_word(workspace):
    red = np.zeros((60, 80, 3), np.uint8)
    red[REGION > 0] = 200, 0, 0
    files = [
        ("m/a.png", file_of(Image.fromarray(REGION[::2, ::2]))),
        ("m/b.png", file_of(Image.fromarray(red))),
        ("logo.png", file_of(Image.fromarray(red[::-1].copy()))),
        ("a.jpg", photo_bytes(1)),
        ("b.jpg", photo_bytes(2)),
    ]
    problems = take_in(workspace, files)
    assert [problem.sentence.split(";")[0] for problem in problems] == [
        "m/a.png looks like a mask of a.jpg, but has 40x30 pixels where that has 80x60",
        "m/b.png looks like a mask of b.jpg in colours",
    ]
    assert [item.name for item in workspace.session.images] == ["a.jpg", "b.jpg", "logo.png"]


@pytest.mark.parametrize("form", ["tiff", "csv"])
def test_what_cannot_come_back_is_no_photo(workspace, form):
    take_in(workspace, [("a.png", photo_bytes(1)), ("b.png", photo_bytes(2))])
    problems = take_in(workspace, [("m.zip", workspace.export_zip(form))])
    stack = "masks.tif is a stack, and pages are not read here; bring a mask file for each photo, or COCO."
    assert [problem.sentence for problem in problems] == ([stack] if form == "tiff" else [])
    assert len(workspace.session.images) == 2


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yaml", "Data.yml"])
def test_the_class_names_of_yolo_have_several_file_names(workspace, name):
    files = [("a.png", photo_bytes(1)), ("labels/a.txt", b"0 .5 .5 .2 .2"), (name, b"names: [cat]")]
    assert take_in(workspace, files) == []
    assert workspace.session.class_names == NAMES


def test_our_own_masks_come_back_from_their_zips(workspace, segmenter):
    take_in(workspace, [("a.png", photo_bytes(1)), ("sub/b.png", photo_bytes(2))])
    first, _ = workspace.session.images
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(first.key, Point(30, 20, "cat")))
    workspace.apply(Annotate(first.key, Point(2, 2, "background")))
    expected = {mask.name: mask.labels for mask in workspace.masks()}
    for form in ("png", "coco-rle", "coco-polygons", "yolo", "labelme"):
        other = Workspace(segmenter)
        photos = [("a.png", photo_bytes(1)), ("sub/b.png", photo_bytes(2))]
        assert take_in(other, [*photos, ("m.zip", workspace.export_zip(form))]) == []
        assert other.session.class_names == NAMES
        for name, mask in expected.items():
            assert np.array_equal(labels(other, name), mask)


def test_guidance_projects_and_annotations(workspace, segmenter):
    source = Workspace(segmenter)
    take_in(source, [("a.png", photo_bytes(1))])
    source.apply(AddClass("cat", "#123456"))
    source.apply(Annotate(source.session.images[0].key, Point(30, 20, "cat")))
    table = {"photos/b.png": Annotation(points=[(9, 9, "dog")]).to_json(), "none.jpg": {"marks": []}}
    files = [
        ("clicks.json", json.dumps(table).encode()),
        ("work.zip", save_project(source)),
        ("cat.safetensors", source.guidance.to_bytes()),
        ("photos.zip", zip_bytes([("b.png", photo_bytes(2)), ("__MACOSX/b.png", b"-"), (".DS_Store", b"-")])),
    ]
    (problem,) = take_in(workspace, files)
    assert (problem.name, problem.sentence.startswith("none.jpg is not in the gallery")) == ("clicks.json", True)
    assert [item.name for item in workspace.session.images] == ["b.png", "a.png"]
    assert workspace.session.colors["cat"] == "#123456"
    marks = [annotation.marks for annotation in workspace.session.annotations.values()]
    assert sorted(marks, key=str) == [(Point(30, 20, "cat"),), (Point(9, 9, "dog"),)]


def test_one_bad_file_stops_no_other(workspace):
    coco = {
        "images": [{"id": n, "file_name": f"{name}.png", "width": 80, "height": 60} for n, name in enumerate("axyz")],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": 0, "category_id": 1, "segmentation": [[20, 10, 50, 10, 50, 30, 20, 30]]}],
    }
    small = {"a.png": Annotation(points=[(99, 9, "cat")]).to_json()}
    files = [
        ("bad.zip", zip_bytes([("a", b"")])[:-9]),
        ("bad.jpg", b"no photo"),
        ("bad.json", b"{"),
        ("bad.safetensors", b"no guidance"),
        ("outside.json", json.dumps(small).encode()),
        ("coco.json", json.dumps(coco).encode()),
        ("a.png", photo_bytes(1)),
    ]
    intake = Intake(workspace)
    assert len([*intake.take(files), *intake.finish()]) == len(files) - 1
    assert intake.taken == "1 photo and 1 file of annotations"
    problems = {problem.name: problem.sentence for problem in intake.problems}
    assert set(problems) == {"bad.zip", "bad.jpg", "bad.json", "bad.safetensors", "a.png", "coco.json"}
    assert "outside the image" in problems["a.png"]
    assert "3 photos, such as x.png, are not in the gallery" in problems["coco.json"]
    assert np.array_equal(labels(workspace, "a"), REGION)


def test_a_picture_that_comes_again_under_another_name_is_told_of(workspace):
    twice = [("trip/a.png", photo_bytes(1)), ("trip/copy of a.png", photo_bytes(1)), ("b.png", photo_bytes(2))]
    (problem,) = take_in(workspace, twice)
    assert problem.name == "trip/copy of a.png" and "same picture as trip/a.png" in problem.sentence
    assert [item.name for item in workspace.session.images] == ["trip/a.png", "b.png"]
    workspace.apply(RemoveImages((Naming(workspace.session.images).find("b.png").key,)))
    assert take_in(workspace, [("elsewhere/a.png", photo_bytes(1)), ("back.png", photo_bytes(2))]) == []


def test_a_picture_in_which_each_thing_has_a_number_is_no_photo_where_its_photo_is(workspace):
    things = np.arange(80 * 60).reshape(60, 80).astype(np.uint16) // 40  # 120 of them
    grey = np.random.default_rng(0).integers(0, 60_000, (60, 80)).astype(np.uint16)
    files = {name: file_of(Image.fromarray(picture), "TIFF") for name, picture in (("things", things), ("grey", grey))}
    brought = [("a.png", photo_bytes(1)), ("a.tif", files["things"]), ("b.png", photo_bytes(2)), ("b.tif", files["grey"])]
    (problem,) = take_in(workspace, [*brought, ("c.tif", files["things"])])
    assert problem.name == "a.tif" and "120 numbers" in problem.sentence
    assert [item.name for item in workspace.session.images] == ["a.png", "b.png", "b.tif", "c.tif"]
    assert not workspace.session.annotations


def cells(count):
    """A mask as Cellpose makes them: each of so many cells, which may touch, has a number."""
    y, x = np.mgrid[:60, :80]
    return (np.where(x % 8 > 0, y // 10 * 10 + x // 8 + 1, 0) * (y // 10 * 10 + x // 8 < count)).astype(np.uint8)


def test_a_mask_in_which_each_cell_has_a_number_is_not_one_of_as_many_classes(workspace, segmenter):
    photos = [("a.png", photo_bytes(1)), ("b.png", photo_bytes(2)), ("c.png", photo_bytes(3))]
    apart = cells(12)
    apart[50:, 70:] = 3  # of a class there are two
    masks = {"m/a.png": cells(12), "m/b.png": cells(8), "m/c.png": apart}
    (problem,) = take_in(workspace, photos + [(name, file_of(Image.fromarray(mask))) for name, mask in masks.items()])
    assert problem.name == "m/a.png" and "12 numbers, as if each thing in a.png had one" in problem.sentence
    marked = {item.name: workspace.session.annotation(item.key) for item in workspace.session.images}
    assert {name: len(annotation.classes) for name, annotation in marked.items()} == {"a.png": 0, "b.png": 9, "c.png": 13}
    names = "".join(f"{name}\n" for name in ("background", *"abcdefghijkl")).encode()
    named = Workspace(segmenter)
    files = [("a.png", photo_bytes(1)), ("m/classes.txt", names), ("m/a.png", file_of(Image.fromarray(cells(12))))]
    assert take_in(named, files) == []
    assert np.array_equal(labels(named, "a"), cells(12))


def test_a_zip_that_is_of_no_use_says_why(workspace):
    inner = zip_bytes([("a.png", photo_bytes(1))])
    problems = take_in(workspace, [("outer.zip", zip_bytes([("inner.zip", inner)])), ("empty.zip", zip_bytes([]))])
    assert [problem.sentence for problem in problems] == [
        "empty.zip is a zip without files.",
        "inner.zip is a zip and no project; unpack it, and add the files that are in it.",
    ]


def test_what_may_be_about_several_photos_is_told_of(workspace):
    take_in(workspace, [(f"{site}/x.jpg", photo_bytes(seed)) for seed, site in enumerate("ab")])
    files = [
        ("x.png", indexed_png(REGION)), ("masks/x.txt", b"0 .5 .5 .2 .2"), ("x.json", b'{"x.jpg": {"marks": []}}')
    ]  # fmt: skip
    problems = take_in(workspace, [*files, ("b/x.png", indexed_png(REGION))])
    assert len(problems) == 3 and all("a/x.jpg or b/x.jpg" in problem.sentence for problem in problems)
    assert [item.name for item in workspace.session.images] == ["a/x.jpg", "b/x.jpg"]
    assert list(workspace.session.annotations) == [workspace.session.images[1].key]


def test_files_that_come_a_few_at_a_time_may_come_in_any_order(workspace):
    intake = Intake(workspace)
    for file in [("masks/a.png", indexed_png(REGION)), ("classes.txt", b"background\ncat"), ("a.png", photo_bytes(1))]:
        list(intake.take([file]))
    assert (intake.done, intake.known) == (1, 3)
    assert len(list(intake.finish())) == 2
    assert (intake.done, intake.known, intake.problems) == (3, 3, [])
    assert np.array_equal(labels(workspace, "a.png"), REGION)
    assert intake.taken == "1 photo and 1 mask"


def test_what_else_lies_in_a_folder_is_passed_over_but_a_file_given_by_itself_is_not(workspace):
    files = [("trip/notes.txt", b"hello"), ("trip/film.mp4", b"film"), ("trip/a.png", photo_bytes(1)), ("film.mp4", b"film")]
    assert [problem.name for problem in take_in(workspace, files)] == ["film.mp4"]
    assert len(workspace.session.images) == 1


def test_a_file_of_no_use_is_not_said_to_be_a_photo_of_the_wrong_kind(workspace):
    notes, photo = take_in(workspace, [("notes.txt", b"hello"), ("a.jpg", b"hello")])
    assert notes.sentence.startswith("notes.txt is no photo that can be read here, and no guidance, project, masks")
    assert photo.sentence == "a.jpg is not an image that can be read here; use JPEG, PNG, WebP or TIFF."


def test_the_photos_of_a_project_count(workspace, segmenter):
    source = Workspace(segmenter)
    take_in(source, [("a.png", photo_bytes(1)), ("b.png", photo_bytes(2))])
    calls = []
    assert take_in(workspace, [("work.zip", save_project(source))], lambda *call: calls.append(call)) == []
    assert calls == [(0, 1, "work.zip"), (0, 3, "a.png"), (1, 3, "b.png"), (2, 3, "work.zip")]
