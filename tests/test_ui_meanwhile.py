"""What a desk answers when something else happens while it answers: another tab, a cell of the notebook, a slow upload."""

import numpy as np
import pytest
from pictures import photo_bytes
from work import fill

from guided_demo.annotation import BACKGROUND, Annotation, Point
from guided_demo.events import AddClass, Annotate, RenameClass, SetAnnotation
from guided_demo.ui.protocol import Desk
from guided_demo.workspace import Workspace

EDGE = 64


@pytest.fixture
def workspace(segmenter):
    made = Workspace(segmenter)
    fill(made)
    made.apply(AddClass("cat"))
    return made


@pytest.fixture
def key(workspace):
    return workspace.session.images[0].key


def ask(desk, verb, **message):
    return desk.handle({"do": verb, "edge": EDGE, **message})


def test_an_answer_without_a_mark_is_never_of_the_revision_that_has_it(workspace, key, monkeypatch):
    desk = Desk(workspace)
    shown = Desk._shown

    def interrupted(self, message):
        found = shown(self, message)
        workspace.apply(Annotate(key, Point(10, 10, "cat")))
        return found

    monkeypatch.setattr(Desk, "_shown", interrupted)
    reply = ask(desk, "open", key=key)
    assert reply["marks"] == []
    assert reply["state"]["revision"] < ask(desk, "start")["state"]["revision"]


def test_a_class_renamed_while_masks_are_made_spoils_no_answer(workspace, key, monkeypatch):
    desk = Desk(workspace)
    workspace.apply(Annotate(key, Point(10, 10, "cat")))
    segment = workspace.segment

    def interrupted(*arguments):
        result = segment(*arguments)
        if "cat" in workspace.session.class_names:
            workspace.apply(RenameClass("cat", "dog"))
        return result

    monkeypatch.setattr(workspace, "segment", interrupted)
    reply = ask(desk, "masks", keys=[key])
    assert "error" not in reply and reply["masks"][key]
    assert reply["revision"] < ask(desk, "start")["state"]["revision"]


def test_what_is_marked_after_a_cell_went_further_back_than_the_page_can_is_undone(workspace, key):
    workspace.apply(Annotate(key, Point(10, 10, "cat")))
    desk = Desk(workspace)
    workspace.undo()
    workspace.undo()
    assert not ask(desk, "start")["state"]["undo"]
    workspace.apply(AddClass("dog"))
    assert ask(desk, "start")["state"]["undo"]
    ask(desk, "undo", key=key, number=1)
    assert workspace.session.class_names == (BACKGROUND,)


def test_a_class_named_while_the_first_photos_come_keeps_its_name(workspace):
    desk = Desk(workspace, samples=frozenset(item.key for item in workspace.session.images))
    for seed in (7, 8):
        desk.receive(f"mine {seed}.png", photo_bytes(seed), seed)
    steps = desk.work({"do": "take_in"})
    next(steps)
    workspace.apply(RenameClass("cat", "dog"))
    *_, last = steps
    assert len(last["state"]["images"]) == 2
    assert [item["name"] for item in last["state"]["classes"]] == [BACKGROUND, "dog"]


def test_a_mask_that_was_brought_counts_as_marked(workspace, key):
    desk = Desk(workspace)
    workspace.apply(SetAnnotation(key, Annotation.from_mask(np.eye(60, 80, dtype=np.uint8), (BACKGROUND, "cat"))))
    assert [image["marks"] for image in ask(desk, "start")["state"]["images"]] == [1, 0, 0]
    reply = ask(desk, "open", key=key)
    assert reply["marks"] == [] and reply["dense"]
    reply = ask(desk, "clear", key=key, number=1)
    assert not reply["dense"] and [image["marks"] for image in reply["state"]["images"]] == [0, 0, 0]


def test_a_photo_whose_marks_are_all_erased_does_not_count_as_marked_until_it_is_marked_again(workspace, key):
    desk = Desk(workspace)
    for number, label, count in ((1, "cat", 1), (2, None, 0), (3, "cat", 3)):
        mark = {"stroke": [[20, 20]], "label": label, "radius": 3 + number, "shape": "brush"}
        assert ask(desk, "mark", key=key, number=number, marks=[mark])["count"] == count
        assert ask(desk, "open", key=key)["count"] == count
        assert [image["marks"] for image in ask(desk, "start")["state"]["images"]] == [count, 0, 0]
