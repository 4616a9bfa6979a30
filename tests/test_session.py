"""What a user can do, its rules, and a history that goes back and forth exactly."""

import numpy as np
import pytest

from guided_demo import Annotation, InputError, Point, Stroke
from guided_demo.annotation import BACKGROUND
from guided_demo.events import (
    AddClass,
    AddImages,
    Annotate,
    ClearAnnotation,
    LoadGuidance,
    MarkCorrect,
    MergeClass,
    RecolorClass,
    RemoveClass,
    RemoveImages,
    RenameClass,
    SetAnnotation,
)
from guided_demo.render import BACKGROUND_COLOR, PALETTE
from guided_demo.session import ClassItem, ImageItem, Session

ITEMS = tuple(ImageItem(key, f"{key}.jpg", (60, 40)) for key in ("a", "b", "c"))
CAT, DOG = Point(5, 5, "cat"), Point(9, 9, "dog")


@pytest.fixture
def session():
    return applied(Session(), AddImages(ITEMS), AddClass("cat"), AddClass("dog", "#123456"))


def applied(session, *events):
    for event in events:
        session = session.apply(event)
    return session


def test_a_new_session_has_the_background_only():
    assert Session().images == ()
    assert Session().classes == (ClassItem(BACKGROUND, BACKGROUND_COLOR),)
    new = Session()
    assert new.undo() is new.redo() is new


def test_classes_get_palette_colours_in_turn(session):
    assert session.colors == {BACKGROUND: BACKGROUND_COLOR, "cat": PALETTE[0], "dog": "#123456"}
    assert session.apply(AddClass("  fox ")).classes[-1] == ClassItem("fox", PALETTE[1])


@pytest.mark.parametrize("name", ["\u0645\u06cc\u200c\u0631\u0648\u062f", "\U0001f469\u200d\U0001f33e"])
def test_a_class_is_called_what_people_write(session, name):
    assert session.apply(AddClass(name)).class_names[-1] == name


def test_annotating_one_image_leaves_the_others(session):
    stroke = Stroke(((1, 1), (5, 9)), None, 3.0)
    after = applied(session, Annotate("a", CAT), Annotate("b", DOG), Annotate("a", stroke))
    assert after.annotations == {"a": Annotation(marks=[CAT, stroke]), "b": Annotation(marks=[DOG])}
    assert session.annotations == {}


@pytest.mark.parametrize(
    "event, words",
    [
        (Annotate("z", CAT), "not in the gallery"),
        (Annotate("a", Point(61, 5, "cat")), "outside the image"),
        (Annotate("a", Point(float("nan"), 5, "cat")), "not a number"),
        (Annotate("a", Point(5, 5, "fox")), "no class called 'fox'"),
        (Annotate("a", Stroke((), "cat")), "no points"),
        (AddClass(" "), "needs a name"),
        (AddClass("x" * 81), "at most 80"),
        (AddClass("a\nb"), "one line"),
        (AddClass("a\u202eb"), "without control characters"),
        (AddClass("\u200d \u200c"), "needs a name"),
        (AddClass("cat"), "called 'cat' already"),
        (AddClass("fox", "red"), "not a colour"),
        (RenameClass("cat", "dog"), "called 'dog' already"),
        (RenameClass("fox", "wolf"), "no class called"),
        (RenameClass(BACKGROUND, "wolf"), "cannot be renamed"),
        (MergeClass(BACKGROUND, "cat"), "cannot be merged"),
        (MergeClass("cat", "fox"), "no class called 'fox'"),
        (RemoveClass(BACKGROUND), "cannot be removed"),
        (RecolorClass("cat", "javascript:"), "not a colour"),
        (RemoveImages(("a", "z")), "not in the gallery"),
        (SetAnnotation("a", Annotation(points=[(99, 1, "cat")])), "outside the image"),
    ],
)
def test_what_cannot_be_done_says_so(session, event, words):
    with pytest.raises(InputError, match=words):
        session.apply(event)


def test_rename_recolour_and_remove_lose_nothing_else(session):
    marked = applied(session, Annotate("a", CAT), Annotate("a", DOG), Annotate("b", DOG))
    renamed = marked.apply(RenameClass("dog", "wolf"))
    assert renamed.annotations["a"].marks == (CAT, Point(9, 9, "wolf"))
    assert renamed.colors["wolf"] == "#123456"
    recoloured = renamed.apply(RecolorClass("wolf", "#000000"))
    assert recoloured.annotations == renamed.annotations
    assert recoloured.colors["wolf"] == "#000000"
    removed = recoloured.apply(RemoveClass("wolf"))
    assert removed.class_names == (BACKGROUND, "cat")
    assert removed.annotations == {"a": Annotation(marks=[CAT])}
    assert removed.undo().undo().undo() == replaced_history(marked, removed.undo().undo().undo())


