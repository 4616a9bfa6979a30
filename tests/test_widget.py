"""The widget without a browser: what it tells Python and its views, and what is shown where widgets do not run."""

import base64
import builtins
import importlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from pictures import photo
from PIL import Image

import guided_demo
from guided_demo import Point, Workspace, annotate
from guided_demo.events import AddClass, Annotate, ClearAnnotation
from guided_demo.ui.still import still
from guided_demo.ui.widget import NOTE

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def workspace(segmenter):
    return Workspace(segmenter)


@pytest.fixture
def widget(workspace):
    made = annotate({f"{seed}.png": photo(seed) for seed in range(3)}, classes=["cat"], workspace=workspace)
    yield made
    made.close()


class View:
    """What widget.js does: sends numbered messages, and hears everything that the widget sends."""

    def __init__(self, widget, monkeypatch, name="a view"):
        self.widget, self.name, self.number = widget, name, 0
        self.heard = []
        send = widget.send
        monkeypatch.setattr(widget, "send", lambda content: (self.heard.append(json.loads(json.dumps(content))), send(content)))

    def ask(self, verb, buffers=(), **message):
        """All replies to a message; news in between are kept in `heard`."""
        self.number += 1
        before = len(self.heard)
        message = {"do": verb, "edge": 64, "number": self.number, **message}
        self.widget._handle_custom_msg({"view": self.name, "number": self.number, "message": message}, list(buffers))
        answers = [heard for heard in self.heard[before:] if heard.get("number") == self.number]
        assert [answer["last"] for answer in answers] == [False] * (len(answers) - 1) + [True]
        assert {answer["view"] for answer in answers} == {self.name}
        return [answer["reply"] for answer in answers]

    def click(self, x, y, label, key):
        (reply,) = self.ask("mark", key=key, marks=[{"point": [x, y], "label": label}])
        return reply

    def news(self):
        return [heard for heard in self.heard if heard.get("news")]


@pytest.fixture
def view(widget, monkeypatch):
    return View(widget, monkeypatch)


@pytest.fixture
def keys(widget):
    return [item.key for item in widget.session.images]


def test_importing_the_package_leaves_the_widget_and_what_it_needs_alone():
    code = "import sys, guided_demo; print([m for m in ('anywidget', 'ipywidgets', 'IPython', 'gradio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_without_anywidget_a_sentence_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "anywidget":
            raise ModuleNotFoundError("No module named 'anywidget'", name=name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "guided_demo.ui.widget")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"^annotate needs the package anywidget; install it: pip install anywidget$"):
        importlib.import_module("guided_demo.ui.widget")


def test_other_names_are_still_unknown():
    assert not hasattr(guided_demo, "annotated")


def test_a_click_in_the_widget_is_there_in_python(widget, view, keys):
    before = widget.session
    view.click(10, 10, "cat", keys[0])
    view.click(70, 50, "background", keys[1])
    assert widget.guidance.classes == ("background", "cat")
    assert widget.session is widget.workspace.session is not before
    assert widget.session.annotation(keys[0]).points == (Point(10, 10, "cat"),)


def test_masks_are_those_of_the_workspace_and_of_any_segmenter(widget, view, keys, segmenter):
    view.click(10, 10, "cat", keys[0])
    view.click(70, 50, "background", keys[0])
    assert list(widget.masks) == ["0.png", "1.png", "2.png"] and len(widget.masks) == 3
    for seed, (name, labels) in enumerate(widget.masks.items()):
        assert labels.shape == (60, 80) and labels.dtype == np.uint8
        assert np.array_equal(labels, widget.workspace.segment(keys[seed]).labels)
        own = widget.session.annotation(keys[seed])
        direct = segmenter.segment(photo(seed), widget.guidance, annotation=None if own.is_empty else own)
        assert np.array_equal(labels, direct.labels), name


def test_masks_follow_what_happens(widget, keys):
    masks = widget.masks
    assert not masks["0.png"].any()
    widget.workspace.apply(Annotate(keys[0], Point(10, 10, "cat")))
    assert masks["0.png"][10, 10] == 1
    with pytest.raises(KeyError):
        masks["9.png"]


def test_masks_are_of_the_scope_and_without_what_the_widget_leaves_out(widget, view, keys):
    view.click(10, 10, "cat", keys[0])
    view.click(70, 50, "background", keys[0])
    view.ask("look", key=keys[0], scope="object", unsure=0.9)
    for key, labels in zip(keys, widget.masks.values(), strict=True):
        assert np.array_equal(labels, widget.workspace.segment(key, "object").labels_at((80, 60), 0.9))


def test_images_of_one_name_keep_masks_of_their_own(widget):
    widget.workspace.add_image("0.png", photo(7, (40, 30)))
    assert list(widget.masks) == ["0.png", "1.png", "2.png", "0-2.png"]
    assert widget.masks["0-2.png"].shape == (30, 40)


def test_whoever_observes_the_session_is_told_of_every_change(widget, view, keys):
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names="session")
    view.click(10, 10, "cat", keys[0])
    widget.workspace.undo()
    assert seen[-1] is widget.workspace.session and len(seen) == 2
    assert seen[0].annotations and not seen[1].annotations


def test_what_a_cell_says_of_it_is_short(widget, view, keys):
    view.click(10, 10, "cat", keys[0])
    assert repr(widget.masks) == "Masks of 0.png, 1.png, 2.png"
    assert repr(widget.session) == "Session(1 of 3 images marked; classes background, cat; 2 steps to undo, 0 to redo)"


