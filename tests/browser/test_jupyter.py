"""The widget in a real JupyterLab and a real Notebook 7: what a hand marks is there in the next cell, and the other way round."""

import base64
import io
import itertools

import nbformat
import numpy as np
import pytest
from lab import LAB, NOTEBOOK, SIZES, Notebook, Server
from nbconvert import HTMLExporter
from pictures import photo
from PIL import Image
from playwright.sync_api import expect

expect.set_options(timeout=30_000)  # a notebook on a busy machine takes its time

MAKE = """
from guided_demo import GuidedSegmenter, Point, Workspace, annotate
from guided_demo.events import AddClass, Annotate, LoadGuidance
w = annotate("photos/*.png", classes=["cat"], workspace=Workspace(GuidedSegmenter.load({checkpoint!r})))
"""
TELL = """
import json, numpy as np
again = Workspace(w.workspace.segmenter)
again.add_images((name, f"photos/{name}") for name in w.masks)
again.apply(LoadGuidance(w.guidance))
np.savez("masks.npz", **w.masks)
print(json.dumps({
    "classes": w.guidance.classes,
    "marks": {item.name: w.session.annotation(item.key).to_json()["marks"] for item in w.session.images},
    "equal": all(np.array_equal(w.masks[i.name], again.segment(i.key).labels) for i in again.session.images),
}))
"""
CHANGE = """
w.workspace.apply(AddClass("dog"))
w.workspace.apply(Annotate(w.session.images[2].key, Point(45, 45, "dog")))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jupyter")
    (folder / "photos").mkdir()
    for seed, (name, size) in enumerate(SIZES.items()):
        photo(seed, size).save(folder / "photos" / name)
    made = Server(folder)
    try:
        made.wait()
        yield made
    finally:
        made.stop()


@pytest.fixture
def page(context):
    """A blank page that fails the test if a script of the widget fails; Jupyter's own are not ours to mend."""
    made = context.new_page()
    failures = []
    made.on("pageerror", lambda error: failures.append(f"{error}\n{error.stack}"))
    yield made
    assert [failure for failure in failures if "blob:" in failure] == []


@pytest.mark.parametrize("where", [LAB, NOTEBOOK], ids=["JupyterLab", "Notebook"])
def test_a_hand_and_a_cell_take_turns(page, server, checkpoint, where):
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)), TELL, CHANGE, where=where)
    notebook.show()
    notebook.click(60, 50)
    notebook.click(200, 150, button="right")
    expect(page.locator(".lm-Menu")).to_have_count(0)

    # The notebook has keys of its own: B makes a cell, D D deletes one, 0 0 restarts the kernel.
    for key in ("d", "d", "0", "0", "b"):
        page.keyboard.press(key)
    assert notebook.tool().startswith("Brush")
    expect(notebook.cells).to_have_count(3)

    told = notebook.tell()
    assert told["classes"] == ["background", "cat"] and told["equal"]
    assert [mark["label"] for mark in told["marks"]["a.png"]] == ["cat", "background"]
    assert told["marks"]["a.png"][0]["point"] == pytest.approx([60, 50], abs=1)
    in_python = dict(np.load(server.folder / "masks.npz"))
    on_screen = notebook.masks()
    assert in_python.keys() == on_screen.keys() == SIZES.keys()
    for name, mask in on_screen.items():
        assert np.array_equal(mask, in_python[name]), name

    notebook.run(2)
    expect(page.locator(".g-chip", has_text="dog")).to_be_visible()
    expect(page.locator(".g-tile.g-marked .g-name")).to_have_text(["a.png", "c.png"])
    notebook.settle()
    assert notebook.tell()["classes"] == ["background", "cat", "dog"]
    in_python = dict(np.load(server.folder / "masks.npz"))
    for name, mask in notebook.masks().items():
        assert np.array_equal(mask, in_python[name]), name


def test_a_wheel_that_passes_by_scrolls_the_notebook(page, server, checkpoint):
    page.set_viewport_size({"width": 1200, "height": 700})
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)), *["1"] * 12)
    notebook.show()
    notebook.cells.nth(0).locator(".cm-content").click()
    page.locator(".g-ink").hover()
    start = notebook.scrolled()
    page.mouse.wheel(0, 120)
    page.wait_for_function("(start) => document.querySelector('.jp-WindowedPanel-outer').scrollTop > start", arg=start)


