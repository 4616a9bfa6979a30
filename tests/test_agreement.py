"""The curve of agreement: what it says of made-up masks, and that a workspace draws it from its own history."""

from types import SimpleNamespace

import numpy as np
import pytest
from pictures import photo

from guided_demo import Point
from guided_demo.agreement import Agreement, curve, overlap
from guided_demo.events import AddClass, AddImages, Annotate, MarkCorrect, MergeClass, RemoveClass, RenameClass
from guided_demo.session import ImageItem, Session
from guided_demo.workspace import Workspace

NAMES = ("background", "cat", "dog")


def session_of(*steps, images="ab"):
    """A session to which things were done: a click for a number, else an event."""
    session = Session().apply(AddImages(tuple(ImageItem(key, f"{key}.png", (100, 1)) for key in images)))
    session = session.apply(AddClass("cat"))
    for step in steps:
        session = session.apply(Annotate("a", Point(step, 0.5, session.class_names[1])) if isinstance(step, int) else step)
    return session


def grown(state, key):
    """Masks that have ten pixels of the first class for every click, and five in b."""
    clicks = sum(len(annotation.marks) for annotation in state.own.values())
    labels = np.zeros((1, 100), int)
    labels[0, : clicks * (10 if key == "a" else 5)] = 1
    return tuple(item.name for item in state.classes), labels


def test_nothing_is_said_before_a_mask_is_marked_as_correct():
    assert curve(session_of(1, 2, 3), grown) == ()


def test_accuracy_grows_with_clicks_to_the_mask_that_was_marked_as_correct():
    session = session_of(1, 2, 3, 4, MarkCorrect("a"), 5)
    expected = [(0, 0), (1, 1 / 4), (2, 2 / 4), (3, 3 / 4), (4, 1), (5, 4 / 5)]
    assert curve(session, grown) == tuple(Agreement(clicks, accuracy) for clicks, accuracy in expected)
    assert curve(session.undo(), grown) == tuple(Agreement(clicks, accuracy) for clicks, accuracy in expected[:-1])
    assert curve(session.undo().undo(), grown) == ()


def test_images_count_equally_and_each_from_when_it_was_marked():
    session = session_of(1, MarkCorrect("a"), 2, MarkCorrect("b"), MarkCorrect("a", False), 3, MarkCorrect("a"))
    accuracy = {point.clicks: point.accuracy for point in curve(session, grown)}
    assert accuracy == pytest.approx({0: 0, 1: (1 / 3 + 1 / 2) / 2, 2: (2 / 3 + 1) / 2, 3: (1 + 2 / 3) / 2})


def test_a_class_is_followed_through_its_names_and_a_removed_one_counts_as_wrong():
    renamed = session_of(1, RenameClass("cat", "lynx"), 2, MarkCorrect("a"), RenameClass("lynx", "lion"), 3)
    assert [point.accuracy for point in curve(renamed, grown)] == pytest.approx([0, 1 / 2, 1, 2 / 3])
    swapped = session_of(1, RenameClass("cat", "dog"), AddClass("cat"), MarkCorrect("a"))
    assert [point.accuracy for point in curve(swapped, grown)] == [0, 1]
    merged = session_of(1, AddClass("dog"), 2, MarkCorrect("a"), MergeClass("cat", "dog"))
    assert [point.accuracy for point in curve(merged, grown)] == [0, 1 / 2, 1]
    removed = session_of(1, MarkCorrect("a"), RemoveClass("cat"), AddClass("dog"))
    assert curve(removed, grown)[-1].accuracy == 0


def test_long_histories_are_looked_at_in_few_places_which_stay():
    looked_at = []

    def masks(state, key):
        looked_at.append(state)
        return grown(state, key)

    def clicks(count):
        return [point.clicks for point in curve(session_of(MarkCorrect("a"), *range(1, count + 1)), masks)]

    assert clicks(19) == list(range(20))
    assert clicks(20) == [*range(0, 21, 2)]
    assert clicks(61) == [*range(0, 61, 4), 61]
    assert len(looked_at) == (20 + 11 + 17) + 3


