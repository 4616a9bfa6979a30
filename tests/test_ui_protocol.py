"""The desk: what the page is told, on a small network with random weights."""

import base64
import io
import itertools
import json
import threading

import numpy as np
import pytest
from pictures import photo_bytes
from PIL import Image

from guided_demo.annotation import BACKGROUND
from guided_demo.events import AddClass
from guided_demo.project import save_project
from guided_demo.ui import seeing
from guided_demo.ui.protocol import SORRY, Desk
from guided_demo.ui.wishes import STRANGE
from guided_demo.workspace import Workspace

EDGE = 64


@pytest.fixture
def desk(segmenter):
    workspace = Workspace(segmenter)
    assert workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3)) == []
    workspace.apply(AddClass("cat"))
    return Desk(workspace)


class Page:
    """What canvas.js does: numbers its changes, and sends JSON."""

    def __init__(self, desk):
        self.desk = desk
        start = self.read("start")
        self.number = start["number"]
        self.keys = [image["key"] for image in start["state"]["images"]]

    def read(self, verb, **message):
        return json.loads(json.dumps(self.desk.handle({"do": verb, "edge": EDGE, **message})))

    def change(self, verb, **message):
        self.number += 1
        return self.read(verb, key=message.pop("key", self.keys[0]), number=self.number, **message)

    def click(self, x, y, label, key=None):
        return self.change("mark", key=key or self.keys[0], marks=[{"point": [x, y], "label": label}])

    def masks(self):
        masks = {}
        while len(masks) < len(self.keys):
            masks |= self.read("masks", keys=[key for key in self.keys if key not in masks])["masks"]
        return masks


@pytest.fixture
def page(desk):
    return Page(desk)


def picture(url):
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def test_a_page_starts_with_photos_classes_and_nothing_to_undo(page):
    state = page.read("start")["state"]
    assert [image["name"] for image in state["images"]] == ["0.png", "1.png", "2.png"]
    assert state["images"][0]["size"] == [80, 60]
    assert [item["name"] for item in state["classes"]] == [BACKGROUND, "cat"]
    assert not state["undo"] and not state["redo"] and state["marked"] == []
    assert set(page.masks().values()) == {None}


def test_a_mark_answers_with_the_mask_of_its_photo_and_all_masks_follow(page, desk):
    page.click(10.5, 10.5, "cat")
    reply = page.click(70, 50, BACKGROUND)
    assert reply["state"]["undo"] and set(reply["state"]["marked"]) == {BACKGROUND, "cat"}
    mask = picture(reply["mask"])
    assert mask.mode == "P" and max(mask.size) == EDGE
    for key, url in page.masks().items():
        result = desk.workspace.segment(key)
        assert np.array_equal(np.array(picture(url)), result.labels_at((64, 48)))


def test_the_palette_has_the_colours_of_the_classes_and_a_clear_background(page, desk):
    page.change("recolor_class", name="cat", color="#123456")
    page.click(10, 10, "cat")
    mask = picture(page.click(70, 50, BACKGROUND)["mask"])
    colors = {color for _, color in mask.convert("RGBA").getcolors()}
    assert (0x12, 0x34, 0x56, 255) in colors
    assert {alpha for *_, alpha in colors} == {0, 255}


def test_a_repeated_number_is_applied_once_and_answered_again(page, desk):
    first = page.click(10, 10, "cat")
    page.number -= 1
    again = page.click(10, 10, "cat")
    assert len(desk.workspace.session.past) == 2  # the class, the click
    assert again["mask"] == first["mask"] and again["state"] == first["state"]


def test_what_a_page_sends_again_after_a_reload_is_applied_once(page, desk):
    for x in (10, 20, 30):
        page.click(x, 10, "cat")
    page.change("undo")
    again = Page(desk)
    again.number -= 1
    assert [mark["point"][0] for mark in again.change("undo")["marks"]] == [10, 20]
    assert len(again.change("undo")["marks"]) == 1


def test_to_ask_for_all_again_forgets_no_files(page):
    page.desk.receive("a.png", photo_bytes(7))
    assert page.read("all")["state"] == page.read("start")["state"]
    *_, last = page.desk.work({"do": "take_in"})
    assert last["taken"] == "1 photo"


