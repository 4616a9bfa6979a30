"""Files that come to a page and go from it: sent one by one and taken in together; made as a whole and fetched in parts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

from ..errors import InputError
from ..files import zip_bytes
from ..incoming import Intake
from ..project import save_project
from ..workspace import Workspace
from .seeing import base64_of

Message = dict[str, Any]

PART_BYTES = 3_000_000
MAX_WAITING_BYTES = 1_000_000_000
MAX_FILE_BYTES = 300_000_000  # of a file that is sent to the page

# What the page offers to download, by the name that `workspace.export` has for it: a title, and what it is in few plain words.
MASKS = {
    "png": ("Masks as pictures", "One PNG a photo: 0 is background, 1 the first class"),
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
        self._awaited: dict[str, str] = {}
        self._received = 0
        self._count = itertools.count(1)
        self._made: tuple[int, dict[int, bytes]] = (0, {})
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
        {"problems", "taken", "missing", "keys", "first"}: what could not be used, all that was, in words, which photos of
        projects are still to come, the images that were brought, and whether they are the first.
        """
        with self._lock:
            waiting, self._waiting = sorted(self._waiting, key=lambda file: file[0]), []
            intake = self._intake = self._intake or Intake(self._workspace, self._awaited)
            received = self._received = self._received + len(waiting)
            if last:
                self._intake, self._received = None, 0
            known, keys = len(intake.problems), len(intake.keys)
        steps = intake.take((name, data) for _, name, data in waiting)
        for _ in itertools.chain(steps, intake.finish() if last else ()):
            yield {"done": intake.done, "total": intake.known, "received": received}
        problems = [{"name": problem.name, "sentence": problem.sentence} for problem in intake.problems[known:]]
        said = {"problems": problems, "taken": intake.taken, "missing": intake.missing}
        yield {**said, "keys": intake.keys[keys:], "first": not keys}

    def make(self, form: str, **options: Any) -> Iterator[Message]:
        """Make a download. form: a key of MASKS or WORK, else InputError; options: of `workspace.export`, for masks.

        Yields {"done", "total"} on the way; in the end {"made", "name", "parts"}: what to call it, and what `part` has of it; and
        "note", a sentence, where there is something to know of it.
        """
        if form in WORK:
            data, name = save_project(self._workspace, photos=form == "project"), "project.zip"
        else:
            files, total = [], len(self._workspace.session.images)
            for done, file in enumerate(self._workspace.export(form, **options)):
                files.append(file)
                yield {"done": min(done, total), "total": total}
            data, name = zip_bytes(files), "masks.zip" if form == "png" else f"masks-{form}.zip"
        parts = {number: data[at : at + PART_BYTES] for number, at in enumerate(range(0, len(data), PART_BYTES))}
        self._made = next(self._count), parts
        reply: Message = {"made": self._made[0], "name": name, "parts": len(parts)}
        if form in WORK and len(data) > MAX_FILE_BYTES:
            reply["note"] = (
                f"This project has {len(data) // 1_000_000} MB, and the page can open {MAX_FILE_BYTES // 1_000_000}: download "
                '"Project, no photos" too, and add the photos when you open that.'
            )
        yield reply

    def part(self, made: int, number: int) -> str:
        """A part of a download as base64; those before it have arrived, and are let go: a page may stay open for the whole day.
        Raises InputError where another was made since."""
        count, parts = self._made
        if made != count:
            raise InputError("Another download was begun since; start this one again.")
        for arrived in [other for other in tuple(parts) if other < number]:
            parts.pop(arrived, None)
        return base64_of(parts.get(number, b""))