def test_of_many_images_some_stand_for_all_and_stay():
    keys = tuple(f"{number:03}" for number in range(200))
    session, asked = session_of(*(MarkCorrect(key) for key in keys), 1, images=("a", *keys)), set()

    def masks(state, key):
        asked.add(key)
        return grown(state, key)

    assert len(curve(session, masks)) == 2
    before = set(asked)
    assert 32 <= len(before) <= 64
    curve(session.apply(MarkCorrect("a")), masks)
    assert asked - before <= {"a"}


def test_overlap_is_the_mean_over_classes():
    def labelled(*values, names=NAMES):
        return names, np.array([values])

    assert overlap(labelled(0, 0, 1, 2), labelled(0, 0, 1, 2)) == 1
    assert overlap(labelled(0, 1, 1, 2), labelled(0, 0, 1, 1)) == pytest.approx((1 / 3 + 0) / 2)
    assert overlap(labelled(0, 0), labelled(0, 0)) == 1
    assert overlap(labelled(0, 0), labelled(0, 1)) == 0
    assert overlap(labelled(0, 1, names=("background", "dog")), labelled(0, 2)) == 1


def test_a_workspace_looks_at_its_own_history(segmenter, monkeypatch):
    workspace = Workspace(segmenter)
    for seed, name in enumerate("ab"):
        workspace.add_image(name, photo(seed, (64, 48)))
    first, second = (item.key for item in workspace.session.images)
    workspace.apply(AddClass("cat"))
    for number, label in enumerate(["cat", "background", "cat"]):
        workspace.apply(Annotate(first, Point(5 + 20 * number, 9 + 10 * number, label)))
    assert workspace.agreement() == ()
    guidance, result = workspace.guidance, workspace.segment(second)
    workspace.apply(MarkCorrect(second))
    points = workspace.agreement()
    assert [point.clicks for point in points] == [0, 1, 2, 3]
    assert points[-1].accuracy == 1

    # By hand: what the masks were, by going back.
    truth = result.classes, result.labels_at((64, 48))
    for point in reversed(points):
        while sum(isinstance(event, Annotate) for step in workspace.session.past for event in step.events) > point.clicks:
            workspace.undo()
        mask = workspace.segment(second)
        assert point.accuracy == pytest.approx(overlap((mask.classes, mask.labels_at((64, 48))), truth))
    while workspace.session.future:
        workspace.redo()
    assert workspace.guidance.to_bytes() == guidance.to_bytes()

    # Looking again costs nothing, and one more click is looked at alone.
    calls = []
    segment = segmenter.segment
    spy = SimpleNamespace(segment=lambda *a, **o: calls.append(a) or segment(*a, **o), guide=segmenter.guide)
    monkeypatch.setattr(workspace, "segmenter", spy)
    assert workspace.agreement() == points
    assert calls == []
    workspace.apply(Annotate(first, Point(50, 40, "cat")))
    assert workspace.agreement()[:-1] == points
    assert len(calls) == 1


def test_what_was_said_to_be_correct_is_compared_with_what_it_has_become(segmenter):
    workspace = Workspace(segmenter)
    for seed, name in enumerate("ab"):
        workspace.add_image(name, photo(seed, (64, 48)))
    first, second = (item.key for item in workspace.session.images)
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(first, Point(5, 9, "cat")))
    workspace.apply(Annotate(first, Point(50, 40, "background")))
    truth = workspace.segment(second)
    workspace.apply(MarkCorrect(second))
    assert workspace.kept(second) == 1
    workspace.apply(AddClass("dog"))
    workspace.apply(Annotate(first, Point(30, 24, "dog")))
    masks = [(result.classes, result.labels_at((64, 48))) for result in (workspace.segment(second), truth)]
    changed = pytest.approx(overlap(*masks))
    assert workspace.kept(second) == changed
    assert 0 < overlap(*masks) < 1
    workspace.apply(RenameClass("cat", "lynx"))
    assert workspace.kept(second) == pytest.approx(overlap(*masks), abs=0.01)  # classes are added up in another order
    workspace.apply(MarkCorrect(second, False))
    workspace.apply(MarkCorrect(second))
    assert workspace.kept(second) == 1