def test_marks_sent_together_are_undone_one_by_one(page):
    marks = [{"point": [10 + i, 10], "label": "cat"} for i in range(3)]
    page.change("mark", marks=marks)
    assert page.read("open", key=page.keys[0])["marks"] == marks
    assert page.change("undo")["marks"] == marks[:2]
    assert page.change("undo")["marks"] == marks[:1]
    assert page.change("redo")["marks"] == marks[:2]


def test_undo_says_which_photo_it_was_about_and_stops_where_the_user_began(page):
    page.click(10, 10, "cat", key=page.keys[0])
    page.click(20, 20, "cat", key=page.keys[2])
    reply = page.change("undo", key=page.keys[0])
    assert reply["focus"] == page.keys[2]
    page.change("undo")
    reply = page.change("undo")
    assert not reply["state"]["undo"]
    assert [item["name"] for item in reply["state"]["classes"]] == [BACKGROUND, "cat"]


def test_whoever_goes_on_to_another_photo_is_not_brought_back(page):
    """Renaming a class opened a photo it was marked in, and a late answer the photo that was open when it was asked for."""
    page.click(10, 10, "cat", key=page.keys[2])
    ways = [
        ("look", {"view": "mask"}),
        ("rename_class", {"name": "cat", "to": "lion"}),
        ("clear", {"key": page.keys[2]}),
        ("undo", {"key": page.keys[2]}),
        ("remove_class", {"name": "lion"}),
    ]
    assert [page.change(verb, **message)["focus"] for verb, message in ways] == [None] * len(ways)


def test_undo_and_redo_go_to_another_photo_only_where_they_are_about_one(page):
    """To take back a new name of a class opened a photo that the class was marked in."""
    page.click(10, 10, "cat", key=page.keys[2])
    page.change("rename_class", name="cat", to="lion")
    page.change("remove_class", name="lion")
    assert [page.change(way)["focus"] for way in ("undo", "undo", "redo", "redo")] == [None] * 4
    page.change("mark_correct", photo=page.keys[1], correct=True)
    page.change("remove_images", keys=page.keys[1:])
    assert [page.change("undo")["focus"] for _ in range(2)] == [page.keys[1]] * 2
    assert [page.change("redo")["focus"] for _ in range(2)] == [page.keys[1], None]


def test_undo_gives_back_the_very_same_masks(page):
    page.click(10, 10, "cat")
    before = page.masks()
    page.click(60, 40, BACKGROUND, key=page.keys[1])
    assert page.masks() != before
    page.change("undo")
    assert page.masks() == before


@pytest.mark.parametrize(
    "mark",
    [
        {"point": [200, 10], "label": "cat"},
        {"point": [float("nan"), 10], "label": "cat"},
        {"point": [10, 10], "label": "no such class"},
        {"point": [10, 10], "label": ""},
        {"stroke": [], "label": "cat"},
        {"stroke": [[5, 5]], "label": "cat", "radius": -1},
        {"nonsense": 1},
    ],
)
def test_a_bad_mark_is_refused_with_a_sentence_and_what_was_marked_stays(page, mark):
    page.click(10, 10, "cat")
    reply = page.change("mark", marks=[mark])
    assert reply["error"].endswith(".") and reply["error"] != SORRY
    assert len(reply["marks"]) == 1


@pytest.mark.parametrize(
    "marks",
    [[{"point": [5, 5], "label": "cat"}] * 5_000, [{"stroke": [[5, 5]] * 10_001, "label": "cat"}] * 2],
    ids=["marks", "places"],
)
def test_more_marks_than_anybody_draws_are_refused(page, marks):
    """Each was a step with all marks before it: a message of 3 MB took all memory of the server."""
    page.click(5, 5, "cat")
    reply = page.change("mark", marks=marks)
    assert "at most 5000" in reply["error"] or "in parts" in reply["error"]
    assert len(reply["marks"]) == 1


def test_what_is_no_photo_is_not_kept_as_the_open_one(page):
    page.read("open", key=page.keys[1])
    page.read("open", key="\ud800" * 1000)
    assert page.read("start")["focus"] == page.keys[1]


def test_every_problem_is_answered(page, caplog):
    assert "error" in page.read("save_guidance")
    for strange in ({}, {"do": "no such thing"}, {"do": ["start"]}, [], None):
        assert page.desk.handle(strange) == {"error": STRANGE}
        assert list(page.desk.work(strange)) == [{"error": STRANGE}]
    (answer,) = page.desk.work({"do": "export", "form": "bmp"})
    assert answer["error"].endswith(".")
    assert page.read("take", made=0, part=0)["data"] == ""
    assert "error" in page.read("take", made=7, part=0)
    assert caplog.records == []


