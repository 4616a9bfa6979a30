"""Files that would take all time or memory are refused, and stop no other."""

import struct

import pytest
from brought import take_in
from pictures import photo_bytes

from guided_demo.workspace import Workspace
from guided_demo.zips import zip_bytes


@pytest.fixture
def workspace(segmenter):
    return Workspace(segmenter)


@pytest.mark.timeout(20)  # counting the pages took minutes
def test_pages_of_a_mask_that_are_damaged_or_very_many_stop_no_other(workspace):
    """A damaged second page ended the reading of all files."""
    tags = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (278, 4), (279, 16)]  # 4x4 pixels, at byte 8
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    size = len(page) + 4

    def tiff(pages, following):
        begin = b"II*\0" + struct.pack("<I", 24) + bytes(16)
        places = [24 + size * number for number in range(1, pages)]
        return begin + b"".join(page + struct.pack("<I", place) for place in [*places, following])

    files = [("damaged.tif", tiff(1, 5)), ("many.tif", tiff(100_000, 0)), ("a.png", photo_bytes(1))]
    problems = {problem.name: problem.sentence for problem in take_in(workspace, [*files, ("classes.txt", b"background\n")])}
    assert "no photo of this name" in problems["damaged.tif"] and "is a stack" in problems["many.tif"]
    assert [item.name for item in workspace.session.images] == ["a.png"]


def test_text_that_would_take_all_memory_is_not_read_and_stops_no_other(workspace, monkeypatch):
    """A zip of some kilobytes could have text in it of which reading made tens of gigabytes."""
    monkeypatch.setattr("guided_demo.incoming.LONGEST", {"class list": 50, "outlines": 100, "annotations": 200})
    monkeypatch.setattr("guided_demo.project.MAX_TEXT", 300)
    long = [
        ("a/data.yaml", b"names: [" + b"a," * 100 + b"]"),
        ("b/classes.txt", b"aa\n" * 100),
        ("a.txt", b"0 .1 .2 .3 .4\n" * 100),
        ("a.json", b'{"a.png": {"marks": [' + b"[]," * 100 + b"0]}}"),
        ("work.zip", zip_bytes([("project.json", b"[" + b"[]," * 200 + b"0]"), ("guidance.safetensors", b"")])),
    ]
    fine = [("a.png", photo_bytes(1)), ("b.png", photo_bytes(2)), ("b.txt", b"0 .1 .2 .3 .4\n")]
    problems = {problem.name: problem.sentence for problem in take_in(workspace, [*long, *fine])}
    assert problems.keys() == {name for name, _ in long}
    assert all("too long: " in problems[name] for name, _ in long[:-1]) and "has more than" in problems["work.zip"]
    assert [item.name for item in workspace.session.images] == ["a.png", "b.png"]
    assert workspace.session.class_names == ("background", "class 1")


def test_lists_of_class_names_share_the_room_there_is_for_them(workspace, monkeypatch):
    monkeypatch.setattr("guided_demo.incoming.LONGEST", {"class list": 50})
    problems = take_in(workspace, [(f"{folder}/classes.txt", b"background\ncat\n") for folder in "abcd"])
    assert [problem.name for problem in problems] == ["d/classes.txt"] and "together" in problems[0].sentence


def test_zips_that_come_together_share_the_room_to_unpack_in(workspace, monkeypatch):
    monkeypatch.setattr("guided_demo.incoming.MAX_UNPACKED", 150_000)
    bomb = zip_bytes([("empty.txt", b"0 " * 50_000)])
    problems = take_in(workspace, [("a.zip", bomb), ("b.zip", bomb), ("c.png", photo_bytes(1))])
    assert "b.zip unpacks to more than" in next(problem.sentence for problem in problems if problem.name == "b.zip")
    assert [item.name for item in workspace.session.images] == ["c.png"]
