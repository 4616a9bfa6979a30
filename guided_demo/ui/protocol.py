"""What canvas.js and Python say to each other: JSON messages in, JSON replies out, the same for the page and the widget.

A message is a dict whose "do" names the wish. The page sends coordinates, never pixels; masks come back as palette PNGs.
A reply may carry "state" (what the page shows of the session), "focus" (the image to open, if another), "error" (one sentence).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..events import (
    AddClass,
    Annotate,
    ClearAnnotation,
    LoadGuidance,
    MarkCorrect,
    MergeClass,
    RecolorClass,
    RemoveClass,
    RemoveImages,
    RenameClass,
    photos_of,
)
from ..session import Session
from ..workspace import Workspace
from .memory import Memory, read_memory
from .seeing import Seeing, base64_of, edge_of, marked
from .transfer import Message, Transfer, offers
from .wishes import new_name, read_marks, read_wish

SORRY = "Something went wrong here; it was written to the server's log. What you marked before is kept."
ANYTHING = "thing"  # what there is to mark on people's own photos, until they name it


class Desk:
    """One user's workspace, answering messages. Any thread may call any method; none of them raises.

    samples: keys of images the user did not bring. They leave once there are others, unless something is marked.
    folder: where what is known besides the session is kept, and found again.
    """

    def __init__(self, workspace: Workspace, samples: frozenset[str] = frozenset(), folder: Path | None = None) -> None:
        self.workspace = workspace
        self.seeing = Seeing(workspace)
        self._lock = threading.RLock()
        memory = read_memory(folder) or Memory(samples, floor=len(workspace.session.past))
        self._samples, self._floor, self._open_key, self.seeing.look = memory.samples, memory.floor, memory.open_key, memory.look
        self._last_number = 0
        self.begin()
        self._folder = folder
        self._written: Memory | None = None
        self._remember()

    def handle(self, message: Message) -> Message:
        """Answer a short message."""

        def respond() -> Message:
            wish = read_wish(message, self._verbs)
            return self._verbs[wish["do"]](self, wish)

        return _answer(respond) | _answer(self._remember)

    def receive(self, name: str, data: bytes, place: int = 0) -> Message:
        """Keep a file of any kind until the message take_in. Files may arrive in any order; `place` is the one it has."""

        def keep() -> Message:
            self._transfer.receive(place, name, data)
            return {}

        return _answer(keep)

    def work(self, message: Message) -> Iterator[Message]:
        """Answer a long message: replies with "done" and "total" on the way, the result last."""
        try:
            wish = read_wish(message, self._long)
            yield from self._long[wish["do"]](self, wish)
            self._remember()
        except InputError as error:
            yield {"error": str(error)}
        except Exception:
            logging.getLogger(__name__).exception("a long message failed")
            yield {"error": SORRY}

    @property
    def is_touched(self) -> bool:
        """Whether there is anything here that the user made or brought."""
        session = self.workspace.session
        brought = any(item.key not in self._samples for item in session.library)
        return brought or self._can_undo or bool(session.future)

    def begin(self) -> None:
        """Forget the files that are on their way: another page has come in the place of the one that sent them."""
        self._transfer = Transfer(self.workspace)

    def close(self) -> None:
        """Let the workspace's folder be opened elsewhere."""
        self.workspace.close()

    def _remember(self) -> Message:
        """Keep what is not in the session; says nothing."""
        with self._lock:
            memory = Memory(self._samples, self._floor, self._open_key, self.seeing.look)
            if self._folder is not None and memory != self._written:
                memory.write(self._folder)
                self._written = memory
        return {}

    # What the page asks for.

    def _start(self, message: Message) -> Message:
        reply = {"state": self._state(), "focus": self._open_key, "downloads": offers(), "number": self._last_number}
        problem = self.workspace.left_out
        return reply | ({"error": problem} if problem else {})

    def _open(self, message: Message) -> Message:
        state = self._state(images=False)  # first: of what changes in between, the page sees by the revision that it is old
        shown = self._shown(message)
        self._open_key = shown.get("key", self._open_key)
        return {"state": state, **shown}

    def _save_guidance(self, message: Message) -> Message:
        guidance = self.workspace.guidance
        if not guidance.images:
            raise InputError("There is no guidance to save yet; mark something first.")
        return {"name": "guidance.safetensors", "data": base64_of(guidance.to_bytes())}

    def _take(self, message: Message) -> Message:
        return {"data": self._transfer.part(message["made"], message["part"])}

    # What the page changes.

    def _change(self, message: Message, step: Callable[[], Any], travels: bool = False) -> Message:
        """Do `step`, unless this message was answered before and the answer was lost, and say what came of it. Who `travels` in
        time sees the image that this is about; anybody else stays where they are."""
        self.seeing.hurry()
        with self._lock:
            before = self.workspace.session
            problem = None
            if message["number"] > self._last_number:
                self._last_number = message["number"]
                try:
                    step()
                except InputError as error:
                    problem = str(error)
            focus = _gone_back_to(before, self.workspace.session, message.get("key")) if travels else None
            reply = {"state": self._state(), "focus": focus, **self._shown(message)}
            return reply | ({"error": problem} if problem else {})

    def _mark(self, message: Message) -> Message:
        with self._lock:
            reply = self._change(message, lambda: self._annotate(message["key"], message["marks"]))
        del reply["state"]["images"], reply["focus"]
        if "error" not in reply:
            reply.pop("marks", None)  # the page has them: it drew them
        return reply

    def _annotate(self, key: str, marks: list[Message]) -> None:
        before = len(self.workspace.session.annotation(key).marks)
        for mark in read_marks({"marks": marks}, before).marks:
            self.workspace.apply(Annotate(key, mark))

    def _look(self, message: Message) -> None:
        self.seeing.look = self.seeing.look.change(message)

    @property
    def _can_undo(self) -> bool:
        count = len(self.workspace.session.past)
        self._floor = min(self._floor, count)  # a cell of a notebook may have gone further back
        return count > self._floor

    def _undo(self) -> None:
        self._expect_idle()
        if self._can_undo:
            self.workspace.undo()

    def _redo(self) -> None:
        self._expect_idle()
        self.workspace.redo()

    def _expect_idle(self) -> None:
        if self._transfer.is_finishing:  # half of what is brought would be undone, and the rest come after that
            raise InputError("Files are still being read; undo and redo when that is done.")

    _verbs: dict[str, Callable[[Desk, Message], Message]] = {
        "start": _start,
        "all": lambda self, m: {"state": self._state()},
        "open": _open,
        "photos": lambda self, m: self.seeing.photos(m["keys"], edge_of(m)),
        "masks": lambda self, m: self.seeing.masks(m["keys"], edge_of(m)),
        "summaries": lambda self, m: self.seeing.summaries(m["keys"]),
        "agreement": lambda self, m: self.seeing.agreement(),
        "count_marks": lambda self, m: {"marks": self.workspace.session.count_marks(m["name"])},
        "save_guidance": _save_guidance,
        "take": _take,
        "look": lambda self, m: self._change(m, lambda: self._look(m)),
        "mark": _mark,
        "undo": lambda self, m: self._change(m, self._undo, travels=True),
        "redo": lambda self, m: self._change(m, self._redo, travels=True),
        "clear": lambda self, m: self._change(m, lambda: self.workspace.apply(ClearAnnotation(m["key"]))),
        "mark_correct": lambda self, m: self._change(
            m, lambda: self.workspace.apply(MarkCorrect(m["photo"], bool(m["correct"])))
        ),
        "add_class": lambda self, m: self._change(m, lambda: self.workspace.apply(AddClass(new_name(m["name"])))),
        "rename_class": lambda self, m: self._change(m, lambda: self.workspace.apply(RenameClass(m["name"], new_name(m["to"])))),
        "merge_class": lambda self, m: self._change(m, lambda: self.workspace.apply(MergeClass(m["name"], m["to"]))),
        "recolor_class": lambda self, m: self._change(m, lambda: self.workspace.apply(RecolorClass(m["name"], m["color"]))),
        "remove_class": lambda self, m: self._change(m, lambda: self.workspace.apply(RemoveClass(m["name"]))),
        "remove_images": lambda self, m: self._change(m, lambda: self.workspace.apply(RemoveImages(tuple(m["keys"])))),
    }

    # What takes long.

    def _take_in(self, message: Message) -> Iterator[Message]:
        before = self.workspace.session
        is_new = len(before.past) == self._floor  # nobody has done anything yet
        last: Message = {}
        for last in self._transfer.take_in(bool(message.get("last", True))):
            if "done" in last:
                if self._transfer.is_finishing:
                    with self._lock:
                        self._dismiss_samples(self._transfer.brought)
                yield last
        with self._lock:
            self._dismiss_samples(frozenset(last["keys"]))
            if is_new:
                self._dismiss_class(last["together"])
            after = self.workspace.session
            here = {item.key for item in after.images}
            keys = [key for key in last["keys"] if key in here]
            first = keys[0] if keys else _touched(before, after, self._open_key)
            reply = {name: last[name] for name in ("problems", "taken")}
            reply |= {"state": self._state(), "focus": first if last["first"] else None}
        yield reply  # outside the lock: another thread may go on from here

    def _dismiss_samples(self, brought: frozenset[str]) -> None:
        """Photos that nobody brought leave as soon as there are others, unless they are marked; and so do classes that nobody
        added or marked, of which one that is alone becomes ANYTHING. This cannot be undone, so it comes before the masks that are
        brought with the others, and before guidance that was loaded."""
        session = self.workspace.session
        self._samples -= brought
        leaving = tuple(item.key for item in session.images if item.key in self._samples)
        if not leaving or len(leaving) == len(session.images) or self._samples & session.annotations.keys():
            return
        found = session.past[self._floor].state if len(session.past) > self._floor else session.state
        steps = session.past[self._floor :]
        loads = steps if all(isinstance(event, LoadGuidance) for step in steps for event in step.events) else ()
        for _ in loads:
            self.workspace.undo()
        names = self.workspace.session.class_names
        for name in (item.name for item in found.classes[1:]):
            if name in names and not session.count_marks(name):
                self.workspace.apply(RenameClass(name, ANYTHING) if len(names) == 2 else RemoveClass(name))
        self.workspace.apply(RemoveImages(leaving))
        self._floor = len(self.workspace.session.past)
        for step in loads:
            for event in step.events:
                self.workspace.apply(event, step.together)
            self._dismiss_class(step.together)

    def _dismiss_class(self, together: str | None) -> None:
        """What was there to mark leaves where classes were brought, with which it is undone."""
        names = self.workspace.session.class_names
        if self._samples and ANYTHING in names[:-1] and ANYTHING not in marked(self.workspace.guidance):
            self.workspace.apply(RemoveClass(ANYTHING), together)

    _long: dict[str, Callable[[Desk, Message], Iterator[Message]]] = {
        "take_in": _take_in,
        "export": lambda self, m: self._transfer.make(
            m.get("form", "png"), scope=self.seeing.look.scope, unsure=self.seeing.look.unsure
        ),
    }

    # What the page shows.

    def _state(self, images: bool = True) -> Message:
        session, guidance = self.workspace.session, self.workspace.guidance
        seen = marked(guidance)
        state: Message = {
            "revision": self.seeing.revision,
            "look": vars(self.seeing.look),
            "classes": [{"name": item.name, "color": item.color} for item in session.classes],
            "undo": self._can_undo,
            "redo": bool(session.future),
            "missing": self._transfer.missing,
            "marked": [name for name in session.class_names if name in seen],
            "samples": [item.key for item in session.images if item.key in self._samples],
        }
        if images:
            guiding = set(guidance.images)
            state["images"] = [
                {
                    "key": item.key,
                    "name": item.name,
                    "size": list(item.size),
                    "marks": _count(session, item.key, guiding),
                    "correct": item.key in session.correct,
                }
                for item in session.images
            ]
        return state

    def _shown(self, message: Message) -> Message:
        """Marks and mask of the image that is open on the page, where it is still in the gallery."""
        key = message.get("key")
        if key not in {item.key for item in self.workspace.session.images}:
            return {}
        session = self.workspace.session
        annotation, count = session.annotation(key), _count(session, key, self.workspace.guidance.images)
        marks, mask = annotation.to_json()["marks"], self.seeing.mask(key, edge_of(message))
        return {"key": key, "marks": marks, "dense": annotation.mask is not None, "count": count, "mask": mask}


