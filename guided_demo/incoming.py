"""Whatever people bring, told apart by what is in it: photos, guidance, projects, other programs' annotation."""

from __future__ import annotations

import io
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath

from PIL import Image

from .annotation import Annotation
from .core.guidance import Guidance
from .errors import InputError
from .events import AddAnnotation, LoadGuidance
from .files import FORMATS, MAX_TEXT, SUFFIXES, NotAnImage, image_key, read_image
from .imports import ONE_NUMBER, class_names, read_json, read_mask, read_yolo, yolo_names
from .kinds import MOST_NUMBERS, ZIPS, count_things, kind_of
from .naming import Naming, common
from .pages import first_only, has_pages
from .project import LISTING, read_project
from .session import Event, ImageItem, Session
from .workspace import Problem, Workspace
from .zips import MAX_UNPACKED, unzip

# Each may need those before it. The words are those that `taken` uses, one and many.
KINDS = {
    "class list": ("list of class names", "lists of class names"),
    "photo": ("photo", "photos"),
    "mask": ("mask", "masks"),
    "outlines": ("file of outlines", "files of outlines"),
    "project": ("project", "projects"),
    "guidance": ("guidance file", "guidance files"),
    "annotations": ("file of annotations", "files of annotations"),
}
# Text that is made for it becomes fifty times as long in memory when it is read, and a data.yaml three hundred times.
LONGEST = {"class list": 500_000, "outlines": 10_000_000, "annotations": MAX_TEXT}  # bytes; lists of class names are kept

Place = tuple[int | str, ...]  # where a file lies: the number of the zip it came in, or 0, and its folders


