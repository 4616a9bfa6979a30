"""Files that come to a page and go from it: sent one by one and taken in together; made as a whole and fetched in parts."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from ..errors import InputError
from ..incoming import Intake, missing
from ..project import project_files
from ..workspace import Workspace
from ..zips import writing_zip
from .seeing import base64_of

Message = dict[str, Any]

PART_BYTES = 3_000_000
MAX_WAITING_BYTES = 1_000_000_000
MAX_FILE_BYTES = 300_000_000  # of a file that is sent to the page

# What the page offers to download, by the name that `workspace.export` has for it: a title, and what it is in few plain words.
MASKS = {
    "png": ("Masks as pictures", "One PNG a photo; classes.txt names the pixel values"),
    "overlays": ("Photos with masks", "JPEGs with every class tinted, to look at and show"),
    "csv": ("Table of areas", "CSV for a spreadsheet: how much each class covers"),
    "coco-polygons": ("COCO, outlines", "One JSON of outlines, as many training tools read it"),
    "coco-rle": ("COCO, exact", "One JSON of run lengths, the same to the pixel"),
    "yolo": ("YOLO", "Outlines and a data.yaml, to train YOLO segmentation"),
    "labelme": ("labelme", "One JSON of outlines a photo, to go on in labelme"),
    "tiff": ("TIFF stack", "All masks as pages of one file, for ImageJ and Fiji"),
}
WORK = {
    "project": ("Project", "Photos, marks and classes, to open on any computer"),
    "project-light": ("Project, no photos", "Small; add the photos there, and they are recognised"),
}


def offers() -> list[dict[str, str]]:
    """All that can be downloaded: {"form", "group", "title", "about"} of each."""
    groups = {"Masks": MASKS, "Work": WORK}
    return [
        {"form": form, "group": group, "title": title, "about": about}
        for group, forms in groups.items()
        for form, (title, about) in forms.items()
    ]


class Transfer:
    """The files on their way between a page and its workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._waiting: list[tuple[int, str, bytes]] = []
        self._intake: Intake | None = None
        self._awaited: dict[str, tuple[str, str]] = {}
        self._received = 0
        self._finishing: list[Intake] = []
        self._count = itertools.count(1)
        self._made: tuple[int, _Download | None] = (0, None)
        self._lock = threading.Lock()

    def receive(self, place: int, name: str, data: bytes) -> None:
        """Keep a file until `take_in`. Files may arrive in any order; `place` is the one it has among those of its time.

        Raises InputError where too much is waiting.
        """
        with self._lock:
            held = sum(len(waiting) for *_, waiting in self._waiting) + (self._intake.held if self._intake else 0)
            if held + len(data) > MAX_WAITING_BYTES:
                raise InputError("Too many files are waiting to be read; add the rest when these are done.")
            self._waiting.append((place, name, data))

    def take_in(self, last: bool) -> Iterator[Message]:
        """Take in what was received; unless more will follow, also what had to wait for it.

        Yields {"done", "total", "received"} on the way, of all files since the last time that nothing was to follow: `total` has
        those in zips, too, `received` has not; and in the end
        {"problems", "taken", "keys", "first", "together"}: what could not be used, all that was, in words, the images that were
        brought, whether they are the first, and by which word all that was brought is undone at once.
        """
        with self._lock:
            waiting, self._waiting = sorted(self._waiting, key=lambda file: file[0]), []
            intake = self._intake = self._intake or Intake(self._workspace, self._awaited)
            received = self._received = self._received + len(waiting)
            if last:
                self._intake, self._received = None, 0
            known, keys = len(intake.problems), len(intake.keys)

        def told(steps: Iterator[str]) -> Iterator[Message]:
            return ({"done": intake.done, "total": intake.known, "received": received} for _ in steps)

        yield from told(intake.take((name, data) for _, name, data in waiting))
        if last:
            self._finishing.append(intake)
            try:
                yield from told(intake.finish())
            finally:
                self._finishing.remove(intake)
        problems = [{"name": problem.name, "sentence": problem.sentence} for problem in intake.problems[known:]]
        said = {"problems": problems, "taken": intake.taken}
        yield {**said, "keys": intake.keys[keys:], "first": not keys, "together": intake.together}

    @property
    def missing(self) -> str:
        """Which photos of projects are still to come, in a sentence; empty where none is."""
        return missing(self._awaited, self._workspace.session)

    @property
    def is_finishing(self) -> bool:
        """Whether that is taken in which had to wait for all files: projects, masks, guidance."""
        return bool(self._finishing)

    @property
    def brought(self) -> frozenset[str]:
        """Keys of the images that came with what `is_finishing`."""
        return frozenset(key for intake in tuple(self._finishing) for key in tuple(intake.keys))

    def make(self, form: str, **options: Any) -> Iterator[Message]:
        """Make a download. form: a key of MASKS or WORK, else InputError; options: of `workspace.export`, for masks.

        Yields {"done", "total"} on the way; in the end {"made", "name", "parts"}: what to call it, and what `part` has of it; and
        "note", a sentence, where there is something to know of it.
        """
        total = 0 if form == "project-light" else len(self._workspace.session.images)
        if form in WORK:
            name, before = f"{form}.zip", 2  # files that come before those of the photos
            files = project_files(self._workspace, photos=form == "project")
        else:
            name, before = "masks.zip" if form == "png" else f"masks-{form}.zip", 1
            files = self._workspace.export(form, **options)
        try:
            download = _Download()
            for written, _ in enumerate(writing_zip(download.file, files), 1):
                if total:
                    yield {"done": min(max(written - before, 0), total), "total": total}
            download.finish()
        except OSError as error:
            said = f"There is no room here to make this download ({error.strerror or error})"
            raise InputError(f"{said}; ask for a smaller one, such as the project without photos.") from error
        with self._lock:
            made = next(self._count)
            (_, older), self._made = self._made, (made, download)
        if older is not None:
            older.close()
        reply: Message = {"made": made, "name": name, "parts": download.parts}
        if form in WORK and download.size > MAX_FILE_BYTES:
            has, most = (count // 1_000_000 for count in (download.size, MAX_FILE_BYTES))
            reply["note"] = (
                f'This project has {has} MB, and the page can open {most}: download "Project, no photos" too, and add the photos '
                "when you open that."
            )
        yield reply

    def part(self, made: int, number: int) -> str:
        """A part of a download as base64. Who asks for the last has the others, and they are let go: a page may stay open for the
        whole day. Raises InputError where another was made since."""
        with self._lock:
            count, download = self._made
            if made != count:
                raise InputError("Another download was begun since; start this one again.")
            return base64_of(download.part(number) if download else b"")


class _Download:
    """A file that is read in parts. No name leads to it; it is gone with this, or before, when its last part was read."""

    def __init__(self) -> None:
        """Raises OSError where there is no place for it."""
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.size = self.parts = 0
        self._last = b""
        self._end = weakref.finalize(self, _close, self.file)

    def finish(self) -> None:
        """Nothing more will be written. Raises OSError if what was could not be."""
        self.size = self.file.seek(0, os.SEEK_END)
        self.parts = -(-self.size // PART_BYTES)

    def part(self, number: int) -> bytes:
        """The last can be had again, as its answer may be lost; nothing else then."""
        last = number == self.parts - 1
        if not self._end.alive or not 0 <= number < self.parts:
            return self._last if last else b""
        self.file.seek(number * PART_BYTES)
        data = self.file.read(PART_BYTES)
        if last:
            self._last = data
            self.close()
        return data

    def close(self) -> None:
        self._end()


def _close(file: BinaryIO) -> None:
    with suppress(OSError):  # on a full disk it holds what could not be written
        file.close()
