"""A workspace with a folder: work and history outlive the program, and no two programs write to one folder."""

import json
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from pictures import photo, photo_bytes
from work import fill, masks, same, scribble

from guided_demo import Annotation, InputError, Point
from guided_demo.core.features import FeatureCache
from guided_demo.events import (
    AddClass,
    Annotate,
    ClearAnnotation,
    LoadGuidance,
    MarkCorrect,
    RemoveImages,
)
from guided_demo.ui.protocol import Desk
from guided_demo.workspace import Workspace


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


def test_what_was_loaded_for_an_older_checkpoint_is_made_anew(segmenter, tmp_path):
    older = type(segmenter).untrained(seed=1)
    first, second = (Annotation(points=[(5, 5, "cat"), (50, 40, label)]) for label in ("dog", "background"))
    work = Workspace(older, tmp_path)
    keys = fill(work)
    work.apply(LoadGuidance(older.guide(photo(0), first)))
    work.close()

    now = Workspace(segmenter, tmp_path)
    assert now.guidance.to_bytes() == segmenter.guide(photo(0), first).to_bytes()
    now.apply(LoadGuidance(segmenter.guide(photo(1), second)))
    both = segmenter.guide(photo(0), first) + segmenter.guide(photo(1), second)
    assert now.guidance.to_bytes() == Workspace(segmenter, tmp_path).guidance.to_bytes() == both.to_bytes()
    assert now.session.annotations == {keys[0]: first, keys[1]: second}
    assert now.session.undo().undo().annotations == {}


def test_guidance_that_cannot_be_made_anew_is_told_of_and_ends_no_work(segmenter, tmp_path):
    older = type(segmenter).untrained(seed=1)
    annotation = Annotation(points=[(5, 5, "cat"), (50, 40, "background")])
    work = Workspace(older, tmp_path)
    work.apply(LoadGuidance(older.guide(photo(77), annotation)))
    (first, *_) = fill(work)
    work.apply(Annotate(first, Point(10, 10, "cat")))
    work.close()

    now = Workspace(segmenter, tmp_path)
    assert list(now.guidance.images) == [first] and "add the photos" in now.left_out
    assert Desk(now).handle({"do": "start"})["error"] == now.left_out
    now.undo()
    assert now.guidance.images == ()
    added = now.add_image("loaded.png", photo(77))
    assert list(now.guidance.images) == [added] and now.left_out is None
    assert now.guidance.checkpoint_id == segmenter.checkpoint_id


def test_the_curve_of_agreement_is_there_again_also_where_a_marked_photo_was_removed_since(segmenter, tmp_path):
    first = Workspace(segmenter, tmp_path)
    keys = fill(first)
    first.apply(AddClass("cat"))
    for key in keys[:2]:
        first.apply(Annotate(key, Point(10, 10, "cat")))
    first.apply(MarkCorrect(keys[2]))
    first.apply(RemoveImages((keys[0],)))
    points = first.agreement()
    assert [point.clicks for point in points] == [0, 1, 2]
    assert Workspace(segmenter, tmp_path).agreement() == points


@pytest.mark.parametrize("becomes", [photo_bytes(8), None])
def test_a_photo_whose_file_changes_or_goes_while_it_is_added_is_kept_as_it_was_read(segmenter, tmp_path, becomes):
    path = tmp_path / "a.png"
    path.write_bytes(photo_bytes(7))

    class Slow(FeatureCache):
        def encode(self, image):
            path.unlink() if becomes is None else path.write_bytes(becomes)
            return super().encode(image)

    workspace = Workspace(segmenter, tmp_path / "work", Slow(segmenter))
    assert workspace.add_images([("a.png", path)]) == []
    assert workspace.image(workspace.session.images[0].key) == photo(7)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:99]), lambda path: path.unlink()])
def test_a_damaged_copy_is_healed_by_adding_the_photo_again(segmenter, tmp_path, damage):
    workspace = Workspace(segmenter, tmp_path)
    key = workspace.add_image("a.png", photo_bytes(7))
    damage(tmp_path / "images" / key)
    with pytest.raises(InputError):
        workspace.image(key)
    assert workspace.add_image("a.png", photo_bytes(7)) == key and workspace.image(key) == photo(7)


@pytest.mark.parametrize("folder", ["file", "file/work"])
def test_a_folder_that_cannot_be_is_refused_in_a_sentence(segmenter, tmp_path, folder):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        Workspace(segmenter, tmp_path / folder)


def test_a_folder_is_open_in_one_program_at_a_time(segmenter, tmp_path):
    program = """
import sys
from guided_demo import GuidedSegmenter, InputError
from guided_demo.events import AddClass
from guided_demo.ui.protocol import Desk
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


def test_a_full_disk_refuses_a_step_and_harms_none(segmenter, tmp_path):
    work = Workspace(segmenter, tmp_path)
    fill(work, 1)
    work.apply(AddClass("cat"))
    before, journal = work.session, tmp_path / "journal.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 20, limits[1]))  # room for half a line
        for _ in range(2):
            with pytest.raises(InputError, match="cannot be written"):
                work.apply(scribble(work, 0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert work.session is before
    work.apply(scribble(work, 1))
    assert Workspace(segmenter, tmp_path).session.annotations == work.session.annotations != before.annotations


def test_a_kill_in_the_middle_loses_at_most_the_last_stroke(tmp_path):
    program = """
import sys
from guided_demo import GuidedSegmenter, Point
from guided_demo.events import AddClass, Annotate
from guided_demo.ui.protocol import Desk
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


def test_a_folder_that_cannot_be_locked_gets_a_sentence(segmenter, tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        Workspace(segmenter, tmp_path)