class Intake:
    """Files that arrive a few at a time: photos are taken in as they come, what may need other files waits for `finish`.

    A zip that is no project stands for the files in it. A picture with one number a pixel is a mask if the gallery has a photo
    of its name; a classes.txt, data.yaml or dataset.yaml that comes along names the numbers, the nearest one where several do.
    Masks, COCO, labelme, YOLO and points go to the photos that have their names, and join what is marked there. In folders and
    zips, files of other kinds are passed over.
    done, known: how many files are done, and how many there are by now; problems: those that could not be used, or not all of
    them; keys: of the images that were brought, whether they were in the gallery before or not; together: by which word all that
    is brought is undone at once; awaited: photos that projects came without and that are not here yet, see `missing`.
    """

    def __init__(self, workspace: Workspace, awaited: dict[str, tuple[str, str]] | None = None) -> None:
        self.workspace = workspace
        self.awaited = {} if awaited is None else awaited
        self.problems: list[Problem] = []
        self.keys: list[str] = []
        self.done = self.known = 0
        self._waiting: list[tuple[str, Place, str, bytes]] = []
        self._lists: dict[Place, list[str]] = {}  # what a classes.txt says
        self._listed = 0  # bytes of these
        self._zips = 0
        self.together = uuid.uuid4().hex
        self._taken: Counter[str] = Counter()
        self._naming: tuple[tuple, Naming] | None = None  # of a gallery

    def take(self, files: Iterable[tuple[str, bytes]]) -> Iterator[str]:
        """Take files in, (name, bytes); yields the name of each before it is done."""
        brought = [(kind, *file) for file in self._unpacked(files) if (kind := kind_of(*file[1:], file[0] != (0,)))]
        self.known += len(brought)
        self._waiting += [file for file in brought if file[0] != "photo"]
        photos = [(name, data) for kind, _, name, data in brought if kind == "photo"]
        adding = zip(photos, self.workspace.adding(photos), strict=True)
        yield from self._each((name, partial(self._added, name, add, data)) for (name, data), add in adding)

    def finish(self) -> Iterator[str]:
        """Take in what waits, now that all files are there; yields the name of each before it is done."""
        waiting, self._waiting = self._waiting, []
        order = list(KINDS)
        waiting.sort(key=lambda file: order.index(file[0]))
        yield from self._each((name, partial(self._take, kind, place, name, data)) for kind, place, name, data in waiting)

    @property
    def held(self) -> int:
        """How many bytes wait."""
        return sum(len(data) for *_, data in self._waiting)

    @property
    def taken(self) -> str:
        """What was taken in, in words, such as "3 photos and 1 guidance file"; empty where nothing was."""
        parts = [f"{count} {KINDS[kind][count > 1]}" for kind in KINDS if (count := self._taken[kind])]
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)

    def _unpacked(self, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[Place, str, bytes]]:
        room = MAX_UNPACKED - self.held  # of all together: a hundred small zips could take all memory
        for name, data in files:
            try:
                is_zip = data.startswith(ZIPS)
                inside = unzip(data, name, room) if is_zip else []
                if is_zip and not inside:
                    raise InputError(f"{name} is a zip without files.")
            except InputError as error:
                self.problems.append(Problem(name, str(error)))
                continue
            if not inside or LISTING in dict(inside):
                yield _folder(0, name), name, data
            else:
                self._zips += 1
                room -= sum(len(data) for _, data in inside)
                yield from ((_folder(self._zips, name), name, data) for name, data in inside if not _hidden(name))

    def _each(self, files: Iterable[tuple[str, Callable[[], str | Iterator[str]]]]) -> Iterator[str]:
        """Files by name, and what takes each in: it returns as what, or nothing, or the steps there are to that."""
        for name, take in files:
            yield name
            try:
                took = take()
                if not isinstance(took, str):
                    yield from took
                elif took:
                    self._taken[took] += 1
            except InputError as error:
                self.problems.append(Problem(name, str(error)))
            except Exception:  # a fault of ours, or of a reader; the other files are none the worse
                logging.getLogger(__name__).exception("a file that was brought failed")
                self.problems.append(Problem(name, f"{name} could not be read here; why was written to the server's log."))
            self.done += 1

    def _take(self, kind: str, place: Place, name: str, data: bytes) -> str | Iterator[str]:
        """Take one file in that is no photo; returns what it turned out to be, or nothing where it was of no use by itself."""
        self._check_length(kind, name, data)
        match kind:
            case "project":
                return self._open(name, data)
            case "class list":
                self._lists[place] = class_names(data, name) if name.lower().endswith(".txt") else yolo_names(data, name)
            case "mask":
                return self._take_mask(name, data, self._names_at(place))
            case "outlines":
                self._take_outlines(name, data, self._names_at(place))
            case "guidance":
                self._apply(LoadGuidance(Guidance.from_bytes(data)))
            case "annotations":
                return kind if self._take_annotations(name, data) else ""
        return "" if kind == "class list" else kind

    def _check_length(self, kind: str, name: str, data: bytes) -> None:
        is_kept = kind == "class list"
        self._listed += len(data) if is_kept else 0
        most = LONGEST.get(kind, MAX_UNPACKED)
        if (self._listed if is_kept else len(data)) > most:
            said = f"{name} is too long: {KINDS[kind][1]} can have {most / 1_000_000:g} MB"
            raise InputError(f"{said}{' together' if is_kept else ' each'}, so bring it in parts.")

    def _open(self, name: str, data: bytes) -> Iterator[str]:
        project = read_project(data, name)
        self.known += len(project.photos)
        self.keys += project.names  # before the photos come, as samples that are in the project then stay
        for photo in project.add_photos(self.workspace, self.problems):
            yield photo
            self.done += 1
        yield name  # photos are here, and marks are to come
        project.mark(self.workspace, self.together)
        here = {item.key for item in self.workspace.session.images}
        self.awaited |= {key: (name, self.together) for key, name in project.names.items() if key not in project.photos}
        for key in here.intersection(self.awaited):
            del self.awaited[key]
        self._taken["project"] += 1

    def _added(self, name: str, add: Callable[[], str], data: bytes) -> str:
        before = self.workspace.session
        try:
            key = add()
        except NotAnImage:
            if PurePosixPath(name.lower()).suffix in SUFFIXES:
                raise
            said = f"{name} is no photo that can be read here, and no guidance, project, masks or annotation of photos"
            raise InputError(f"{said}; guidance files end in .safetensors, and projects in .zip.") from None
        self.keys.append(key)
        self.awaited.pop(key, None)
        first = self.workspace.session.image(key).name
        if self.workspace.session.images == before.images and PurePosixPath(first).name != PurePosixPath(name).name:
            raise InputError(f"It is the same picture as {first}, which is here already.")
        if said := first_only(data, name):
            self.problems.append(Problem(name, said))
        return "photo"

    def _names_at(self, place: Place) -> list[str] | None:
        """The class names for a file there: those of the list that shares most folders with it, or best lies around it."""

        def near(listed: Place) -> tuple[int, bool]:
            shared = common(listed, place)
            return shared, shared == len(listed)

        return self._lists[max(reversed(self._lists), key=near)] if self._lists else None

    def _take_mask(self, name: str, data: bytes, numbers: list[str] | None) -> str:
        """A picture of few numbers or colours; it may be a drawing as well."""
        image = read_image(data, name)
        item = self._about(name)
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            is_colored = opened.mode not in ONE_NUMBER
            things = 0 if is_colored else count_things(opened)
            is_stack = has_pages(opened)
        if item is None and is_stack:
            raise InputError(f"{name} is a stack, and pages are not read here; bring a mask file for each photo, or COCO.")
        if item is None or item.key == image_key(image):
            if numbers is None or is_colored:
                return self._added(name, partial(self.workspace.add_image, name, data), data)
            raise InputError(f"{name} looks like a mask, but the gallery has no photo of this name; add the photo first.")
        item = self._about(name, is_mask=True) or item  # not that of the same ending, as if it were this photo
        if item.size != image.size:
            sizes = [f"{width}x{height}" for width, height in (image.size, item.size)]
            said = f"{name} looks like a mask of {item.name}, but has {sizes[0]} pixels where that has {sizes[1]}"
            raise InputError(f"{said}; save the mask in the size of the photo, or rename it if it is a photo itself.")
        if is_colored:
            said = f"{name} looks like a mask of {item.name} in colours; save it with one number a pixel, as an indexed PNG"
            raise InputError(f"{said}, or rename it if it is a photo itself.")
        if things > MOST_NUMBERS or (things and numbers is None):
            said = f"{name} has {things} numbers, as if each thing in {item.name} had one of its own; give its pixels the number"
            raise InputError(f"{said} of their class, with a classes.txt that names these, or rename it if it is a photo itself.")
        self._mark(item, read_mask(data, numbers, name))
        return "mask"

    def _take_outlines(self, name: str, data: bytes, numbers: list[str] | None) -> None:
        item = self._about(name)
        if item is None:
            raise InputError(f"{name} has outlines, but the gallery has no photo of this name; add the photo first.")
        self._mark(item, read_yolo(data, numbers, item.size, name))

    def _take_annotations(self, name: str, data: bytes) -> bool:
        """Says whether any of it could be used."""
        absent: list[str] = []
        before = len(self.problems)
        used = 0
        for photo, annotation in read_json(data, name):
            try:
                item = self._about(photo)
                if item is None:
                    absent.append(photo)
                    continue
                self._mark(item, annotation())
                used += 1
            except InputError as error:
                self.problems.append(Problem(photo, str(error)))
        if absent:
            what = f"{absent[0]} is" if len(absent) == 1 else f"{len(absent)} photos, such as {absent[0]}, are"
            self.problems.append(Problem(name, f"{what} not in the gallery; add the photos first, then {name} again."))
        return used > 0 or len(self.problems) == before

    def _about(self, name: str, is_mask: bool = False) -> ImageItem | None:
        """The image of the gallery that a file is about, see `Naming.find`. Raises InputError where that may be several."""
        session = self.workspace.session
        gallery = session.library, session.state.removed
        if self._naming is None or any(a is not b for a, b in zip(gallery, self._naming[0], strict=True)):
            self._naming = gallery, Naming(session.images)
        return self._naming[1].find(name, is_mask)

    def _mark(self, item: ImageItem, annotation: Annotation) -> None:
        if not annotation.is_empty:
            self._apply(AddAnnotation(item.key, annotation))

    def _apply(self, event: Event) -> None:
        self.workspace.apply(event, self.together)


def missing(awaited: dict[str, tuple[str, str]], session: Session) -> str:
    """What is said of photos that projects came without, their names and by which word the projects are undone, by their keys: a
    sentence; empty where there is none, or the projects were undone."""
    done = {step.together for step in session.past} if awaited else ()
    names = [name for name, together in list(awaited.values()) if together in done]
    if not names:
        return ""
    one = len(names) == 1
    what = f"{names[0]} is" if one else f"{len(names)} photos, such as {names[0]}, are"
    which, whose = ("the photo", "it") if one else ("the photos", "them")
    return f"{what} not in the project file; add {which} as well, and what was marked on {whose} is there again."


def _folder(source: int, name: str) -> Place:
    return source, *PurePosixPath(name).parts[:-1]


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
