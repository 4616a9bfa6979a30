"""Files between a page and its workspace: in whatever order they come, and out just as the workspace has them."""

import base64
import json
import os
import tempfile
import tracemalloc

import numpy as np
import pytest
from pictures import photo_bytes

from guided_demo import Point, export
from guided_demo.errors import InputError
from guided_demo.events import AddClass, Annotate, RemoveImages
from guided_demo.project import save_project
from guided_demo.ui import transfer as module
from guided_demo.ui.protocol import Desk
from guided_demo.ui.transfer import Transfer, offers
from guided_demo.workspace import Workspace
from guided_demo.zips import read_zip, zip_bytes


@pytest.fixture
def workspace(segmenter):
    made = Workspace(segmenter)
    assert made.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3)) == []
    made.apply(AddClass("cat"))
    for key, x in zip((item.key for item in made.session.images), (10, 40), strict=False):
        made.apply(Annotate(key, Point(x, 10, "cat")))
        made.apply(Annotate(key, Point(70 - x, 50, "background")))
    return made


def fetch(transfer, form):
    """The steps of a download, its name and its bytes."""
    *steps, made = transfer.make(form)
    parts = [base64.b64decode(transfer.part(made["made"], number)) for number in range(made["parts"])]
    return steps, made["name"], b"".join(parts)


@pytest.mark.parametrize("form", export.FORMATS)
def test_a_download_arrives_in_parts_and_is_what_the_workspace_exports(workspace, form, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 500)
    steps, name, data = fetch(Transfer(workspace), form)
    assert data == workspace.export_zip(form)
    assert name.endswith(".zip")
    assert steps and all(step["total"] == 3 >= step["done"] for step in steps)


def test_everything_that_can_be_exported_is_offered_in_words():
    offered = {offer["form"]: offer for offer in offers()}
    assert set(offered) == {*export.FORMATS, "project", "project-light"}
    assert len({offer["title"] for offer in offered.values()}) == len(offered)
    assert all(10 < len(offer["about"]) < 60 for offer in offered.values())


@pytest.mark.parametrize("form", ["project", "project-light"])
def test_a_project_goes_from_page_to_page(workspace, segmenter, form):
    _, name, data = fetch(Transfer(workspace), form)
    assert name == f"{form}.zip" and len(data) == len(save_project(workspace, photos=form == "project"))
    other = Workspace(segmenter)
    transfer = Transfer(other)

    def bring(*files):
        for place, file in enumerate(files):
            transfer.receive(place, *file)
        *_, last = transfer.take_in(last=True)
        assert last["problems"] == []
        return last["taken"], transfer.missing.partition(" not in the project file; add")[0]

    if form == "project":
        assert bring((name, data)) == ("1 project", "")
        assert other.session.images == workspace.session.images
    else:
        again = [(f"again {seed}.png", photo_bytes(seed)) for seed in range(3)]
        assert bring(again[0], (name, data)) == ("1 photo and 1 project", "2 photos, such as 1.png, are")
        assert bring(("other.png", photo_bytes(9))) == ("1 photo", "2 photos, such as 1.png, are")
        other.undo()
        assert transfer.missing == ""
        other.redo()
        assert bring(again[1]) == ("1 photo", "2.png is")
        assert bring(again[2]) == ("1 photo", "")
    assert other.session.annotations == workspace.session.annotations


def test_an_older_download_is_not_mixed_with_a_newer_one(workspace):
    transfer = Transfer(workspace)
    *_, first = transfer.make("png")
    fetch(transfer, "csv")
    with pytest.raises(InputError, match="start this one again"):
        transfer.part(first["made"], 0)


def test_what_has_arrived_of_a_download_is_not_kept_and_the_part_whose_answer_was_lost_is(workspace, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 500)
    transfer = Transfer(workspace)
    *_, made = transfer.make("png")
    last = made["parts"] - 1
    parts = [transfer.part(made["made"], number) for number in range(made["parts"])]
    assert transfer.part(made["made"], last) == parts[last] != ""
    assert transfer.part(made["made"], 0) == ""