WELL_FORMED = {"edge": 64, "keys": [], "marks": [], "name": "cat", "to": "dog", "color": "#123456", "photo": "", "correct": True}
STRANGE_VALUES = (None, 10**400, float("nan"), float("inf"), 7, "\ud800", [1], [[1]], {"a": 1})


def test_a_field_that_is_strange_or_lacks_is_answered_without_a_word_in_the_log(desk, caplog):
    """Each left a traceback of a page, and an endless number kept all that came after it from being done."""
    keys, count = [item.key for item in desk.workspace.session.images], itertools.count(1)
    for answer, verbs in ((desk.handle, desk._verbs), (lambda message: list(desk.work(message)), desk._long)):
        for verb in verbs:
            message = {"do": verb, "key": keys[0], "made": 0, "part": 0, "form": "csv", "unsure": 0, **WELL_FORMED}
            for name in (*message, "number"):
                for value in STRANGE_VALUES:
                    answer({**message, "number": next(count), name: value})
                answer({key: value for key, value in message.items() if key != name} | {"number": 1})
    assert caplog.records == []
    assert "error" not in desk.handle({"do": "add_class", "name": "bird", "number": 10_000, "key": None, "edge": 64})


def test_classes_are_added_renamed_merged_recoloured_and_removed(page):
    page.change("add_class", name="dog")
    page.click(10, 10, "dog")
    reply = page.change("rename_class", name="dog", to="<b>fox</b>")
    assert [item["name"] for item in reply["state"]["classes"]] == [BACKGROUND, "cat", "<b>fox</b>"]
    assert reply["marks"][0]["label"] == "<b>fox</b>"
    assert "error" in page.change("add_class", name="cat")
    for change in (("add_class", {"name": " Background"}), ("rename_class", {"name": "cat", "to": "BACKGROUND"})):
        assert "would be a second background; choose another name" in page.change(change[0], **change[1])["error"]
    assert "called 'cat' already" in page.change("rename_class", name="<b>fox</b>", to="cat")["error"]
    assert page.read("count_marks", name="<b>fox</b>") == {"marks": 1}
    reply = page.change("merge_class", name="<b>fox</b>", to="cat")
    assert [item["name"] for item in reply["state"]["classes"]] == [BACKGROUND, "cat"]
    assert reply["marks"][0]["label"] == "cat"
    page.change("undo")
    reply = page.change("remove_class", name="<b>fox</b>")
    assert reply["marks"] == [] and reply["mask"] is None


def test_photos_come_as_small_pictures(page):
    photos = page.read("photos", keys=page.keys)["photos"]
    assert {picture(url).size for url in photos.values()} == {(64, 48)}


def test_a_reply_never_takes_long_but_always_has_something(page, monkeypatch):
    monkeypatch.setattr(seeing, "REPLY_SECONDS", 0.0)
    page.click(10, 10, "cat")
    assert len(page.read("masks", keys=page.keys)["masks"]) == 1


def test_added_photos_are_encoded_and_a_bad_one_does_not_stop_the_others(page, desk):
    files = [("a.png", photo_bytes(7)), ("bad <i>.jpg", b"\xff\xd8 no"), ("b.png", photo_bytes(8))]
    for place in (2, 0, 1):  # in the order they happen to arrive
        assert desk.receive(*files[place], place) == {}
    *progress, last = desk.work({"do": "take_in"})
    assert progress == [{"done": done, "total": 3, "received": 3} for done in range(3)]
    assert last["taken"] == "2 photos"
    assert [problem["name"] for problem in last["problems"]] == ["bad <i>.jpg"]
    assert [image["name"] for image in last["state"]["images"]][3:] == ["a.png", "b.png"]
    assert last["focus"] == last["state"]["images"][3]["key"]


def test_long_work_may_go_on_in_another_thread_and_keeps_nobody_waiting(page, desk):
    desk.receive("a.png", photo_bytes(7))
    steps = desk.work({"do": "take_in"})
    while "state" not in next(steps):
        pass
    click = threading.Thread(target=page.click, args=(10, 10, "cat"))
    click.start()
    click.join(20)
    assert not click.is_alive()
    finish = threading.Thread(target=lambda: list(steps))
    finish.start()
    finish.join(20)
    assert not finish.is_alive()