def test_a_notebook_read_without_jupyter_has_a_picture_and_a_sentence(page, context, server, checkpoint, tmp_path):
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)), "w")
    notebook.show()
    notebook.click(60, 50)
    notebook.run(1)
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    saved = nbformat.read(notebook.path, as_version=4)
    (output,) = saved.cells[1].outputs
    assert "open this in JupyterLab or Jupyter Notebook 7, and run the cell" in output.data["text/plain"]
    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 10

    html, _ = HTMLExporter().from_notebook_node(saved)
    (tmp_path / "saved.html").write_text(html)
    reader = context.new_page()
    reader.route("http*://**", lambda route: route.abort())
    reader.goto((tmp_path / "saved.html").as_uri())
    assert reader.locator(".jp-OutputArea-output img").count() == 2
    assert reader.locator(".jp-OutputArea-output img").nth(1).evaluate("(image) => image.naturalWidth") == picture.width


def test_the_work_survives_a_reload_and_a_kernel_that_is_gone_is_said(page, server, checkpoint):
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)), TELL)
    notebook.show()
    notebook.click(60, 50)
    before = notebook.masks()
    page.keyboard.press("Control+s")  # the notebook's, wherever the focus is
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.reload()
    notebook.wait_for_kernel()
    notebook.settle()
    after = notebook.masks()
    assert all(np.array_equal(before[name], after[name]) for name in SIZES)
    notebook.click(100, 50)
    assert len(notebook.tell()["marks"]["a.png"]) == 2

    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    notebook.wait_for_kernel()
    notebook.click(120, 90)
    expect(page.locator(".g-problem")).to_contain_text("Run the cell again to go on.")


def test_a_cell_that_is_run_again_has_what_was_marked_and_in_a_folder_also_without_the_kernel(page, server):
    again = 'from guided_demo import annotate\nw = annotate("photos/a.png", classes=["cat"]{})'
    mark = """
from guided_demo import Point
from guided_demo.events import Annotate
w.workspace.apply(Annotate(w.session.images[0].key, Point(9, 9, "cat")))
"""
    kept = again.format(', workspace="work"')
    notebook = Notebook(page, server, again.format(""), kept, mark, "len(w.session.annotations)")
    for shown in (0, 1):
        notebook.run(shown)
        notebook.run(2)
        notebook.run(shown)
        assert notebook.run(3).endswith("1")

    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    notebook.wait_for_kernel()
    notebook.run(1)
    assert notebook.run(3).endswith("1")


def test_on_a_phone_every_button_of_the_widget_is_within_reach(page, server, checkpoint):
    page.set_viewport_size({"width": 390, "height": 844})
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)))
    page.evaluate("jupyterapp.shell.collapseLeft(); jupyterapp.commands.execute('notebook:run-cell')")
    notebook.settle()
    edge = page.locator(".guided").evaluate("(node) => node.getBoundingClientRect().right")
    for button in page.locator(".g-tools button:visible, .g-below button:visible, .g-side > :not(ul) button:visible").all():
        box = button.bounding_box()
        assert box["x"] + box["width"] <= edge, button.get_attribute("aria-label") or button.inner_text()
    assert page.locator(".g-below input").bounding_box()["width"] >= 40
    assert page.locator(".g-count").evaluate("(node) => node.scrollWidth <= node.clientWidth")
    assert page.locator(".g-ink").bounding_box()["height"] >= 160


def test_beside_other_widgets_there_is_room_for_it(page, server, checkpoint):
    beside = "import ipywidgets\nipywidgets.HBox([w, ipywidgets.Button(description='Next')])"
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)), beside)
    notebook.show()
    notebook.run(1)
    alone, shared = page.locator(".guided").nth(0), page.locator(".guided").nth(1)
    expect(shared).to_have_attribute("data-ready", "true")
    assert alone.bounding_box()["width"] - 250 < shared.bounding_box()["width"] < alone.bounding_box()["width"]


def test_in_a_narrow_notebook_it_scrolls_and_nothing_overlaps(page, server, checkpoint):
    page.set_viewport_size({"width": 520, "height": 900})
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)))
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")  # beside the list of files, where little room is left
    notebook.settle()
    output = page.locator(".jp-OutputArea-output", has=page.locator(".guided"))
    assert output.bounding_box()["width"] < 200
    parts = [part.bounding_box() for part in page.locator(".g-below > :visible").all()]
    for left, right in itertools.pairwise(sorted(parts, key=lambda box: box["x"])):
        assert left["x"] + left["width"] <= right["x"]
    assert output.evaluate("(node) => { node.scrollLeft = 1000; return node.scrollLeft; }") > 100


def test_in_a_dark_notebook_nothing_stands_out_from_its_ground(page, server, checkpoint):
    notebook = Notebook(page, server, MAKE.format(checkpoint=str(checkpoint)))
    notebook.show()
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    ground = page.locator(".jp-Notebook").evaluate("(node) => getComputedStyle(node).backgroundColor")
    expect(page.locator(".g-kept")).to_have_css("background-color", ground)