def test_a_project_is_told_of_photo_by_photo_and_never_held_as_a_whole(segmenter, tmp_path):
    workspace = Workspace(segmenter, tmp_path)
    long = 2_000_000  # of what readers of JPEG pass over
    workspace.add_images((f"{seed}.jpg", photo_bytes(seed, form="JPEG") + bytes(long)) for seed in range(6))
    transfer = Transfer(workspace)
    tracemalloc.start()
    try:
        *steps, made = transfer.make("project")
        for number in range(made["parts"]):
            transfer.part(made["made"], number)
        assert tracemalloc.get_traced_memory()[1] < 6 * long
    finally:
        tracemalloc.stop()
    assert made["parts"] > 6 * long / module.PART_BYTES
    assert steps == [{"done": done, "total": 6} for done in (0, 0, 1, 2, 3, 4, 5, 6)]
    assert len(list(transfer.make("project-light"))) == 1


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The temporary files that were made, in a folder that stays empty."""
    made, make = [], tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: made.append(make()) or made[-1])
    yield made
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_can_read_a_download_and_nothing_is_left_of_it(workspace, temporary, tmp_path):
    desk = Desk(workspace)
    *_, first = desk.work({"do": "export", "form": "png"})
    status = os.fstat(temporary[0].fileno())
    assert status.st_mode & 0o077 == 0 == status.st_nlink and list(tmp_path.iterdir()) == []
    list(desk.work({"do": "export", "form": "project"}))
    assert [file.closed for file in temporary] == [True, False]
    assert "start this one again" in desk.handle({"do": "take", "made": first["made"], "part": 0})["error"]
    desk.begin()
    assert temporary[1].closed
    list(desk.work({"do": "export", "form": "csv"}))
    del desk
    assert temporary[2].closed


def test_a_download_is_off_the_disk_when_it_has_arrived_or_its_page_went_while_it_was_made(workspace, temporary):
    transfer = Transfer(workspace)
    fetch(transfer, "png")
    assert temporary[0].closed
    making = transfer.make("project")
    next(making)
    making.close()
    del making
    assert temporary[1].closed


def test_a_download_that_a_full_disk_has_no_room_for_is_told_of(workspace, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "r+b"))  # noqa: SIM115
    with pytest.raises(InputError, match=r"no room here .* \(No space left on device\); ask for a smaller one"):
        fetch(Transfer(workspace), "project")


def test_what_needs_photos_waits_until_all_are_there(workspace, segmenter):
    masks = read_zip(workspace.export_zip("png"), "masks.zip")
    batches = [
        [("masks.zip", zip_bytes(masks.items()))],
        [("1.png", photo_bytes(1)), ("0.png", photo_bytes(0))],
        [("photos.zip", zip_bytes([("2.png", photo_bytes(2))]))],
    ]
    other = Workspace(segmenter)
    transfer = Transfer(other)
    told = []
    for number, batch in enumerate(batches):
        for place, file in enumerate(batch):
            transfer.receive(place, *file)
        *steps, reply = transfer.take_in(last=number == 2)
        told.append(
            (
                [(step["done"], step["total"], step["received"]) for step in steps],
                reply["taken"],
                len(reply["keys"]),
                reply["first"],
            )
        )
    assert told == [
        ([], "", 0, True),
        ([(0, 6, 3), (1, 6, 3)], "2 photos", 2, True),
        ([(done, 7, 4) for done in range(2, 7)], "3 photos and 3 masks", 1, False),
    ]
    expected = {mask.name: mask.labels for mask in workspace.masks()}
    for item in other.session.images:
        assert np.array_equal(other.session.annotation(item.key).label_map(item.size, ["background", "cat"]), expected[item.name])


def test_too_much_at_once_is_refused_with_a_sentence(workspace, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 10)
    transfer = Transfer(workspace)
    transfer.receive(0, "notes.json", b"12345678")
    *_, reply = transfer.take_in(last=False)
    assert reply["problems"] == []
    with pytest.raises(InputError, match="waiting"):
        transfer.receive(1, "a.png", b"1234")


def test_files_of_a_page_that_left_do_not_join_those_of_the_next(workspace):
    desk = Desk(workspace)
    desk.receive("a.png", photo_bytes(7))
    *_, first = desk.work({"do": "take_in", "last": False})
    desk.receive("b.png", photo_bytes(8))
    desk.begin()
    desk.receive("c.png", photo_bytes(9))
    *progress, last = desk.work({"do": "take_in"})
    assert progress == [{"done": 0, "total": 1, "received": 1}]
    assert (first["taken"], last["taken"]) == ("1 photo", "1 photo")
    assert [item.name for item in workspace.session.images][3:] == ["a.png", "c.png"]


def test_a_sample_that_somebody_brings_is_theirs(segmenter):
    workspace = Workspace(segmenter)
    workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3))
    keys = [item.key for item in workspace.session.images]
    desk = Desk(workspace, samples=frozenset(keys))
    for seed in (1, 7):
        desk.receive(f"mine {seed}.png", photo_bytes(seed), seed)
    *_, last = desk.work({"do": "take_in"})
    assert last["state"]["images"][0]["key"] == keys[1] == last["focus"]
    assert len(last["state"]["images"]) == 2


def test_a_sample_that_somebody_brings_takes_its_mask(segmenter):
    workspace = Workspace(segmenter)
    workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3))
    keys = [item.key for item in workspace.session.images]
    desk = Desk(workspace, samples=frozenset(keys))
    mask = export.indexed_png(np.eye(60, 80, dtype=np.uint8))
    for place, file in enumerate([("1.jpg", photo_bytes(1)), ("mine.png", photo_bytes(7)), ("masks/1.png", mask)]):
        desk.receive(*file, place)
    *_, last = desk.work({"do": "take_in"})
    assert [problem["sentence"] for problem in last["problems"]] == ["It is the same picture as 1.png, which is here already."]
    assert list(workspace.session.annotations) == [keys[1]] and len(workspace.session.images) == 2


def test_a_project_that_the_page_cannot_open_again_says_how_it_can(workspace, monkeypatch):
    def notes():
        return ["note" in [*Transfer(workspace).make(form)][-1] for form in ("project", "project-light", "png")]

    assert notes() == [False, False, False]
    light = len(save_project(workspace, photos=False))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", light + 10)
    assert notes() == [True, False, False]


@pytest.mark.parametrize("form", ["project", "png", "coco-rle"])
@pytest.mark.parametrize("chunks", [1, 2])
def test_where_classes_come_with_the_photos_the_one_of_the_samples_goes(workspace, segmenter, form, chunks):
    fresh = Workspace(segmenter)
    fresh.add_image("sample.png", photo_bytes(7))
    fresh.apply(AddClass("cheetah"))
    desk = Desk(fresh, samples=frozenset(item.key for item in fresh.session.images))
    photos = [] if form == "project" else [(f"{seed}.png", photo_bytes(seed)) for seed in range(3)]
    for place, file in enumerate([*photos, fetch(Transfer(workspace), form)[1:]]):
        desk.receive(*file, place)
        if chunks == 2 and place == 1:
            *_, reply = desk.work({"do": "take_in", "last": False})
            assert [item["name"] for item in reply["state"]["classes"]] == ["background", "thing"]
    *_, reply = desk.work({"do": "take_in"})
    assert reply["problems"] == [] and len(reply["state"]["images"]) == 3
    assert [item["name"] for item in reply["state"]["classes"]] == ["background", "cat"]


@pytest.mark.parametrize("form", ["project", "png"])
@pytest.mark.parametrize("first", [0, 3])
def test_what_was_brought_is_undone_at_once_and_photos_stay(workspace, segmenter, form, first):
    fresh = Workspace(segmenter)
    fresh.add_image("sample.png", photo_bytes(7))
    fresh.apply(AddClass("cheetah"))
    desk = Desk(fresh, samples=frozenset(item.key for item in fresh.session.images))
    if form == "project":  # of a single photo, which is there only when all else is to follow
        workspace.apply(RemoveImages(tuple(item.key for item in workspace.session.images[1:])))
    made = fetch(Transfer(workspace), form)[1:]
    files = [*((f"{seed}.png", photo_bytes(seed)) for seed in range(3) if form == "png"), made]
    for some in (files[:first], files[first:]):  # photos first, or all together
        for place, file in enumerate(some):
            desk.receive(*file, place)
        list(desk.work({"do": "take_in"}))
    assert len(fresh.session.annotations) == len(fresh.session.images) == (1 if form == "project" else 3)
    state = desk.handle({"do": "undo", "key": None, "edge": 64, "number": 1})["state"]
    assert not fresh.session.annotations and fresh.session.class_names == ("background", "thing")
    assert len(state["images"]) == (1 if form == "project" else 3) and state["redo"] and not state["undo"]
    desk.handle({"do": "redo", "key": None, "edge": 64, "number": 2})
    assert fresh.session.annotations and fresh.session.class_names == ("background", "cat")


def test_undo_waits_until_what_was_brought_is_taken_in(workspace):
    desk = Desk(workspace)
    for place, file in enumerate(workspace.export()):
        desk.receive(*file, place)
    before = workspace.session
    wishes = iter(range(1, 100))

    def undo():
        return desk.handle({"do": "undo", "key": None, "edge": 64, "number": next(wishes)})

    replies = [undo() for _ in desk.work({"do": "take_in"})]
    assert all("still being read" in reply["error"] for reply in replies[:-1])
    assert "error" not in replies[-1] and workspace.session.state == before.state


def test_a_class_that_somebody_asked_for_stays_when_others_come(workspace, segmenter):
    own = Workspace(segmenter)
    own.add_image("sample.png", photo_bytes(7))
    own.apply(AddClass("cheetah"))
    desk = Desk(own, samples=frozenset(item.key for item in own.session.images))
    desk.handle({"do": "rename_class", "name": "cheetah", "to": "thing", "key": None, "edge": 64, "number": 1})
    desk.receive(*fetch(Transfer(workspace), "project")[1:])
    *_, reply = desk.work({"do": "take_in"})
    assert [item["name"] for item in reply["state"]["classes"]] == ["background", "thing", "cat"]


def test_names_that_cannot_be_shown_are_others_and_end_nothing(workspace, segmenter):
    """A project that had a lone surrogate in the name of a photo kept its page from ever being shown again, and two files that
    zips called "." the files after them from being read."""
    files = read_zip(save_project(workspace), "work.zip")
    listing = json.loads(files["project.json"])
    listing["images"][0]["name"] = "\ud800.png"
    opened = zip_bytes((files | {"project.json": json.dumps(listing).encode()}).items())
    marks = json.dumps({"\udfff.png": {"marks": []}, "a.png": {"marks": [{"point": [1, 1], "label": "\ud800"}]}}).encode()
    desk = Desk(Workspace(segmenter))
    brought = [
        ("work.zip", opened),
        ("marks.json", marks),
        ("one.zip", zip_bytes([(".", photo_bytes(7))])),
        ("two.zip", zip_bytes([(".", photo_bytes(8)), ("a.png", photo_bytes(9))])),
    ]
    for place, (name, data) in enumerate(brought):
        assert desk.receive(name, data, place) == {}
    *_, reply = desk.work({"do": "take_in"})
    assert json.dumps(reply, ensure_ascii=False).encode()
    names = [item["name"] for item in reply["state"]["images"]]
    assert names == ["image", "image-2", "a.png", "?.png", "1.png", "2.png"]
    assert len(reply["problems"]) == 2
    *_, made = desk.work({"do": "export", "form": "project"})
    assert "error" not in made
