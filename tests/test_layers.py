"""Dependencies point one way: app, ui, cli -> workspace -> session, export, core; meta -> core."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "guided_demo"
# What each part may import from the package; a part is a folder of it, or a file beside them.
VALUES = {
    "errors", "marks", "dense", "drawing", "annotation", "geometry", "files", "names", "pages", "zips", "polygons", "render",
}  # fmt: skip
STATE = VALUES | {"core", "session", "naming", "events"}
WORK = STATE | {"agreement", "recent", "storage", "export", "summary", "workspace"}
ALLOWED = {
    "errors": set(),
    "marks": {"errors"},
    "dense": {"errors", "marks"},
    "drawing": {"errors", "marks"},
    "annotation": {"errors", "marks", "dense", "drawing"},
    "geometry": {"annotation"},
    "depth": {"errors"},
    "files": {"errors", "depth"},
    "names": set(),
    "pages": set(),
    "zips": {"errors", "files"},
    "polygons": set(),
    "render": {"errors"},
    "imports": VALUES,
    "core": VALUES,
    "meta": VALUES | {"core", "imports", "options"},
    "session": STATE - {"session", "naming", "events"},
    "events": STATE - {"events"},
    "storage": STATE,
    "export": STATE - {"core"},
    "video": VALUES | {"core"},
    "summary": {"annotation", "core"},
    "agreement": STATE,
    "recent": set(),
    "naming": {"errors", "names", "session"},
    "workspace": WORK - {"workspace"},
    "project": WORK,
    "kinds": {"files", "imports"},
    "incoming": WORK | {"project", "imports", "kinds"},
    "bench": WORK | {"options"},
    "ui": WORK | {"project", "imports", "incoming"},
    "app": WORK | {"project", "imports", "incoming", "ui"},
    "options": VALUES | {"core", "imports"},
    "cli": WORK | {"project", "imports", "video", "options"},
    "__main__": {"cli"},
    "__init__": {"annotation", "core", "errors", "workspace", "ui"},
}
HOSTS = {"gradio", "gradio_client", "anywidget", "ipywidgets", "IPython", "jupyter"}

FILES = sorted(
    [ROOT / "app.py", *(path for path in (ROOT / PACKAGE).rglob("*.py"))], key=lambda path: path.relative_to(ROOT).parts
)


def part(path: Path) -> str:
    inside = path.relative_to(ROOT).with_suffix("").parts
    return inside[1] if inside[0] == PACKAGE else inside[0]


def imported(path: Path, whole: bool = True) -> Iterator[str]:
    """Dotted names that a file imports; unless `whole`, only when it is loaded and not later, within a function."""
    here = path.relative_to(ROOT).parent.parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from guided_demo.core import paper` names a file below, `from guided_demo.core.paper import LateGlobal` does not
            yield from (f"{module}.{alias.name}" for alias in node.names)


def parts_used(path: Path) -> set[str]:
    names = (name.split(".") for name in imported(path))
    return {name[1] if name[1] in ALLOWED else "__init__" for name in names if name[0] == PACKAGE and len(name) > 1}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_is_below_it(path):
    assert part(path) in ALLOWED, f"{path.name} is a new part: say in this file what it may import"
    assert parts_used(path) - {part(path)} <= ALLOWED[part(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_page_and_the_widget_know_their_host(path):
    hosts = {name.split(".")[0] for name in imported(path)} & HOSTS
    assert not hosts or part(path) in ("app", "ui")


def test_no_two_parts_need_each_other():
    order = TopologicalSorter({name: below - {name} for name, below in ALLOWED.items()})
    assert set(order.static_order()) == set(ALLOWED)


def test_no_two_files_need_each_other_to_be_loaded():
    def module(path):
        names = path.relative_to(ROOT).with_suffix("").parts
        return ".".join(names[:-1] if names[-1] == "__init__" else names)

    known = {module(path) for path in FILES}
    graph = {}
    for path in FILES:
        used = set()
        for name in imported(path, whole=False):
            used |= {candidate for candidate in (name, name.rpartition(".")[0]) if candidate in known}
        graph[module(path)] = used - {module(path), PACKAGE}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