@pytest.mark.parametrize("marked", [False, True])
def test_samples_leave_when_photos_come_unless_they_are_marked(page, desk, marked):
    desk = Desk(desk.workspace, samples=frozenset(page.keys))
    page.desk = desk
    if marked:
        page.click(10, 10, "cat")
    desk.receive("mine.png", photo_bytes(9))
    *_, last = desk.work({"do": "take_in"})
    assert len(last["state"]["images"]) == (4 if marked else 1)
    assert len(last["state"]["samples"]) == (3 if marked else 0)
    assert [item["name"] for item in last["state"]["classes"]] == [BACKGROUND, "cat" if marked else "thing"]
    assert last["state"]["undo"] == marked


@pytest.mark.parametrize("kind", ["guidance", "project without photos", "class"])
def test_the_class_of_the_samples_leaves_with_them_where_there_are_others(page, desk, kind, segmenter):
    page.click(10, 10, "cat")
    saved = base64.b64decode(page.read("save_guidance")["data"])
    if kind == "project without photos":
        saved = save_project(desk.workspace, photos=False)
    workspace = Workspace(segmenter)
    workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in (7, 8))
    workspace.apply(AddClass("cheetah"))
    other = Page(Desk(workspace, samples=frozenset(item.key for item in workspace.session.images)))
    if kind == "class":
        other.change("add_class", name="cat")
    else:
        other.desk.receive("saved.safetensors" if kind == "guidance" else "saved.zip", saved)
        list(other.desk.work({"do": "take_in"}))
    assert workspace.session.class_names == (BACKGROUND, "cheetah", "cat")
    other.desk.receive("mine.png", photo_bytes(0))
    *_, last = other.desk.work({"do": "take_in"})
    assert [item["name"] for item in last["state"]["classes"]] == [BACKGROUND, "cat"]
    assert len(last["state"]["images"]) == 1
    if kind == "guidance":
        assert last["state"]["undo"]
        undone = other.change("undo")["state"]
        assert ([item["name"] for item in undone["classes"]], undone["marked"]) == ([BACKGROUND, "thing"], [])
        assert len(undone["images"]) == 1 and not undone["undo"]
        assert other.change("redo")["state"]["marked"] == ["cat"]


def test_a_project_brings_all_of_its_photos_also_those_that_are_samples_here(page, desk, segmenter):
    page.click(10, 10, "cat", key=page.keys[1])
    saved = save_project(desk.workspace)
    workspace = Workspace(segmenter)
    workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in (0, 7))
    other = Page(Desk(workspace, samples=frozenset(item.key for item in workspace.session.images)))
    assert set(other.keys) & set(page.keys) and set(other.keys) - set(page.keys)  # one sample is in the project, one is not
    other.desk.receive("work.zip", saved)
    *_, last = other.desk.work({"do": "take_in"})
    assert {item["key"] for item in last["state"]["images"]} == set(page.keys)
    assert workspace.session.annotations.keys() == {page.keys[1]}


def test_guidance_saved_on_one_desk_gives_the_same_masks_on_another(page, segmenter):
    page.click(10, 10, "cat")
    page.click(70, 50, BACKGROUND, key=page.keys[1])
    saved = page.read("save_guidance")
    workspace = Workspace(segmenter)
    workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3))
    other = Page(Desk(workspace))
    other.desk.receive(saved["name"], base64.b64decode(saved["data"]))
    *_, last = other.desk.work({"do": "take_in"})
    assert last["taken"] == "1 guidance file" and last["state"]["undo"]
    assert [np.array(picture(url)).tolist() for url in other.masks().values()] == [
        np.array(picture(url)).tolist() for url in page.masks().values()
    ]


def test_pages_in_many_threads_keep_to_their_own_desk(segmenter):
    def build():
        workspace = Workspace(segmenter)
        workspace.add_image("same.png", photo_bytes(1))
        workspace.apply(AddClass("cat"))
        return Page(Desk(workspace))

    def draw(page, x):
        for i in range(10):
            page.click(x + i, 10, "cat")

    pages = [build() for _ in range(3)]
    threads = [threading.Thread(target=draw, args=(page, 20 * i)) for i, page in enumerate(pages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, page in enumerate(pages):
        marks = page.read("open", key=page.keys[0])["marks"]
        assert [mark["point"][0] for mark in marks] == [20 * i + n for n in range(10)]
