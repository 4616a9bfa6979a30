"""The page's files: bundled so that both hosts can load them, and free of what Gradio's templates would execute."""

import re

import gradio as gr

from guided_demo.annotation import BACKGROUND
from guided_demo.ui import assets
from guided_demo.ui.gradio_canvas import guided_canvas
from guided_demo.ui.seeing import NOVELTY_COLOR, SCOPES, VIEWS
from guided_demo.ui.sessions import Sessions


def test_the_script_is_one_module_that_exports_mount_and_imports_nothing():
    script = assets.script()
    assert not re.search(r"^import ", script, re.MULTILINE)
    assert re.findall(r"^export .*", script, re.MULTILINE) == ["export const { mount } = module_canvas;"]


def test_every_module_is_in_the_script_once_and_after_what_it_imports():
    script = assets.script()
    for path in [assets.FOLDER / "canvas.js", *(assets.FOLDER / "canvas").glob("*.js")]:
        assert script.count(f"const module_{path.stem} = (() =>") == 1
    for used in re.finditer(r"= (module_\w+);", script):
        assert f"const {used[1]} = (() =>" in script[: used.start()]


def test_gradio_leaves_the_style_as_it_is():
    # Gradio evaluates an html_template as Handlebars, then as a JavaScript template string.
    assert not re.search(r"[`\\]|\$\{|\{\{", assets.style())


def test_what_the_script_and_python_both_have_names_for_is_the_same():
    script = assets.script()
    for listed, names in (("VIEWS", VIEWS), ("SCOPES", SCOPES)):
        rows = re.search(rf"const {listed} = \[\n(.*?)\n\];", script, re.DOTALL)[1]
        assert tuple(re.findall(r'^  \["(\w+)"', rows, re.MULTILINE)) == names
    assert f'const BACKGROUND = "{BACKGROUND}";' in script
    assert f'const NOVELTY_COLOR = "{NOVELTY_COLOR}";' in script and NOVELTY_COLOR in assets.style()


def test_only_text_nodes_take_what_a_person_wrote():
    for path in assets.FOLDER.rglob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text())


def test_no_endpoint_of_the_page_is_listed():
    with gr.Blocks(analytics_enabled=False) as page:
        guided_canvas(page, Sessions(make=lambda folder: None), 1000)
    assert page.get_api_info()["named_endpoints"] == page.get_api_info()["unnamed_endpoints"] == {}
