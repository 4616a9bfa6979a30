"""The helper `annotate`: in a cell of a notebook, and the many ways to say which images."""

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from pictures import photo

from guided_demo import GuidedSegmenter, InputError, Workspace, annotate
from guided_demo.ui.sources import named_images

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def workspace(segmenter):
    return Workspace(segmenter)


@pytest.fixture
def cells(monkeypatch, workspace):
    """Runs cells in an IPython shell that takes itself for a kernel; returns the widgets each of them showed."""
    shell = InteractiveShell.instance()
    monkeypatch.setattr(InteractiveShell, "kernel", True, raising=False)
    shown = []
    monkeypatch.setattr(shell.display_pub, "publish", lambda data, **_: shown.append(data))
    monkeypatch.setattr(type(shell.displayhook), "write_format_data", lambda self, data, md=None: shown.append(data))
    shell.push({"workspace": workspace, "photos": {f"{n}.png": photo(n) for n in range(5)}})

    def run(code):
        shown.clear()
        shell.run_cell(code, store_history=True).raise_error()
        return [WIDGET in data for data in shown]

    yield run
    shell.reset(new_session=True)
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("code", ["w = annotate({}, 'cat', workspace)", "annotate({}, 'cat', workspace)"])
def test_a_cell_shows_it_once_whether_or_not_it_ends_in_it(cells, code):
    assert cells(f"from guided_demo import annotate\n{code}") == [True]


def test_another_cell_shows_it_again(cells):
    cells("from guided_demo import annotate\nw = annotate({}, 'cat', workspace)")
    assert cells("w") == [True]
    assert cells("1") == [False]


def test_many_photos_show_how_far_they_are_and_the_widget_takes_that_place(cells):
    assert cells("from guided_demo import annotate\nw = annotate(photos, 'cat', workspace)") == [False] * 6 + [True]


def test_classes_and_images_that_are_there_stay(segmenter, workspace):
    annotate({"1.png": photo(1)}, ["cat", "dog"], workspace).close()
    again = annotate({"1.png": photo(1), "2.png": photo(2)}, ["dog", "hen"], workspace)
    assert again.session.class_names == ("background", "cat", "dog", "hen")
    assert [item.name for item in again.session.images] == ["1.png", "2.png"]
    assert again.workspace is workspace
    again.close()


def test_one_bad_file_is_named_and_stops_no_other(workspace, tmp_path, capsys):
    photo(1).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    widget = annotate(tmp_path, workspace=workspace)
    assert [item.name for item in widget.session.images] == ["good.png"]
    assert capsys.readouterr().err.startswith("bad.png is not an image")
    widget.close()


def test_by_default_the_shipped_checkpoint_is_used(segmenter, monkeypatch):
    monkeypatch.setattr(GuidedSegmenter, "load", lambda: segmenter)
    widget = annotate(photo(1))
    assert widget.workspace.segmenter is segmenter
    widget.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("a/1.png", "a/2.PNG", "b/1.png", "b/deep/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photo(1).save(tmp_path / name)
    (tmp_path / "a/notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("images", "names"),
    [
        ("a/1.png", ["1.png"]),
        ("a", ["1.png", "2.PNG"]),
        ("a/*", ["1.png", "2.PNG"]),
        ("*/1.png", ["a/1.png", "b/1.png"]),
        ("**/*.png", ["a/1.png", "b/1.png", "b/deep/3.png"]),
        (["a/2.PNG", "b/*.png"], ["2.PNG", "1.png"]),
        (photo(1), ["image 1"]),
        (np.zeros((4, 5, 3), np.uint8), ["image 1"]),
        (np.zeros((2, 4, 5, 3), np.uint8), ["image 1", "image 2"]),
        ([photo(1), "a/1.png"], ["image 1", "1.png"]),
        ({"mine": photo(1)}, ["mine"]),
        ((), []),
    ],
)
def test_images_are_named_as_people_know_them(folder, images, names):
    assert [name for name, _ in named_images(images)] == names


@pytest.mark.parametrize("images", ["*.jpg", "a/*.txt", "none/**"])
def test_a_pattern_that_fits_no_image_is_answered_with_a_sentence(folder, images):
    with pytest.raises(InputError, match="no images at"):
        list(named_images(images))
