"""YOLO's outlines, boxes and names taken in."""

import numpy as np
import pytest
from labelled import CLASSES, LABELS, NAMES

from guided_demo import InputError
from guided_demo.export import Mask, write
from guided_demo.imports import read_yolo, yolo_names


def test_our_yolo_files_come_back():
    files = dict(write([Mask("a.png", LABELS, lambda: None)], CLASSES, "yolo"))
    names = yolo_names(files["data.yaml"], "data.yaml")
    assert tuple(names) == NAMES
    assert np.array_equal(read_yolo(files["labels/a.txt"], names, (50, 40), "a.txt").label_map((50, 40), NAMES), LABELS)
    assert yolo_names(b"names: [cat, 7]", "data.yaml") == ["background", "cat", "7"]
    beside = b"".join(b"split%d: [a, b]\n" % number for number in range(30))  # many lists, but none within another
    assert yolo_names(beside + b"names: [cat]", "data.yaml") == ["background", "cat"]
    assert read_yolo(b"", None, (5, 4), "a.txt").classes == ("background",)


def test_a_yolo_box_is_its_area():
    expected = np.zeros((40, 50), np.uint8)
    expected[10:30, 5:15] = 1
    assert np.array_equal(
        read_yolo(b"0 .2 .5 .2 .5\n", None, (50, 40), "a.txt").label_map((50, 40), ["background", "class 1"]), expected
    )


@pytest.mark.parametrize("line", ["0 .2 .5 .2 .5", "0 .1 .1 .4 .1 .4 .4"], ids=["box", "outline"])
def test_a_yolo_line_may_end_in_how_sure_a_network_was(line):
    bare, sure = (read_yolo(text.encode(), NAMES, (50, 40), "a.txt") for text in (line, f"{line} 0.873"))
    assert bare == sure and len(bare.classes) == 2


def test_yolo_corners_in_pixels_are_not_taken_for_a_photo_of_background():
    with pytest.raises(InputError, match=r"^a\.txt does not .* \(31 is not a part of the photo from 0 to 1\)\.$"):
        read_yolo(b"0 10 10 31 10 31 20\n", NAMES, (50, 40), "a.txt")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"0 .1 .2 .3", "does not have YOLO's"),
        (b"cat .1 .1 .2 .2 .3 .3", "does not have YOLO's"),
        (b"0 .1 .1 .2 nan .3 .3", "does not have YOLO's"),
        (b"9 .1 .1 .2 .2 .3 .3", "has class 9"),
        (b"-1 .1 .1 .2 .2 .3 .3", "has class -1"),
        (b"\xff\xff", "does not have YOLO's"),
    ],
)
def test_damaged_yolo_files_get_a_sentence(data, words):
    with pytest.raises(InputError, match=rf"^a\.txt {words}"):
        read_yolo(data, NAMES, (50, 40), "a.txt")
    with pytest.raises(InputError, match=r"data\.yaml"):
        yolo_names(b"[1, 2", "data.yaml")


@pytest.mark.parametrize("names", ["cat", "7", "", "{1: cat, 2: dog}", "{0: cat, 2: dog}"])
def test_names_that_may_be_of_other_numbers_are_refused(names):
    """The letters of a text were its names, and class 1 of those numbered from 1 was called as the second."""
    with pytest.raises(InputError, match=r"^data\.yaml has no list of class names, such as names: \[cat, dog\]"):
        yolo_names(f"names: {names}".encode(), "data.yaml")
    assert yolo_names(b"names: {1: dog, 0: cat}", "data.yaml") == ["background", "cat", "dog"]


@pytest.mark.parametrize(
    "data",
    [
        b"a: &a [x, x]\nb: &b [*a, *a]\nnames: *b",
        b"names: " + b"[" * 30_000,
        b"- " * 30_000,
        b"names: [2001-99-99]",
        b"names: !!int x",
        b"names: !!timestamp x",
    ],
    ids=["aliases", "deep", "dashes", "date", "int", "timestamp"],
)
def test_a_list_of_names_made_to_take_all_memory_gets_a_sentence(data):
    """Aliases of aliases made terabytes of some hundred bytes, brackets in brackets took minutes; the others ended the reading of
    all files."""
    with pytest.raises(InputError, match=r"data\.yaml has no list of class names"):
        yolo_names(data, "data.yaml")
