"""Of a picture of several pages it is said that only the first is read, wherever photos come in."""

import io

import numpy as np
import pytest
import tifffile
from brought import take_in
from pictures import photo, photo_bytes
from PIL import Image

from guided_demo import annotate
from guided_demo.incoming import Intake
from guided_demo.pages import first_only
from guided_demo.workspace import Workspace


def stack(pages=6):
    tifffile.imwrite(buffer := io.BytesIO(), np.stack([np.asarray(photo(seed).convert("L")) for seed in range(pages)]))
    return buffer.getvalue()


def moving(kind):
    frames = [photo(seed) for seed in range(3)]
    frames[0].save(buffer := io.BytesIO(), kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def test_a_stack_and_what_moves_are_told_of_by_their_number_of_pages(tmp_path):
    (tmp_path / "z.tif").write_bytes(stack())
    assert first_only(tmp_path / "z.tif", "z.tif").startswith("z.tif has 6 pages; only the first is read. ")
    for kind in ("GIF", "WEBP", "PNG"):
        assert first_only(moving(kind), "it").startswith("it has 3 frames; "), kind


def test_a_single_picture_is_none_of_these(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:  # with a preview of itself
        file.write(np.zeros((60, 80), np.uint8), subfiletype=0)
        file.write(np.zeros((6, 8), np.uint8), subfiletype=1)
    photo(1).save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=[photo(2)])  # as phones write, with a map of light
    sources = [photo_bytes(1), tmp_path / "a.tif", tmp_path / "two.jpg", tmp_path, tmp_path / "none", b"", photo(1), np.zeros(3)]
    assert [first_only(source, "it") for source in sources] == [""] * len(sources)


def test_thousands_of_pages_are_not_counted():
    page = Image.new("1", (1, 1))
    page.save(buffer := io.BytesIO(), "TIFF", save_all=True, append_images=[page] * 1001)
    assert first_only(buffer.getvalue(), "it").startswith("it has over 1000 pages; ")


def test_the_page_says_so_and_has_the_photo(segmenter):
    intake = Intake(workspace := Workspace(segmenter))
    list(intake.take([("a.png", photo_bytes(9)), ("z.tif", stack())]))
    assert [problem.sentence.split(".")[1] for problem in intake.problems] == ["tif has 6 pages; only the first is read"]
    assert intake.taken == "2 photos" and len(workspace.session.images) == 2
    (again,) = take_in(workspace, [("z.tif", stack())])
    assert again.name == "z.tif"


@pytest.mark.parametrize("command", ["guide", "segment"])
def test_the_command_line_says_so_and_it_is_no_failure(call, photos, tmp_path, command):
    (photos / "z.tif").write_bytes(stack())
    marked = ["--point", "5,6,cat", "--point", "50,40,background", "-o", tmp_path / "g.safetensors"]
    status, _, said = call("guide", photos / "z.tif", *marked)
    if command == "segment":
        status, _, said = call("segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / "masks")
    assert status == 0 and said.startswith(f"{photos / 'z.tif'} has 6 pages; only the first is read.")
    assert len(said.splitlines()) == 1


def test_a_notebook_says_so(segmenter, tmp_path, capsys):
    (tmp_path / "z.tif").write_bytes(stack())
    annotate(str(tmp_path), workspace=Workspace(segmenter))
    assert capsys.readouterr().err.startswith("z.tif has 6 pages; only the first is read.")