@pytest.mark.parametrize("into", ["dog", BACKGROUND])
def test_merged_classes_have_the_marks_of_both_and_the_colour_of_one(session, into):
    marked = applied(session, Annotate("a", CAT), Annotate("a", DOG), Annotate("b", CAT))
    merged = marked.apply(MergeClass("cat", into))
    assert merged.annotations["a"].marks == (Point(5, 5, into), DOG)
    assert merged.annotations["b"].marks == (Point(5, 5, into),)
    assert merged.classes == tuple(item for item in marked.classes if item.name != "cat")
    assert marked.count_marks("cat") == 2 and merged.count_marks("cat") == 0
    assert merged.undo().state is marked.state and merged.undo().redo().state is merged.state


def replaced_history(session, other):
    """`session` with the redo steps of `other`, to compare all the rest."""
    return Session(session.library, session.state, session.past, other.future)


def test_an_empty_step_is_no_step(session):
    for event in (RenameClass("cat", " cat "), MergeClass("cat", "cat"), ClearAnnotation("a"), SetAnnotation("a", Annotation())):
        assert session.apply(event) is session


def test_undo_does_not_take_added_images_away(session):
    late = ImageItem("d", "d.jpg", (60, 40))
    after = applied(session, Annotate("a", CAT), AddImages((late,))).undo()
    assert after.images == (*ITEMS, late)
    assert after.annotations == {}
    assert after.redo().annotations == {"a": Annotation(marks=[CAT])}


def test_undo_and_redo_do_not_take_images_away_that_were_removed_and_added_again(session):
    removed = applied(session, Annotate("a", CAT), RemoveImages(("a",)), Annotate("b", CAT), Annotate("b", DOG)).undo()
    back = removed.apply(AddImages(ITEMS[:1]))
    assert back.images == back.redo().images == back.undo().images == ITEMS
    assert back.redo().annotations == {"b": Annotation(marks=[CAT, DOG])}
    before = back.undo().undo()
    assert before.annotations == {"a": Annotation(marks=[CAT])}
    assert session.apply(RemoveImages(("a",))).undo().apply(AddImages(ITEMS[:1])).redo().images == ITEMS[1:]


def test_pictures_of_one_name_are_told_apart_by_a_number(session):
    twice = tuple(ImageItem(key, "A.jpg", (60, 40)) for key in "de")
    after = applied(session, AddImages(twice[:1]), AddImages(twice), AddImages(twice[:1]))
    assert [item.name for item in after.images[3:]] == ["A-2.jpg", "A-3.jpg"]


def test_a_picture_is_in_the_gallery_once(session):
    assert session.apply(AddImages((ImageItem("a", "copy.jpg", (60, 40)),))).images == ITEMS


def test_removed_images_take_their_marks_along_and_undo_brings_them_back(session):
    marked = applied(session, Annotate("a", CAT), MarkCorrect("a"), Annotate("b", DOG))
    removed = marked.apply(RemoveImages(("a", "c")))
    assert removed.images == ITEMS[1:2]
    assert set(removed.annotations) == {"b"}
    assert removed.correct == frozenset()
    assert removed.undo().state is marked.state
    again = removed.apply(AddImages(ITEMS[:1]))
    assert again.images == ITEMS[:2]
    assert "a" not in again.annotations


def test_history_is_exact_whatever_was_done(session):
    rng = np.random.default_rng(0)
    sessions = [session]
    for number in range(150):
        now = sessions[-1]
        label = str(rng.choice(now.class_names))
        key = str(rng.choice(["a", "b", "c"]))
        events = [
            Annotate(key, Point(*rng.uniform(0, 40, 2), label)),
            Annotate(key, Stroke(tuple(rng.uniform(0, 40, (3, 2))), label, 4.0)),
            AddClass(f"class {number}"),
            ClearAnnotation(key),
            *([RenameClass(label, f"other {number}"), RemoveClass(label)] if label != BACKGROUND else []),
            *([MergeClass(label, str(rng.choice(now.class_names)))] if label != BACKGROUND else []),
        ]
        after = now.apply(events[rng.integers(len(events))])
        if after is not now:
            sessions.append(after)
    back = sessions[-1]
    for before in reversed(sessions[:-1]):
        back = back.undo()
        assert back.state is before.state
    forth = back
    for after in sessions[1:]:
        forth = forth.redo()
        assert forth.state is after.state
    branched = back.redo().apply(AddClass("new"))
    assert branched.redo() is branched


