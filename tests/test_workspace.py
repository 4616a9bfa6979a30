"""Workspaces on a small network with random weights: what is true of any weights is held here."""

import io
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from guided_demo import Annotation, Guidance, InputError, Point, Stroke
from guided_demo.annotation import BACKGROUND
from guided_demo.core.features import FeatureCache
from guided_demo.events import (
    AddClass,
    Annotate,
    ClearAnnotation,
    LoadGuidance,
    RemoveClass,
    RemoveImages,
    RenameClass,
    SetAnnotation,
)
from guided_demo.files import read_zip
from guided_demo.summary import summarize
from guided_demo.workspace import Workspace


def photo(seed, width=64, height=48):
    """Smooth coloured blobs, so that features differ from place to place."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def fill(workspace, count=3):
    problems = workspace.add_images((f"{seed}.png", photo(seed)) for seed in range(count))
    assert problems == []
    return [item.key for item in workspace.session.images]


@pytest.fixture
def workspace(segmenter):
    made = Workspace(segmenter)
    fill(made)
    made.apply(AddClass("cat"))
    return made


def masks(workspace, scope="everywhere"):
    return {item.key: result.labels.copy() for item, result in workspace.segment_all(scope)}


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def scribble(workspace, seed):
    rng = np.random.default_rng(seed)
    key = str(rng.choice([item.key for item in workspace.session.images]))
    label = ["cat", BACKGROUND][seed % 2]
    if seed % 3:
        return Annotate(key, Point(*rng.uniform(0, 48, 2), label))
    return Annotate(key, Stroke(tuple(rng.uniform(4, 44, (3, 2))), label, 3.0))


def test_a_summary_is_worked_out_once_for_every_guidance_and_is_always_that_of_the_masks(workspace, monkeypatch):
    keys = [item.key for item in workspace.session.images]
    workspace.apply(Annotate(keys[0], Point(10, 10, "cat")))

    def summaries(unsure):
        return [workspace.summary(key, unsure=unsure) for key in keys]

    for seed in range(3):
        workspace.apply(scribble(workspace, seed))
        for unsure in (0.0, 0.9):
            assert summaries(unsure) == [summarize(workspace.segment(key), (64, 48), unsure) for key in keys]
    monkeypatch.setattr(workspace, "segment", None)
    assert summaries(0.9) == summaries(0.9)


def test_masks_have_the_size_of_their_image_and_keep_annotated_pixels(workspace):
    keys = [item.key for item in workspace.session.images]
    workspace.apply(Annotate(keys[0], Stroke(((8, 8), (20, 12)), "cat", 3.0)))
    workspace.apply(Annotate(keys[0], Point(60.5, 40.5, BACKGROUND)))
    for scope in ("everywhere", "object"):
        result = workspace.segment(keys[0], scope)
        assert result.classes == (BACKGROUND, "cat")
        assert result.labels.shape == (48, 64)
        marked = workspace.session.annotation(keys[0]).label_map((64, 48), result.classes)
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
    seen = []
    good = io.BytesIO()
    photo(0).save(good, "PNG")
    inputs = [("text.jpg", b"no image"), ("good.png", good.getvalue()), ("cut.png", good.getvalue()[:500]), ("none", b"")]
    problems = workspace.add_images(inputs, lambda done, count, name: seen.append((done, count, name)))
    assert [problem.name for problem in problems] == ["text.jpg", "cut.png", "none"]
    assert all(problem.name in problem.sentence for problem in problems)
    assert [item.name for item in workspace.session.images] == ["good.png"]
    assert seen == [(number, 4, name) for number, (name, _) in enumerate(inputs)]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (700, 3), (33, 31)])
def test_images_of_any_size(segmenter, size):
    workspace = Workspace(segmenter)
    key = workspace.add_image("odd.png", photo(0, *size))
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


def test_export_is_what_segment_gives(workspace):
    workspace.apply(scribble(workspace, 0))
    files = read_zip(workspace.export_zip(), "masks.zip")
    assert files["classes.txt"] == b"background\ncat\n"
    for item, result in workspace.segment_all():
        assert np.array_equal(Image.open(io.BytesIO(files[item.name])), result.labels)


def test_the_unsure_are_left_out_of_exports_and_shares(workspace):
    workspace.apply(scribble(workspace, 0))
    for scope in ("everywhere", "object"):
        files = read_zip(workspace.export_zip(scope=scope, unsure=0.9), "masks.zip")
        for item, result in workspace.segment_all(scope):
            labels = np.array(Image.open(io.BytesIO(files[item.name])))
            assert np.array_equal(labels, result.labels_at(item.size, 0.9))
            shares = workspace.summary(item.key, scope, 0.9).shares
            assert sum(shares.values()) == pytest.approx((labels != 255).mean(), abs=0.02)


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


def test_a_folder_brings_work_and_history_back(segmenter, tmp_path):
    first = Workspace(segmenter, tmp_path)
    fill(first)
    first.apply(AddClass("cat", "#123456"))
    for seed in range(8):
        first.apply(scribble(first, seed))
    first.undo()
    first.apply(ClearAnnotation(first.session.images[0].key))
    first.apply(LoadGuidance(segmenter.guide(photo(9), Annotation(points=[(5, 5, "dog")]))))
    first.apply(RemoveImages((first.session.images[2].key,)))
    first.undo()

    second = Workspace(segmenter, shutil.copytree(tmp_path, tmp_path / "copy"))
    assert second.session.images == first.session.images
    assert second.session.classes == first.session.classes
    assert second.session.annotations == first.session.annotations
    assert len(second.session.past) == len(first.session.past)
    assert same(masks(second), masks(first))
    for _ in range(4):
        first.undo()
        second.undo()
        assert same(masks(second), masks(first))
    assert second.redo().annotations == first.redo().annotations


def test_a_folder_is_open_in_one_program_at_a_time(segmenter, tmp_path):
    program = """
