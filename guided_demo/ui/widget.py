"""The annotator in a Jupyter cell: `annotate` shows it. All that it does is done through its workspace."""

from __future__ import annotations

import base64
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

try:
    import anywidget
    import traitlets
    from IPython import get_ipython
    from IPython.display import DisplayHandle, display
except ModuleNotFoundError as error:
    raise ImportError("annotate needs the package anywidget; install it: pip install anywidget") from error
import numpy as np

from ..annotation import class_called
from ..core.guidance import Guidance
from ..errors import InputError
from ..events import AddClass
from ..files import ImageSource
from ..pages import first_only
from ..session import Session
from ..workspace import Workspace
from . import assets
from .cells import Place, place_of
from .protocol import Desk, Message
from .seeing import Seeing
from .sources import named_images
from .still import still

NOTE = "A still picture of when it was run. To mark photos, open this in JupyterLab or Jupyter Notebook 7, and run the cell."
FEW = 3

# The view whose message is being answered by this thread.
_asking: ContextVar[str | None] = ContextVar("asking", default=None)


def annotate(
    images: Any = (), classes: Iterable[str] = (), workspace: Workspace | str | os.PathLike | None = None
) -> AnnotatorWidget:
    """Show the annotator in this cell, and return it.

    images: a path, a folder or a pattern such as "photos/*.jpg" ("**" looks into folders); a PIL image, an array HxWx3 or
        the bytes of a file; a list of all these; or a dict of images by name. What is the same picture is shown once, under
        the first of its names.
    classes: names of what there is to mark, besides the background.
    workspace: a folder to keep the work in, also when the kernel has gone, or a Workspace; its images and classes stay. By
        default the work is kept as long as the kernel runs, and the cell, run again, goes on with what was marked; of the
        photos that it then does not ask for any more, those without marks leave.

    The widget and `widget.workspace` show the same session: what is done with the mouse is there in the next cell, and what
    a cell does shows in the widget. A file that cannot be used is named on stderr, and the others are shown.
    Raises InputError where no image is found or none can be used, or where a class cannot be called so.
    """
    sources = list(named_images(images))
    names = [class_called(str(name)) for name in ([classes] if isinstance(classes, str) else classes)]
    place = place_of(workspace)
    for name in names:
        if name not in place.workspace.session.class_names:
            place.workspace.apply(AddClass(name))
    bar = _add(place, sources)
    widget = AnnotatorWidget(place.workspace)
    widget._show(bar)
    return widget