def test_the_session_is_not_to_be_set(widget):
    with pytest.raises(Exception, match="read-only"):
        widget.session = widget.session


def test_a_change_from_python_is_told_to_the_views_once_until_one_comes_to_see(widget, view, keys):
    for x in range(10, 60):
        widget.workspace.apply(Annotate(keys[0], Point(x, 10, "cat")))
    assert view.news() == [{"news": True}]
    (reply,) = view.ask("start")
    assert reply["state"]["images"][0]["marks"] == 50
    widget.workspace.apply(ClearAnnotation(keys[0]))
    assert view.news() == [{"news": True}] * 2


def test_a_view_is_named_in_the_news_it_made(widget, view, keys):
    view.click(10, 10, "cat", keys[0])
    assert view.news() == [{"news": True, "view": "a view"}]
    widget.workspace.undo()
    assert view.news()[1:] == [{"news": True}]


def test_two_views_count_their_changes_each_for_itself(widget, view, keys, monkeypatch):
    other = View(widget, monkeypatch, "another view")
    for x in (10, 20, 30):
        view.click(x, 10, "cat", keys[0])
    other.ask("start")
    other.click(40, 10, "cat", keys[0])
    view.click(50, 10, "cat", keys[0])
    assert [point.x for point in widget.session.annotation(keys[0]).points] == [10, 20, 30, 40, 50]


def test_a_file_in_parts_arrives_whole(widget, view):
    buffer = io.BytesIO()
    photo(5).save(buffer, "PNG")
    data = buffer.getvalue()
    about = {"id": "a view 1", "name": "new.png", "place": 0}
    for at in range(0, len(data), 1000):
        part, last = data[at : at + 1000], at + 1000 >= len(data)
        assert view.ask("file", buffers=[memoryview(part)], last=last, **about) == [{}]
    *progress, done = view.ask("take_in")
    assert progress == [{"done": 0, "total": 1, "received": 1}] and done["problems"] == []
    assert widget.session.images[-1].name == "new.png"
    assert np.array_equal(np.asarray(widget.workspace.image(widget.session.images[-1].key)), np.asarray(photo(5)))


def test_guidance_goes_out_and_comes_in(widget, view, keys, segmenter):
    view.click(10, 10, "cat", keys[0])
    (saved,) = view.ask("save_guidance")
    other = annotate({"2.png": photo(2)}, workspace=Workspace(segmenter))
    message = {"do": "file", "id": "x", "last": True, "name": saved["name"], "place": 0}
    other._handle_custom_msg({"view": "v", "number": 1, "message": message}, [memoryview(base64.b64decode(saved["data"]))])
    other._handle_custom_msg({"view": "v", "number": 2, "message": {"do": "take_in"}}, [])
    assert other.session.class_names == ("background", "cat")
    assert np.array_equal(other.masks["2.png"], widget.masks["2.png"])
    other.close()


def test_a_wrong_wish_is_answered_with_a_sentence(view, keys):
    reply = view.click(1000, 10, "cat", keys[0])
    assert reply["error"].endswith(".")


def test_a_closed_widget_hears_no_more(widget, keys):
    widget.close()
    before = widget.session
    widget.workspace.apply(Annotate(keys[0], Point(10, 10, "cat")))
    assert widget.session is before
    assert repr(widget).endswith("It is closed: annotate(workspace=….workspace) shows its work again.")
    assert "annotate(" not in repr(annotate(workspace=widget.workspace))


def test_where_widgets_do_not_run_there_is_a_picture_and_a_sentence(widget, keys):
    widget.workspace.apply(Annotate(keys[0], Point(10, 10, "cat")))
    data, _ = widget._repr_mimebundle_()
    assert set(data) == {WIDGET, "image/png", "text/plain"}
    assert data["text/plain"] == f"Annotator of 3 images, 1 marked; classes: background, cat. {NOTE}"
    assert NOTE.startswith("A still picture of when it was run.")
    assert widget._still == f"data:image/png;base64,{data['image/png']}"
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.format == "PNG" and picture.width > 3 * 80


def test_the_picture_has_the_masks_in_the_colours_of_their_classes(workspace):
    key = workspace.add_image("grey.png", Image.new("RGB", (100, 100), "#404040"))
    workspace.apply(AddClass("cat", "#ff0000"))
    plain = np.asarray(Image.open(io.BytesIO(still(workspace, NOTE))).convert("RGB"))[:200, :200]
    assert np.ptp(plain, axis=(0, 1)).max() == 0
    workspace.apply(Annotate(key, Point(50, 50, "cat")))
    labels = workspace.segment(key).labels_at((200, 200))
    tinted = np.asarray(Image.open(io.BytesIO(still(workspace, NOTE))).convert("RGB"))[:200, :200].astype(int)
    assert labels.any()
    assert (tinted[labels == 1][:, 0] > 140).all() and (tinted[labels == 0][:, 0] < 80).all()


def test_the_picture_of_no_photos_and_of_a_photo_that_is_gone_is_the_sentence(workspace, tmp_path):
    photo(1).save(tmp_path / "1.png")
    empty = Image.open(io.BytesIO(still(workspace, NOTE)))
    workspace.add_image("1.png", tmp_path / "1.png")
    (tmp_path / "1.png").unlink()
    assert Image.open(io.BytesIO(still(workspace, NOTE))).size == empty.size
