"""Names of files that every system takes, and that tell photos apart."""

import pytest

from guided_demo.files import write_atomic
from guided_demo.names import safe_name, unique_stems


@pytest.mark.parametrize(
    "name, safe",
    [
        ("cat.jpg", "cat.jpg"), ("sub/cat.jpg", "sub/cat.jpg"), ("../../etc/passwd", "etc/passwd"), ("/root", "root"),
        ("C:\\a\\b.png", "C_/a/b.png"), ("a\0b\n.png", "a_b_.png"), ("con.png", "_con.png"), ("...", "image"),
        ("COM¹.png", "_COM¹.png"),
        (".env", "env"), ("Zürich ☀.jpg", "Zürich ☀.jpg"), ("", "image"), ("a\ud800.png", "a.png"),
    ],
)  # fmt: skip
def test_safe_names(name, safe):
    assert safe_name(name) == safe


def test_stems_are_told_apart_by_the_endings_of_their_names_and_else_by_numbers():
    names = ["cat.jpg", "cat.png", "CAT.gif", "Cat.JPG", "sub/cat.jpg", "v1.2 final.jpg", "\xe9.jpg", "e\u0301.jpg", "\xe9.jpg"]
    known = [
        "cat.jpg", "cat.png", "CAT.gif", "Cat.JPG-2", "sub/cat", "v1.2 final", "\xe9", "e\u0301-2", "\xe9-3",
    ]  # fmt: skip
    assert list(map(unique_stems(names), names)) == known
    assert list(map(unique_stems(), names)) == ["cat", "cat.png", "CAT.gif", "Cat-2", *known[4:]]


@pytest.mark.parametrize("sign", ["a", "é", "漢", "🐆"])
def test_a_file_of_any_name_can_be_written(sign, tmp_path):
    name = sign * (250 // len(sign.encode())) + ".png"
    write_atomic(tmp_path / name, b"as it is")
    give = unique_stems()
    safe = [f"{give(f'{sign * 200}.jpg')}.labels.json" for _ in range(2)]
    for each in safe:
        write_atomic(tmp_path / each, b"made safe")
    assert len({name, *safe}) == len(list(tmp_path.iterdir())) == 3


def test_a_name_that_is_cut_does_not_end_as_none_may():
    assert safe_name("a" * 118 + " . b") == "a" * 118


@pytest.mark.parametrize("sign", ["a", "é", "漢", "🐆"])
def test_a_name_that_is_cut_keeps_its_ending(sign):
    safe = safe_name(f"{sign * 200}/{sign * 200}.jpeg")
    folder, file = safe.split("/")
    assert file.endswith(f"{sign}.jpeg") and max(len(file), len(folder)) <= 120 and len(file.encode()) <= 220