class AnnotatorWidget(anywidget.AnyWidget):
    """A view of a workspace, for people to mark its images. Several widgets may show one workspace.

    session: the workspace's session as it is now; `observe` it to be told of every change.
    """

    session = traitlets.Instance(Session, read_only=True)

    _esm = assets.script("widget.js") + "export default { render: show };\n"
    _css = assets.style() + assets.style("widget.css")
    _still = traitlets.Unicode().tag(sync=True)  # a picture as a data URL, for as long as there is no kernel

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._desk = Desk(workspace)
        self._count = itertools.count(1)
        self._parts: dict[str, list[bytes]] = {}
        self._is_told = False
        self._cell: int | None = None
        # Without "flex" there would be nothing to see beside other widgets, in an HBox; what is narrower would overlap.
        super().__init__(layout={"flex": "1 1 auto", "min_width": "300px"})
        self.set_trait("session", workspace.session)
        self._end = workspace.watch(self._changed)
        self.on_msg(self._take)

    @property
    def guidance(self) -> Guidance:
        """All that guides now: save it, or segment other images with it."""
        return self.workspace.guidance

    @property
    def masks(self) -> Masks:
        """The masks of all images by name, as the widget shows them, each made when it is asked for."""
        return Masks(self._desk.seeing)

    def close(self) -> None:
        """Take the widget from the page. Its workspace stays."""
        if self.comm is not None:
            self._end()
        super().close()

    # What the views ask for.

    def _take(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Answer a view: {"view", "number", "message"} with one or more of {"view", "number", "reply", "last"}."""
        message: Message = content["message"]
        before = _asking.set(content["view"])
        try:
            for reply, last in self._answer(message, buffers):
                self.send({"view": content["view"], "number": content["number"], "reply": reply, "last": last})
        finally:
            _asking.reset(before)

    def _answer(self, message: Message, buffers: list[memoryview]) -> Iterator[tuple[Message, bool]]:
        if message["do"] in ("start", "all"):
            self._is_told = False  # from here on, there is something to tell again
        if message["do"] == "file":
            yield self._receive(message, b"".join(buffers)), True
        elif message["do"] in ("take_in", "export"):
            for reply in self._desk.work(message):
                yield reply, "done" not in reply
        else:
            # A kernel hears every message once and in order, so the numbers that matter to the desk are given here:
            # each view counts its own.
            yield self._desk.handle({**message, "number": next(self._count)}), True

    def _receive(self, message: Message, data: bytes) -> Message:
        """Take a part of a file; the desk gets the whole."""
        parts = self._parts.setdefault(message["id"], [])
        parts.append(data)
        if not message["last"]:
            return {}
        del self._parts[message["id"]]
        return self._desk.receive(message["name"], b"".join(parts), message["place"])

    def _changed(self) -> None:
        """Keep up with the workspace, and tell the views, but the one that asked for the change."""
        view = _asking.get()
        if view is not None:
            self.send({"news": True, "view": view})
        elif not self._is_told:  # once until a view comes to see, or a loop in a cell floods Jupyter's server
            self._is_told = True
            self.send({"news": True})
        self.set_trait("session", self.workspace.session)

    # How notebooks show it.

    def _show(self, place: DisplayHandle | None) -> None:
        """Show the widget in the cell that runs now, if there is one, in the place of what is shown there."""
        if _in_notebook():
            place.update(self) if place else display(self)
            self._cell = get_ipython().execution_count

    def _ipython_display_(self) -> None:
        """Where `annotate(…)` is the last line of a cell, IPython would show once more what is there already."""
        shell = get_ipython()
        if shell is None or self._cell != shell.execution_count:
            raise NotImplementedError  # IPython's way to say: the usual representations, please

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict] | None:
        """The widget itself, and for where widgets do not run a still picture and a sentence."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        data, metadata = bundle
        picture = base64.b64encode(still(self.workspace, NOTE)).decode()
        self._still = f"data:image/png;base64,{picture}"
        return data | {"image/png": picture, "text/plain": f"{self!r} {NOTE}"}, metadata

    def __repr__(self) -> str:
        session = self.session
        names = ", ".join(session.class_names)
        count = len(session.images)
        said = f"Annotator of {count} image{'s' * (count != 1)}, {len(session.annotations)} marked; classes: {names}."
        return said if self.comm else f"{said} It is closed: annotate(workspace=….workspace) shows its work again."


class Masks(Mapping[str, np.ndarray]):
    """The masks of a workspace's images by name: HxW uint8, an index into `workspace.guidance.classes`, or 255 for no class.

    They are of the scope that is chosen in the widget, and leave out what it leaves out.
    """

    def __init__(self, seeing: Seeing) -> None:
        self._seeing = seeing
        self._workspace = seeing.workspace

    @property
    def _keys(self) -> dict[str, str]:
        return {item.name: item.key for item in self._workspace.session.images}

    def __getitem__(self, name: str) -> np.ndarray:
        look = self._seeing.look
        return self._workspace.mask(name, self._keys[name], look.scope, look.unsure).labels

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._workspace.session.images)

    def __repr__(self) -> str:
        return f"Masks of {', '.join(self._keys) or 'no images'}"


def _add(place: Place, sources: list[tuple[str, ImageSource]]) -> DisplayHandle | None:
    """Add images to a workspace, and name those that could not be, or not all of them. A bar is shown and returned where it takes
    its time.

    Raises InputError if none of them could be.
    """
    total = len(sources)
    bar = display(_bar(0, total), raw=True, display_id=True) if total > FEW and _in_notebook() else None
    keys: set[str] = set()
    problems: list[str] = []
    for done, ((name, source), add) in enumerate(zip(sources, place.workspace.adding(sources), strict=True)):
        if bar:
            bar.update(_bar(done, total), raw=True)
        try:
            keys.add(add())
            problems += filter(None, [first_only(source, name)])
        except InputError as error:
            problems.append(str(error) if name in str(error) else f"{name}: {error}")
    if problems and not keys:
        raise InputError(problems[0] if total == 1 else f"None of the {total} images can be used. {problems[0]}")
    for problem in problems:
        print(problem, file=sys.stderr)
    place.ask(frozenset(keys))
    return bar


def _bar(done: int, total: int) -> dict[str, str]:
    text = f"Reading photos: {done} of {total}"
    bar = f'<progress value="{done}" max="{total}" aria-hidden="true" style="vertical-align: middle"></progress>'
    return {"text/html": f"<div role='status'>{bar} {text}</div>", "text/plain": text}


def _in_notebook() -> bool:
    return getattr(get_ipython(), "kernel", None) is not None