def _answer(respond: Callable[[], Message]) -> Message:
    try:
        return respond()
    except InputError as error:
        return {"error": str(error)}
    except Exception:
        logging.getLogger(__name__).exception("a message failed")
        return {"error": SORRY}


def _count(session: Session, key: str, guiding: Collection[str]) -> int:
    """How many marks an image has, a dense mask being one; none where all that was marked here is erased and guides no longer."""
    annotation = session.annotation(key)
    is_erased = key in session.state.own and key not in guiding
    return 0 if is_erased else len(annotation.marks) + (annotation.mask is not None)


def _touched(before: Session, after: Session, current: str | None) -> str | None:
    """The image to open whose marks a change was about."""
    changed = {item.key for item in after.images if before.annotation(item.key) != after.annotation(item.key)}
    return _first_but(current, changed, after)


def _gone_back_to(before: Session, after: Session, current: str | None) -> str | None:
    """The image to open that what was undone or redone is about."""
    if len(before.past) == len(after.past):
        return None
    step = max(before.past, after.past, key=len)[-1]
    return _first_but(current, [key for event in step.events for key in photos_of(event)], after)


def _first_but(current: str | None, keys: Collection[str], session: Session) -> str | None:
    """The first of them in the gallery; None where the open one is among them, or none is: by the time this is known, another may
    have been opened."""
    return None if current in keys else next((item.key for item in session.images if item.key in keys), None)