def test_what_belongs_together_is_one_step(session):
    before = session.apply(Annotate("a", CAT))
    after = before.apply(RenameClass("cat", "lynx"), "files").apply(AddClass("emu"), "files").apply(MarkCorrect("b"), "files")
    assert [len(step.events) for step in after.past] == [1, 1, 1, 3]
    assert after.undo().state is before.state
    assert after.undo().redo() == after
    fox = AddClass("fox")
    for other in (after.apply(fox), after.apply(fox, "other files"), after.undo().apply(fox, "files")):
        assert len(other.past[-1].events) == 1


@pytest.fixture(scope="module")
def cats(segmenter):
    """Guidance of two photos: of "a" as the gallery's key would be, and of one that is not in the gallery."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)
    encoded = [segmenter.encode(image) for image in images]
    return encoded, [segmenter.guide(e, Annotation(points=[(5, 5, "cat"), (30, 9, BACKGROUND)])) for e in encoded]


def test_loaded_guidance_brings_classes_and_marks(cats):
    (encoded, _), (first, second) = cats
    session = applied(Session(), AddImages((ImageItem(encoded.key, "a.jpg", encoded.size),)), AddClass("dog"))
    loaded = session.apply(LoadGuidance(first + second))
    assert loaded.class_names == (BACKGROUND, "dog", "cat")
    assert loaded.annotations == {encoded.key: first.annotations[encoded.key]}
    assert set(loaded.state.loaded.images) == {*first.images, *second.images}

    more = loaded.apply(Annotate(encoded.key, Point(9, 9, "dog")))
    assert more.annotations[encoded.key] == first.annotations[encoded.key].add(Point(9, 9, "dog"))
    assert set(more.state.loaded.images) == set(second.images)
    assert more.apply(ClearAnnotation(encoded.key)).annotations == {}

    renamed = loaded.apply(RenameClass("cat", "lynx"))
    assert renamed.state.loaded.classes == (BACKGROUND, "lynx")
    assert renamed.annotations[encoded.key].classes == (BACKGROUND, "lynx")
    assert "cat" not in loaded.apply(RemoveClass("cat")).state.loaded.classes
    assert loaded.undo().state is session.state


def test_classes_of_loaded_guidance_are_merged_unless_a_photo_that_is_not_here_has_both(cats, segmenter):
    (here, elsewhere), _ = cats
    both = Annotation(points=[(5, 5, "cat"), (30, 9, "dog")])
    session = applied(Session(), AddImages((ImageItem(here.key, "a.jpg", here.size),)))
    loaded = session.apply(LoadGuidance(segmenter.guide(here, both)))
    assert loaded.count_marks("dog") == 1
    merged = loaded.apply(MergeClass("dog", "cat"))
    assert merged.annotations == {here.key: both.rename("dog", "cat")}
    assert merged.state.loaded.images == ()
    assert merged.undo().state is loaded.state
    more = loaded.apply(LoadGuidance(segmenter.guide(elsewhere, both)))
    with pytest.raises(InputError, match="both 'dog' and 'cat' in a photo that is not here; add that photo first"):
        more.apply(MergeClass("dog", "cat"))
    there = more.apply(AddImages((ImageItem(elsewhere.key, "b.jpg", elsewhere.size),)))
    assert set(there.apply(MergeClass("dog", "cat")).annotations) == {here.key, elsewhere.key}


def test_guidance_of_two_people_is_merged(cats):
    (encoded, _), (first, second) = cats
    session = applied(Session(), AddImages((ImageItem(encoded.key, "a.jpg", encoded.size),)), AddClass("dog"))
    mine = session.apply(Annotate(encoded.key, Point(40, 30, "dog")))
    merged = mine.apply(LoadGuidance(first + second))
    assert merged.annotations[encoded.key] == mine.annotations[encoded.key] + first.annotations[encoded.key]
    assert set(merged.state.loaded.images) == set(second.images)
    assert merged.apply(LoadGuidance(second)).state.loaded.images == merged.state.loaded.images
