"""A project opens elsewhere with the same masks, with its photos in the zip or beside it."""

import io
import json
import zipfile

import pytest
from pictures import photo_bytes

from guided_demo import InputError, Point, Stroke
from guided_demo.events import AddClass, Annotate, LoadGuidance, MarkCorrect
from guided_demo.project import project_files, read_project, save_project
from guided_demo.workspace import Workspace
from guided_demo.zips import read_zip, zip_bytes


@pytest.fixture
def work(segmenter):
    workspace = Workspace(segmenter)
    workspace.add_images((f"trip/{seed}.jpg", photo_bytes(seed, form="JPEG")) for seed in range(3))
    first, second, _ = (item.key for item in workspace.session.images)
    workspace.apply(AddClass("cat", "#123456"))
    workspace.apply(AddClass("unused"))
    workspace.apply(Annotate(first, Stroke(((5, 5), (20, 9)), "cat", 3.0)))
    workspace.apply(Annotate(second, Point(50, 40, "background")))
    workspace.apply(MarkCorrect(first))
    return workspace


def open_project(workspace, data):
    problems = []
    project = read_project(data)
    list(project.add_photos(workspace, problems))
    project.mark(workspace)
    return problems


def masks(workspace):
    return [mask.labels.tolist() for mask in workspace.masks()]


@pytest.mark.parametrize("photos", [True, False])
def test_a_project_opens_elsewhere(work, segmenter, tmp_path, photos):
    data = save_project(work, photos)
    other = Workspace(segmenter, tmp_path)
    assert open_project(other, data) == []
    if not photos:
        assert other.add_images((f"elsewhere/{seed}.jpg", photo_bytes(seed, form="JPEG")) for seed in range(3)) == []
    assert other.session.annotations == work.session.annotations
    assert other.session.classes == work.session.classes
    assert masks(other) == masks(work)
    assert other.session.correct == work.session.correct
    if photos:
        assert other.session.images == work.session.images
        assert masks(Workspace(segmenter, tmp_path)) == masks(work)


def test_photos_are_read_one_by_one_as_they_are_written_and_not_compressed_again(work, monkeypatch):
    read = []
    monkeypatch.setattr(Workspace, "image_file", lambda self, key: read.append(key) or photo_bytes(len(read), form="JPEG"))
    keys = [item.key for item in work.session.images]
    told = [(name, len(read)) for name, _ in project_files(work)]
    assert told == [("project.json", 0), ("guidance.safetensors", 0), *((f"images/{key}", i) for i, key in enumerate(keys, 1))]
    with zipfile.ZipFile(io.BytesIO(save_project(work))) as archive:
        assert {archive.getinfo(f"images/{key}").compress_type for key in keys} == {zipfile.ZIP_STORED}


def test_what_was_correct_outlives_the_photos(work, segmenter):
    other = Workspace(segmenter)
    assert open_project(other, save_project(work, photos=False)) == []
    assert other.session.correct == frozenset()
    third = Workspace(segmenter)
    assert open_project(third, save_project(other, photos=False)) == []
    key = third.add_image("elsewhere.jpg", photo_bytes(0, form="JPEG"))
    assert third.session.correct == {key} == work.session.correct
    third.apply(MarkCorrect(key, False))
    assert third.session.correct == frozenset()
    assert third.undo().undo().state.correct == frozenset()


def test_a_project_joins_what_is_there(work, segmenter):
    other = Workspace(segmenter)
    key = other.add_image("mine.jpg", photo_bytes(0, form="JPEG"))
    other.apply(AddClass("dog"))
    other.apply(Annotate(key, Point(60, 44, "dog")))
    assert open_project(other, save_project(work)) == []
    assert other.session.class_names == ("background", "dog", "cat", "unused")
    assert set(other.session.annotation(key).classes) == {"cat", "dog"}
    assert len(other.session.images) == 3
    steps = len(other.session.past)
    assert open_project(other, save_project(work)) == []
    assert [type(event) for step in other.session.past[steps:] for event in step.events] == [LoadGuidance]


def test_no_class_of_a_project_gets_the_colour_of_one_that_is_marked_here(work, segmenter):
    other = Workspace(segmenter)
    key = other.add_image("mine.jpg", photo_bytes(5, form="JPEG"))
    for label, color in (("dog", "#123456"), ("unused", "#654321")):
        other.apply(AddClass(label, color))
    other.apply(Annotate(key, Point(60, 44, "dog")))
    assert open_project(other, save_project(work)) == []
    here, there = other.session.colors, work.session.colors
    assert here["dog"] == "#123456" != here["cat"] and here["unused"] == there["unused"]
    assert len(set(here.values())) == 4


def test_a_class_that_is_yet_to_be_marked_gives_its_colour_to_one_of_a_project(work, segmenter):
    other = Workspace(segmenter)
    other.apply(AddClass("dog", work.session.colors["cat"]))
    assert open_project(other, save_project(work)) == []
    here, there = other.session.colors, work.session.colors
    assert here == there | {"dog": here["dog"]} and len(set(here.values())) == 4


def test_what_is_no_project_is_refused(work, segmenter):
    files = read_zip(save_project(work), "p")
    listing = json.loads(files["project.json"])
    broken = [
        {},
        files | {"project.json": b"[]"},
        files | {"project.json": b"{"},
        files | {"guidance.safetensors": files["guidance.safetensors"][:-5]},
        files | {"project.json": json.dumps(listing | {"images": [{"key": 3}]}).encode()},
        files | {"project.json": json.dumps(listing | {"classes": [{"name": "cat", "color": "no colour"}]}).encode()},
        files | {"project.json": json.dumps(listing | {"classes": [{"name": "a\nb", "color": "#123456"}]}).encode()},
        files | {"project.json": b"[" * 100_000},
        files | {"project.json": json.dumps(listing | {"format": 2}).encode()},
    ]
    for case in broken:
        other = Workspace(segmenter)
        with pytest.raises(InputError):
            open_project(other, zip_bytes(case.items()))
        assert other.session.images == ()
    with pytest.raises(InputError, match="not a complete zip"):
        open_project(Workspace(segmenter), b"PK")


def test_one_bad_photo_stops_nothing(work, segmenter):
    files = read_zip(save_project(work), "p")
    keys = [item.key for item in work.session.images]
    files |= {f"images/{keys[0]}": b"no image", f"images/{keys[1]}": photo_bytes(9, form="JPEG")}
    other = Workspace(segmenter)
    problems = open_project(other, zip_bytes(files.items()))
    assert [problem.name for problem in problems] == ["trip/0.jpg", "trip/1.jpg"]
    assert keys[2] in {item.key for item in other.session.images}