import sys
from guided_demo import GuidedSegmenter, InputError
from guided_demo.events import AddClass
from guided_demo.workspace import Workspace
segmenter = GuidedSegmenter.untrained(seed=0)
for line in sys.stdin:
    try:
        workspace = Workspace(segmenter, sys.argv[1])
        workspace.apply(AddClass("cat"))
        print("open", flush=True)
    except InputError as error:
        print(error, flush=True)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    def open_in(child):
        print("open it", file=child.stdin, flush=True)
        return child.stdout.readline()

    try:
        assert open_in(children[0]) == "open\n"
        journal = (tmp_path / "journal.jsonl").read_bytes()
        with pytest.raises(InputError, match="open in another program"):
            Workspace(segmenter, tmp_path)
        assert (tmp_path / "journal.jsonl").read_bytes() == journal
        children[0].kill()
        children[0].wait()
        here = Workspace(segmenter, tmp_path)
        assert here.session.class_names == ("background", "cat")
        assert "open in another program" in open_in(children[1])
        here.apply(AddClass("dog"))
        here.close()
        with pytest.raises(InputError, match="closed"):
            here.apply(AddClass("bird"))
        assert here.session.class_names == ("background", "cat", "dog")
        assert open_in(children[1]) == "There is a class called 'cat' already.\n"
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_the_workspace_that_opened_a_folder_last_has_it(segmenter, tmp_path):
    first = Workspace(segmenter, tmp_path)
    first.apply(AddClass("cat"))
    second = Workspace(segmenter, tmp_path)
    second.apply(AddClass("dog"))
    with pytest.raises(InputError, match="opened again"):
        first.apply(AddClass("bird"))
    del first
    second.apply(AddClass("bird"))
    assert Workspace(segmenter, tmp_path).session.class_names == ("background", "cat", "dog", "bird")


def test_a_journal_cut_anywhere_loses_the_last_step_only(segmenter, tmp_path):
    first = Workspace(segmenter, tmp_path)
    fill(first, 1)
    first.apply(AddClass("cat"))
    sessions = [first.session]
    for seed in range(3):
        sessions.append(first.apply(scribble(first, seed)))
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, last + 1, 7):
        journal.write_bytes(whole[:-cut])
        again = Workspace(segmenter, tmp_path)
        assert again.session.annotations == sessions[-2].annotations
        again.apply(scribble(again, 2))
        assert Workspace(segmenter, tmp_path).session.annotations == sessions[-1].annotations


def test_a_kill_in_the_middle_loses_at_most_the_last_stroke(tmp_path):
    program = """
import sys
from guided_demo import GuidedSegmenter, Point
from guided_demo.events import AddClass, Annotate
from guided_demo.workspace import Workspace
import numpy as np
workspace = Workspace(GuidedSegmenter.untrained(seed=0), sys.argv[1])
key = workspace.add_image("a.png", np.zeros((40, 60, 3), np.uint8))
workspace.apply(AddClass("cat"))
for number in range(10**6):
    workspace.apply(Annotate(key, Point(number % 60 + 0.25, number % 40 + 0.25, "cat")))
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) >= 50:
            child.kill()
            break
    told = [int(line), *map(int, child.communicate()[0].split())]
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    points = [json.loads(line) for line in lines if line.endswith(b"\n") and b"Annotate" in line]
    assert len(points) >= told[-1] + 1
    from guided_demo.storage import Journal

    assert sum(len(a.marks) for a in Journal(tmp_path).replay().annotations.values()) == len(points)
