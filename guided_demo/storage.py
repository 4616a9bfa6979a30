"""A user's work on disk: a folder that a crash cannot damage.

The folder has `journal.jsonl`, a line for every event since the beginning, undo and redo among them, and `blobs/` with
the bytes that events speak of by digest. A blob is there before the line that needs it; a line cut short by a crash is
the last one, and is dropped. Replaying the lines gives back the session with all its history. One program at a time has
the folder, and in it the workspace that opened it last: lines of two would not follow from one another.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import threading
import weakref
from dataclasses import fields
from pathlib import Path
from typing import Any

from PIL import Image

from .annotation import Annotation, Point, Stroke
from .core.guidance import Guidance
from .errors import InputError
from .events import EVENTS
from .files import ImageSource, image_key, make_folder, read_bytes, read_image, write_atomic, writing
from .session import Event, ImageItem, Session

try:
    import fcntl
except ImportError:  # not a Unix: nothing keeps two programs apart
    fcntl = None  # type: ignore[assignment]


class Blobs:
    """Bytes by digest, in a folder, or in memory where there is none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()[:32]
        if self._folder is None:
            self._memory[digest] = data
        elif not (self._folder / digest).exists():
            write_atomic(self._folder / digest, data)
        return digest

    def get(self, digest: str) -> bytes:
        """Raises InputError if it is not there."""
        try:
            return self._memory[digest] if self._folder is None else (self._folder / digest).read_bytes()
        except (KeyError, OSError) as error:
            raise InputError(f"The file {digest} of this workspace is missing.") from error


class Sources:
    """Where the pixels of a workspace's images are found again: as copies in its folder, else in place or in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / "images"
        self._kept: dict[str, Path | bytes] = {}

    def take(self, name: str, source: ImageSource) -> tuple[ImageItem, Image.Image]:
        """Read an image, and remember where it came from; what is neither a path nor bytes is kept as PNG.

        Raises InputError if it cannot be read or kept.
        """
        path = Path(source).absolute() if isinstance(source, str | os.PathLike) else None
        if self._folder is not None and path is not None:
            source = read_bytes(path, name)  # once, so that what is copied is what was read, whatever becomes of the file
        image = read_image(source, name)
        key = image_key(image)
        item = ImageItem(key, name, image.size)
        if self._folder is not None:
            if not self._has(item):
                write_atomic(self._folder / key, _file_bytes(source, image))
        elif path is not None:
            self._kept[key] = path
        elif key not in self._kept:
            self._kept[key] = _file_bytes(source, image)
        return item, image

    def _has(self, item: ImageItem) -> bool:
        try:
            self.read(item)
        except InputError:  # gone, or damaged since: to add a photo again is what heals that
            return False
        return True

    def file(self, item: ImageItem) -> bytes:
        """The bytes of the image's file. Raises InputError if it has gone."""
        source = self._kept[item.key] if self._folder is None else self._folder / item.key
        try:
            return source if isinstance(source, bytes) else source.read_bytes()
        except OSError as error:
            raise InputError(f"{item.name} cannot be read again: {error.strerror}.") from error

    def read(self, item: ImageItem) -> Image.Image:
        """The upright RGB image. Raises InputError if its file has gone or is another picture by now."""
        image = read_image(self.file(item), item.name)
        if image_key(image) != item.key:
            raise InputError(f"{item.name} has changed since it was added; add it again.")
        return image


def _file_bytes(source: ImageSource, image: Image.Image) -> bytes:
    if isinstance(source, bytes):
        return source
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Journal:
    """The events of one workspace folder, appended as they happen."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError if another program has the folder, or it is none to write to. A journal of this program that had
        it is closed."""
        make_folder(folder)
        self._path = folder.resolve() / "journal.jsonl"
        self.blobs = Blobs(folder / "blobs")
        with _OPENING:
            before = _OPEN.get(self._path)
            hold: _Hold | None = None
            if before is not None:
                hold, before._hold = before._hold, None
            self._hold: _Hold | None = hold or _Hold(folder / "lock")
            _OPEN[self._path] = self

    def close(self) -> None:
        """Let another program have the folder; nothing can be appended from here on."""
        with _OPENING:
            self._hold = None

    def replay(self) -> Session:
        """The session that was, up to the last whole line; what follows that is cut off."""
        session = Session()
        raw = read_bytes(self._path) if self._path.exists() else b""
        whole = 0
        for line in raw.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            session = _replayed(session, line, self.blobs)
            whole += len(line)
        if whole < len(raw):
            os.truncate(self._path, whole)
        return session

    def append(self, done: Event | str, together: str | None = None) -> None:
        """Add an event, or "undo" or "redo"; together: as for Session.apply.

        When this returns, the operating system has it, so a kill loses nothing.
        Raises InputError if this journal is closed or the disk is full; it is then as it was.
        """
        record = {"step": done} if isinstance(done, str) else encode(done, self.blobs)
        if together is not None:
            record["together"] = together
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        with _OPENING:
            if self._hold is None:
                raise InputError("This work was closed, or opened again since; go on where it is open, or open it again.")
            with writing(self._path), self._path.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(before)  # of half a line nothing that follows could be told apart
                    raise


class _Hold:
    """Says to other programs that a folder is taken, until it is collected or the program ends, however it ends."""

    def __init__(self, path: Path) -> None:
        with writing(path.parent):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        weakref.finalize(self, os.close, file)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path.parent} is open in another program; close it there, or choose another folder.") from None
        except OSError:
            pass  # some network drives know no locks


_OPEN: weakref.WeakValueDictionary[Path, Journal] = weakref.WeakValueDictionary()  # by its file, the journal that has it
_OPENING = threading.Lock()


def _replayed(session: Session, line: bytes, blobs: Blobs) -> Session:
    try:
        record = json.loads(line)
        if record.get("step") in ("undo", "redo"):
            return session.undo() if record["step"] == "undo" else session.redo()
        together = record.pop("together", None)
        return session.apply(decode(record, blobs), together)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"A line of this workspace's journal is damaged: {error}") from error


def encode(value: Any, blobs: Blobs) -> Any:
    """JSON for an event or a part of one; guidance goes to the blobs. `decode` is the inverse."""
    match value:
        case Annotation():
            return {"type": "Annotation", **value.to_json()}
        case Point() | Stroke():
            return {"type": "Mark", **Annotation(marks=[value]).to_json()["marks"][0]}
        case Guidance():
            return {"type": "Guidance", "blob": blobs.put(value.to_bytes())}
        case tuple():
            return [encode(part, blobs) for part in value]
        case str() | int() | float() | None:
            return value
    return {"type": type(value).__name__} | {f.name: encode(getattr(value, f.name), blobs) for f in fields(value)}


def decode(data: Any, blobs: Blobs) -> Any:
    """Inverse of `encode`; raises InputError, KeyError, TypeError or ValueError for what it did not make."""
    if isinstance(data, list):
        return tuple(decode(part, blobs) for part in data)
    if not isinstance(data, dict):
        return data
    kind = data["type"]
    if kind == "Annotation":
        return Annotation.from_json(data)
    if kind == "Mark":
        return Annotation.from_json({"marks": [data]}).marks[0]
    if kind == "Guidance":
        return Guidance.from_bytes(blobs.get(data["blob"]))
    made = {name: decode(part, blobs) for name, part in data.items() if name != "type"}
    return ImageItem(**made) if kind == "ImageItem" else EVENTS[kind](**made)
