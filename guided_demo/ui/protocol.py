"""What canvas.js and Python say to each other: JSON messages in, JSON replies out, the same for the page and the widget.

A message is a dict whose "do" names the wish. The page sends coordinates, never pixels; masks come back as palette PNGs.
A reply may carry "state" (what the page shows of the session), "focus" (the image to open), "error" (one sentence).
"""

from __future__ import annotations

import base64
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from ..annotation import BACKGROUND, Annotation
from ..core.guidance import Guidance
from ..errors import InputError
from ..events import (
    AddClass,
    Annotate,
    ClearAnnotation,
    LoadGuidance,
    RecolorClass,
    RemoveClass,
    RemoveImages,
    RenameClass,
)
from ..files import zip_bytes
from ..render import mask_png
from ..session import Session
from ..workspace import Workspace

Message = dict[str, Any]

# A reply with many pictures brings those made in this many seconds, so that the first are soon on the screen.
REPLY_SECONDS = 0.2
SMALLEST_EDGE, LARGEST_EDGE = 16, 2048
PART_BYTES = 3_000_000
MAX_WAITING_BYTES = 1_000_000_000

SORRY = "Something went wrong here; it was written to the server's log. What you marked before is kept."


class Desk:
    """One user's workspace, answering messages. Any thread may call any method; none of them raises.

    samples: keys of images the user did not bring. They leave once there are others, unless something is marked.
    """

    def __init__(self, workspace: Workspace, samples: frozenset[str] = frozenset()) -> None:
        self.workspace = workspace
        self._samples = samples
        self._lock = threading.RLock()
        self._last_number = 0
        self._seen, self._revision = workspace.session, 0
        self._floor = len(workspace.session.past)  # what came before is not the user's to undo
        self._open_key: str | None = None
        self._waiting: list[tuple[int, str, bytes]] = []
        self._zip = b""

    def handle(self, message: Message) -> Message:
        """Answer a short message."""
        return _answer(lambda: self._verbs[message["do"]](self, message))

    def receive(self, name: str, data: bytes, kind: str, place: int = 0) -> Message:
        """Take a file: "guidance" is applied at once, a "photo" waits for the message add_photos.

        Photos may arrive in any order; `place` is the one they are to have in the gallery.
        """
        return _answer(lambda: self._load_guidance(data) if kind == "guidance" else self._wait(place, name, data))

    def work(self, message: Message) -> Iterator[Message]:
        """Answer a long message: replies with "done" and "total" on the way, the result last."""
        try:
            yield from {"add_photos": self._add_photos, "export": self._export}[message["do"]]()
        except InputError as error:
            yield {"error": str(error)}
        except Exception:
            logging.getLogger(__name__).exception("a long message failed")
            yield {"error": SORRY}

    # What the page asks for.

    def _start(self, message: Message) -> Message:
        self._last_number = 0
        return {"state": self._state(), "focus": self._open_key}

    def _open(self, message: Message) -> Message:
        self._open_key = message["key"]
        return {"state": self._state(images=False), **self._shown(message)}

    def _photos(self, message: Message) -> Message:
        def photo(key: str) -> str:
            picture = self.workspace.image(key)
            picture.thumbnail((edge, edge))
            return _data_url("jpeg", picture, quality=85)

        edge = _edge(message)
        return {"photos": self._in_time(message["keys"], photo)}

    def _masks(self, message: Message) -> Message:
        revision, edge = self._count(), _edge(message)
        return {"revision": revision, "masks": self._in_time(message["keys"], lambda key: self._mask(key, edge))}

    def _save_guidance(self, message: Message) -> Message:
        guidance = self.workspace.guidance
        if not guidance.images:
            raise InputError("There is no guidance to save yet; mark something first.")
        return {"name": "guidance.safetensors", "data": _base64(guidance.to_bytes())}

    def _take(self, message: Message) -> Message:
        return {"data": _base64(self._zip[int(message["part"]) * PART_BYTES :][:PART_BYTES])}

    # What the page changes.

    def _change(self, message: Message, step: Callable[[], Any]) -> Message:
        """Do `step`, unless this message was answered before and the answer was lost, and say what came of it."""
        with self._lock:
            before = self.workspace.session
            problem = None
            if message["number"] > self._last_number:
                self._last_number = message["number"]
                try:
                    step()
                except InputError as error:
                    problem = str(error)
            focus = _touched(before, self.workspace.session, message.get("key"))
            reply = {"state": self._state(), "focus": focus, **self._shown(message)}
            return reply | ({"error": problem} if problem else {})

    def _mark(self, message: Message) -> Message:
        with self._lock:
            reply = self._change(message, lambda: self._annotate(message["key"], message["marks"]))
        del reply["state"]["images"], reply["focus"]
        if "error" not in reply:
            del reply["marks"]  # the page has them: it drew them
        return reply

    def _annotate(self, key: str, marks: list[Message]) -> None:
        for mark in Annotation.from_json({"marks": marks}).marks:
            self.workspace.apply(Annotate(key, mark))

    def _undo(self) -> None:
        if len(self.workspace.session.past) > self._floor:
            self.workspace.undo()

    def _load_guidance(self, data: bytes) -> Message:
        with self._lock:
            self.workspace.apply(LoadGuidance(Guidance.from_bytes(data)))
            return {"state": self._state()}

    _verbs: dict[str, Callable[[Desk, Message], Message]] = {
        "start": _start,
        "open": _open,
        "photos": _photos,
        "masks": _masks,
        "save_guidance": _save_guidance,
        "take": _take,
        "mark": _mark,
        "undo": lambda self, m: self._change(m, self._undo),
        "redo": lambda self, m: self._change(m, self.workspace.redo),
        "clear": lambda self, m: self._change(m, lambda: self.workspace.apply(ClearAnnotation(m["key"]))),
        "add_class": lambda self, m: self._change(m, lambda: self.workspace.apply(AddClass(m["name"]))),
        "rename_class": lambda self, m: self._change(m, lambda: self.workspace.apply(RenameClass(m["name"], m["to"]))),
        "recolor_class": lambda self, m: self._change(m, lambda: self.workspace.apply(RecolorClass(m["name"], m["color"]))),
        "remove_class": lambda self, m: self._change(m, lambda: self.workspace.apply(RemoveClass(m["name"]))),
        "remove_images": lambda self, m: self._change(m, lambda: self.workspace.apply(RemoveImages(tuple(m["keys"])))),
    }

    # What takes long.

    def _wait(self, place: int, name: str, data: bytes) -> Message:
        with self._lock:
            if sum(len(waiting) for *_, waiting in self._waiting) + len(data) > MAX_WAITING_BYTES:
                raise InputError("Too many photos are waiting to be read; add the rest when these are done.")
            self._waiting.append((place, name, data))
            return {}

    def _add_photos(self) -> Iterator[Message]:
        with self._lock:
            waiting, self._waiting = sorted(self._waiting), []
        problems, added = [], []
        for done, (_, name, data) in enumerate(waiting):
            yield {"done": done, "total": len(waiting)}
            try:
                added.append(self.workspace.add_image(name, data))
            except InputError as error:
                problems.append({"name": name, "sentence": str(error)})
        with self._lock:
            if added:
                self._dismiss_samples(set(added))
            last = {"state": self._state(), "problems": problems, "focus": added[0] if added else None}
        yield last  # outside the lock: another thread may go on from here

    def _dismiss_samples(self, added: set[str]) -> None:
        session = self.workspace.session
        leaving = [item.key for item in session.images if item.key in self._samples - added]
        if leaving and not session.annotations:
            self.workspace.apply(RemoveImages(tuple(leaving)))
            self._floor = len(self.workspace.session.past)
            self._samples = frozenset()

    def _export(self) -> Iterator[Message]:
        files, total = [], len(self.workspace.session.images)
        for done, file in enumerate(self.workspace.export()):
            files.append(file)
            yield {"done": min(done, total), "total": total}
        self._zip = zip_bytes(files)
        yield {"name": "masks.zip", "parts": -(-len(self._zip) // PART_BYTES)}

    # What the page shows.

    def _count(self) -> int:
        """The number of the session as it is now: one more whenever it has changed."""
        with self._lock:
            if self.workspace.session is not self._seen:
                self._seen = self.workspace.session
                self._revision += 1
            return self._revision

    def _state(self, images: bool = True) -> Message:
        session = self.workspace.session
        state: Message = {
            "revision": self._count(),
            "classes": [{"name": item.name, "color": item.color} for item in session.classes],
            "undo": len(session.past) > self._floor,
            "redo": bool(session.future),
            "marked": list(_marked(self.workspace.guidance)),
            "samples": [item.key for item in session.images if item.key in self._samples],
        }
        if images:
            state["images"] = [
                {
                    "key": item.key,
                    "name": item.name,
                    "size": list(item.size),
                    "marks": len(session.annotation(item.key).marks),
                }
                for item in session.images
            ]
        return state

    def _shown(self, message: Message) -> Message:
        """Marks and mask of the image that is open on the page, where it is still in the gallery."""
        key = message.get("key")
        if key not in {item.key for item in self.workspace.session.images}:
            return {}
        marks = self.workspace.session.annotation(key).to_json()["marks"]
        return {"key": key, "marks": marks, "mask": self._mask(key, _edge(message))}

    def _mask(self, key: str, edge: int) -> str | None:
        """The mask as a picture whose longer side is at most `edge`; None where there is nothing to show."""
        if _marked(self.workspace.guidance) <= {BACKGROUND}:
            return None
        result = self.workspace.segment(key)
        width, height = self.workspace.session.image(key).size
        shrink = min(1.0, edge / max(width, height))
        labels = result.labels_at((max(1, round(width * shrink)), max(1, round(height * shrink))))
        colors = self.workspace.session.colors
        return "data:image/png;base64," + _base64(mask_png(labels, [colors[name] for name in result.classes]))

    def _in_time(self, keys: list[str], make: Callable[[str], str | None]) -> dict[str, str | None]:
        """`make` for as many keys as there is time for, at least one."""
        made: dict[str, str | None] = {}
        until = time.monotonic() + REPLY_SECONDS
        known = {item.key for item in self.workspace.session.images}
        for key in keys:
            if made and time.monotonic() > until:
                break
            try:
                made[key] = make(key) if key in known else None
            except InputError:  # one photo that cannot be read any more must not keep the others from the page
                made[key] = None
        return made


def _answer(respond: Callable[[], Message]) -> Message:
    try:
        return respond()
    except InputError as error:
        return {"error": str(error)}
    except Exception:
        logging.getLogger(__name__).exception("a message failed")
        return {"error": SORRY}


def _marked(guidance: Guidance) -> set[str]:
    """Classes that are annotated somewhere."""
    return {name for annotation in guidance.annotations.values() for name in annotation.classes}


def _touched(before: Session, after: Session, current: str | None) -> str | None:
    """The image whose marks a change was about: the open one where it is among them."""
    keys = [item.key for item in after.images if before.annotation(item.key) != after.annotation(item.key)]
    return current if current in keys or not keys else keys[0]


def _edge(message: Message) -> int:
    return min(LARGEST_EDGE, max(SMALLEST_EDGE, int(message["edge"])))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _data_url(form: str, picture: Image.Image, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return f"data:image/{form};base64,{_base64(buffer.getvalue())}"
