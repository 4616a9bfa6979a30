"""The helper `annotate`: in a cell of a notebook, and the many ways to say which images."""

import re

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from pictures import photo

from guided_demo import GuidedSegmenter, InputError, Point, Workspace, annotate
from guided_demo.events import Annotate
from guided_demo.ui import cells as places
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


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ("c", "There are no images at c; the notebook's folder is "),
        ("c/1.png", "There are no images at c/1.png; the notebook's folder is "),
        ("a/notes.txt", "notes.txt is not an image that can be read here; "),
        (["c/1.png", "a/notes.txt"], "None of the 2 images can be used. c/1.png does not exist."),
        (None, "images is a NoneType; give a path, a folder, "),
    ],
)
def test_images_of_which_none_can_be_used_are_refused_in_a_sentence(workspace, folder, images, sentence):
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        annotate(images, "cat", workspace)


def test_images_may_be_called_by_numbers(workspace):
    widget = annotate({7: photo(1), 8: photo(2)}, "cat", workspace)
    assert list(widget.masks) == ["7", "8"]
    widget.close()


def test_one_path_of_several_that_is_not_there_is_named_as_it_was_written(workspace, folder, capsys):
    annotate(["a/1.png", "c/1.png"], "cat", workspace).close()
    assert capsys.readouterr().err == "c/1.png does not exist.\n"


@pytest.fixture
def shipped(segmenter, monkeypatch):
    """The default checkpoint is a small one."""
    monkeypatch.setattr(GuidedSegmenter, "load", lambda: segmenter)
    places._cache.cache_clear()
    yield segmenter
    places._cache.cache_clear()


def test_by_default_the_shipped_checkpoint_is_used(shipped):
    widget = annotate(photo(1))
    assert widget.workspace.segmenter is shipped
    widget.close()


def test_a_folder_keeps_the_work(shipped, tmp_path):
    widget = annotate({"1.png": photo(1)}, "cat", tmp_path / "work")
    widget.workspace.apply(Annotate(widget.session.images[0].key, Point(10, 10, "cat")))
    again = annotate({"1.png": photo(1)}, "cat", str(tmp_path / "work"))
    assert again.session.annotations == widget.session.annotations != {}
    assert again.session.class_names == ("background", "cat")
    again.close()
    widget.close()


def test_what_is_no_place_for_work_is_refused_in_a_sentence(segmenter):
    with pytest.raises(InputError, match=r"^workspace is a GuidedSegmenter; give a folder"):
        annotate(photo(1), workspace=segmenter)


def ask(cell, run):
    return {"header": {"msg_id": run}, "metadata": {"cellId": cell}}


def test_a_cell_that_is_run_again_goes_on_with_what_was_marked(shipped, cells, monkeypatch):
    request = {}
    monkeypatch.setattr(InteractiveShell, "get_parent", lambda _: request, raising=False)
    code = "from guided_demo import annotate\nw, v = annotate(photos, 'cat'), annotate(photos, 'cat')"
    shell = InteractiveShell.instance()

    def run(cell, number, change=""):
        request.update(ask(cell, number))
        cells(f"{code}\n{change}")
        return shell.user_ns["w"], shell.user_ns["v"]

    w, v = run("a", "1")
    assert w.workspace is not v.workspace
    key = w.session.images[0].key
    w.workspace.apply(Annotate(key, Point(10, 10, "cat")))
    again, other = run("a", "2")
    assert again.session.annotation(key).points and not other.session.annotations
    elsewhere, _ = run("b", "3")
    assert not elsewhere.session.annotations

    shell.push({"photos": {"7.png": photo(7)}})
    changed, other = run("a", "4")
    assert [item.name for item in changed.session.images] == ["0.png", "7.png"]
    assert [item.name for item in other.session.images] == ["7.png"]


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


def test_the_background_is_there_already_in_whatever_letters(workspace):
    annotate({}, ["Background", "cat"], workspace)
    assert workspace.session.class_names == ("background", "cat")
