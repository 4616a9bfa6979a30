"""Workspaces on a small network with random weights: what is true of any weights is held here."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pictures import photo
from work import fill, masks, same, scribble

from guided_demo import Annotation, Guidance, InputError, Point, Stroke
from guided_demo.annotation import BACKGROUND
from guided_demo.core.features import FeatureCache
from guided_demo.events import (
    AddClass,
    Annotate,
    LoadGuidance,
    MergeClass,
    RemoveClass,
    RenameClass,
    SetAnnotation,
)
from guided_demo.summary import summarize
from guided_demo.workspace import Workspace


def test_a_summary_is_worked_out_once_for_every_guidance_and_is_always_that_of_the_masks(workspace, monkeypatch):
    keys = [item.key for item in workspace.session.images]
    workspace.apply(Annotate(keys[0], Point(10, 10, "cat")))

    def summaries(unsure):
        return [workspace.summary(key, unsure=unsure) for key in keys]

    for seed in range(3):
        workspace.apply(scribble(workspace, seed))
        for unsure in (0.0, 0.9):
            assert summaries(unsure) == [summarize(workspace.segment(key), (80, 60), unsure) for key in keys]
    monkeypatch.setattr(workspace, "segment", None)
    assert summaries(0.9) == summaries(0.9)


def test_masks_have_the_size_of_their_image_and_keep_annotated_pixels(workspace):
    keys = [item.key for item in workspace.session.images]
    workspace.apply(Annotate(keys[0], Stroke(((8, 8), (20, 12)), "cat", 3.0)))
    workspace.apply(Annotate(keys[0], Point(60.5, 40.5, BACKGROUND)))
    for scope in ("everywhere", "object"):
        result = workspace.segment(keys[0], scope)
        assert result.classes == (BACKGROUND, "cat")
        assert result.labels.shape == (60, 80)
        marked = workspace.session.annotation(keys[0]).label_map((80, 60), result.classes)
        assert (result.labels[marked != 255] == marked[marked != 255]).all()


def test_undo_and_redo_give_the_same_masks_bit_for_bit(workspace):
    history = [masks(workspace)]
    for seed in range(8):
        workspace.apply(scribble(workspace, seed))
        history.append(masks(workspace))
    for before in reversed(history[:-1]):
        workspace.undo()
        assert same(masks(workspace), before)
    for after in history[1:]:
        workspace.redo()
        assert same(masks(workspace), after)


def test_a_stroke_guides_its_own_image_only(workspace, segmenter, monkeypatch):
    for seed in range(6):
        workspace.apply(scribble(workspace, seed))
    before = workspace.guidance
    guided = []
    guide = segmenter.guide
    monkeypatch.setattr(segmenter, "guide", lambda image, annotation: guided.append(image.key) or guide(image, annotation))
    event = scribble(workspace, 7)
    workspace.apply(event)
    assert workspace.guidance is not before
    assert workspace.guidance is workspace.guidance
    assert guided == [event.key]
    workspace.undo()
    assert set(workspace.guidance.images) == set(before.images)
    assert guided == [event.key]


def test_results_are_kept_until_they_change(workspace):
    keys = [item.key for item in workspace.session.images]
    workspace.apply(Annotate(keys[0], Point(5, 5, "cat")))
    first = workspace.segment(keys[1])
    workspace.apply(AddClass("dog"))
    assert workspace.segment(keys[1]) is first
    workspace.apply(Annotate(keys[0], Point(50, 40, BACKGROUND)))
    assert workspace.segment(keys[1]) is not first


def test_classes_renamed_and_removed_leave_the_other_masks(workspace):
    keys = [item.key for item in workspace.session.images]
    workspace.apply(AddClass("dog"))
    for mark in (Point(5, 5, "cat"), Point(50, 40, BACKGROUND)):
        workspace.apply(Annotate(keys[0], mark))
    before = masks(workspace)
    workspace.apply(RenameClass("cat", "lynx"))
    assert workspace.segment(keys[1]).classes == (BACKGROUND, "lynx")
    assert same(masks(workspace), before)
    workspace.apply(Annotate(keys[1], Point(9, 9, "dog")))
    workspace.apply(RemoveClass("dog"))
    assert same(masks(workspace), before)


@pytest.mark.parametrize("into", ["cat", BACKGROUND])
@pytest.mark.parametrize("loads", [False, True])
def test_merged_classes_give_the_masks_of_one_class_from_the_start(segmenter, tmp_path, into, loads):
    """loads: half of the marks come in guidance files, one of a photo that is in the gallery and one of another."""

    def marked(folder, kitten):
        workspace = Workspace(segmenter, folder)
        keys = fill(workspace)
        for name in dict.fromkeys(("fox", "cat", kitten)):
            if name not in workspace.session.class_names:
                workspace.apply(AddClass(name))
        mixed = Annotation(points=[(60, 40, kitten), (10, 10, "cat"), (40, 30, "fox")])
        if loads:
            alone = Annotation(points=[(20, 9, kitten), (50, 30, kitten)])
            workspace.apply(LoadGuidance(segmenter.guide(photo(0), mixed) + segmenter.guide(photo(9), alone)))
        else:
            workspace.apply(SetAnnotation(keys[0], mixed))
        region = np.full((60, 80), 255)
        names = list(dict.fromkeys(["cat", kitten]))
        region[20:30, 10:30], region[40:50, 10:30] = 0, names.index(kitten)
        workspace.apply(SetAnnotation(keys[1], Annotation.from_mask(region, names)))
        workspace.apply(Annotate(keys[1], Stroke(((5, 5), (40, 9)), kitten, 3.0)))
        return workspace

    once = marked(tmp_path / "once", into)
    merged = marked(tmp_path / "merged", "kitten")
    before = masks(merged)
    merged.apply(MergeClass("kitten", into))
    assert all(same(masks(merged, scope), masks(once, scope)) for scope in ("everywhere", "object"))
    assert merged.session.colors == {name: merged.session.colors[name] for name in (BACKGROUND, "fox", "cat")}
    merged.close()
    again = Workspace(segmenter, tmp_path / "merged")
    assert same(masks(again), masks(once))
    again.undo()
    assert again.session.class_names == (BACKGROUND, "fox", "cat", "kitten")
    assert same(masks(again), before)
    again.redo()
    assert same(masks(again), masks(once))


def test_guidance_saved_and_applied_without_a_click(workspace, segmenter, tmp_path):
    for seed in range(6):
        workspace.apply(scribble(workspace, seed))
    workspace.guidance.save(tmp_path / "cats.safetensors")
    other = Workspace(segmenter)
    fill(other, 5)
    other.apply(LoadGuidance(Guidance.load(tmp_path / "cats.safetensors")))
    assert other.session.class_names == (BACKGROUND, "cat")
    applied = masks(other)
    assert same({key: applied[key] for key in masks(workspace)}, masks(workspace))
    assert other.session.annotations == workspace.session.annotations


def test_merged_guidance_is_that_of_one_person_who_did_both(segmenter):
    together, anna, ben = (Workspace(segmenter) for _ in range(3))
    for each in (together, anna, ben):
        fill(each)
        each.apply(AddClass("cat"))
    for seed in range(8):
        event = scribble(together, seed)
        together.apply(event)
        by_anna = event.key == together.session.images[0].key
        (anna if by_anna else ben).apply(event)
    merged = Workspace(segmenter)
    fill(merged)
    merged.apply(LoadGuidance(ben.guidance))
    merged.apply(LoadGuidance(anna.guidance))
    assert same(masks(merged), masks(together))


def test_guidance_of_another_checkpoint_is_made_anew_where_its_photos_are_here(workspace, segmenter):
    other = type(segmenter).untrained(seed=1)
    annotation = Annotation(points=[(5, 5, "cat"), (50, 40, BACKGROUND)])
    workspace.apply(LoadGuidance(other.guide(photo(0), annotation)))
    assert workspace.guidance.checkpoint_id == segmenter.checkpoint_id
    assert list(workspace.session.annotations.values()) == [annotation]
    before = workspace.session
    with pytest.raises(InputError, match=r"checkpoint .* add the photos"):
        workspace.apply(LoadGuidance(other.guide(photo(77), annotation)))
    assert workspace.session is before


def test_bad_images_are_reported_and_the_rest_is_added(segmenter):
    workspace = Workspace(segmenter)
    good = io.BytesIO()
    photo(0).save(good, "PNG")
    inputs = [("text.jpg", b"no image"), ("good.png", good.getvalue()), ("cut.png", good.getvalue()[:500]), ("none", b"")]
    problems = workspace.add_images(inputs)
    assert [problem.name for problem in problems] == ["text.jpg", "cut.png", "none"]
    assert all(problem.name in problem.sentence for problem in problems)
    assert [item.name for item in workspace.session.images] == ["good.png"]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (700, 3), (33, 31)])
def test_images_of_any_size(segmenter, size):
    workspace = Workspace(segmenter)
    key = workspace.add_image("odd.png", photo(0, size))
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(key, Point(0.5, 0.5, "cat")))
    labels = workspace.segment(key).labels
    assert labels.shape == size[::-1]
    assert labels[0, 0] == 1


def test_images_that_left_the_cache_are_read_again(segmenter, tmp_path):
    photo(0).save(tmp_path / "a.png")
    workspace = Workspace(segmenter, cache=FeatureCache(segmenter, memory_bytes=1))
    sources = [("a.png", tmp_path / "a.png"), ("b.png", np.asarray(photo(1))), ("c.png", photo(2))]
    assert workspace.add_images(sources) == []
    workspace.apply(AddClass("cat"))
    workspace.apply(Annotate(workspace.session.images[0].key, Point(9, 9, "cat")))
    assert len(masks(workspace)) == 3
    photo(7).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png has changed"):
        workspace.image(workspace.session.images[0].key)


def test_a_stroke_guides_its_own_image_only_however_many_are_marked(workspace, segmenter, monkeypatch):
    monkeypatch.setattr("guided_demo.workspace.KEPT", 2)
    keys = [item.key for item in workspace.session.images]
    for key in keys:
        workspace.apply(Annotate(key, Point(10, 10, "cat")))
    assert set(workspace.guidance.images) == set(keys)
    guided = []
    guide = segmenter.guide
    monkeypatch.setattr(segmenter, "guide", lambda image, marks: guided.append(image.key) or guide(image, marks))
    workspace.apply(Annotate(keys[0], Point(20, 20, "cat")))
    assert set(workspace.guidance.images) == set(keys) and guided == keys[:1]


def test_many_threads_lose_no_stroke_and_mix_nothing(segmenter):
    spaces = [Workspace(segmenter) for _ in range(2)]
    for space in spaces:
        fill(space)
        space.apply(AddClass("cat"))
    start = threading.Barrier(4)

    def work(space, seeds):
        start.wait()
        for seed in seeds:
            event = scribble(space, seed)
            space.apply(event)
            space.segment(event.key)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(work, spaces[n % 2], range(n, 60 + n, 4)) for n in range(4)]
        for job in jobs:
            job.result()
    for number, space in enumerate(spaces):
        marks = [mark for annotation in space.session.annotations.values() for mark in annotation.marks]
        expected = [scribble(space, seed).mark for n in range(4) if n % 2 == number for seed in range(n, 60 + n, 4)]
        assert sorted(map(repr, marks)) == sorted(map(repr, expected))
        alone = Workspace(segmenter)
        fill(alone)
        for key, annotation in space.session.annotations.items():
            alone.apply(SetAnnotation(key, annotation))
        assert same(masks(alone), masks(space))
