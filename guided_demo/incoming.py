"""Whatever people bring, told apart by what is in it: photos, guidance, projects, masks of photos, COCO, points as JSON."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from PIL import Image

from .annotation import Annotation
from .core.guidance import Guidance
from .errors import InputError
from .events import LoadGuidance, SetAnnotation
from .files import image_key, read_image, read_zip
from .imports import class_names, read_json, read_mask
from .project import LISTING, open_project
from .session import ImageItem, Session
from .workspace import Problem, Workspace

KINDS = ("class list", "photo", "mask", "project", "guidance", "annotations")  # each may need those before it
MOST_NUMBERS = 64  # in a mask; a grey photo has more
ZIP = b"PK\x03\x04"


def take_in(
    workspace: Workspace, files: Iterable[tuple[str, bytes]], progress: Callable[[int, int, str], None] | None = None
) -> list[Problem]:
    """Add files, (name, bytes) in any order, to a workspace; returns those that could not be used, the others are done.

    A zip that is no project stands for the files in it. A picture with one number a pixel is a mask if the gallery has a photo
    of its name and size; a classes.txt that comes along names the numbers. Masks, COCO and points go to the photos that have
    their names, and join what is marked there.
    progress: called before each file with how many are done, how many there are, and the name.
    """
    problems: list[Problem] = []
    brought = [(_kind(name, data), name, data) for name, data in _unpacked(files, problems)]
    brought.sort(key=lambda file: KINDS.index(file[0]))
    classes = None
    for done, (kind, name, data) in enumerate(brought):
        if progress is not None:
            progress(done, len(brought), name)
        try:
            match kind:
                case "class list":
                    classes = class_names(data, name)
                case "photo":
                    workspace.add_image(name, data)
                case "mask":
                    _take_mask(workspace, name, data, classes)
                case "project":
                    problems += open_project(workspace, data, name)
                case "guidance":
                    workspace.apply(LoadGuidance(Guidance.from_bytes(data)))
                case "annotations":
                    problems += _take_annotations(workspace, name, data)
        except InputError as error:
            problems.append(Problem(name, str(error)))
    return problems


def find_image(session: Session, name: str) -> ImageItem | None:
    """The image of the gallery that a file called `name` is about: it has the same name; or else, it alone has the same but
    for the ending; or else, but for the folder too."""
    for part in (str, lambda path: str(PurePosixPath(path).with_suffix("")), lambda path: PurePosixPath(path).stem):
        found = [item for item in session.images if part(item.name) == part(name)]
        if len(found) == 1:
            return found[0]
    return None


def _unpacked(files: Iterable[tuple[str, bytes]], problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    for name, data in files:
        try:
            inside = read_zip(data, name) if data.startswith(ZIP) else {}
        except InputError as error:
            problems.append(Problem(name, str(error)))
            continue
        if not inside or LISTING in inside:
            yield name, data
        else:
            yield from (file for file in inside.items() if not _hidden(file[0]))


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _kind(name: str, data: bytes) -> str:
    path = PurePosixPath(name.lower())
    if path.name == "classes.txt":
        return "class list"
    if data.startswith(ZIP):
        return "project"
    if path.suffix in (".safetensors", ".json"):
        return "guidance" if path.suffix == ".safetensors" else "annotations"
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "TIFF", "BMP")) as image:
            return "mask" if image.mode in ("P", "L", "1") else "photo"
    except Exception:  # a photo of another format, or one that reading will say more about
        return "photo"


def _take_mask(workspace: Workspace, name: str, data: bytes, classes: list[str] | None) -> None:
    """A picture with one number a pixel; it may be a grey photo as well."""
    image = read_image(data, name)
    item = find_image(workspace.session, name)
    few = image.getcolors(MOST_NUMBERS) is not None
    if item is not None and few and item.size == image.size and item.key != image_key(image):
        _mark(workspace, item, read_mask(data, classes, name))
    elif classes is None or not few:
        workspace.add_image(name, data)
    else:
        raise InputError(f"{name} looks like a mask, but the gallery has no photo of this name and size; add the photo first.")


def _take_annotations(workspace: Workspace, name: str, data: bytes) -> Iterator[Problem]:
    absent = []
    for photo, annotation in read_json(data, name):
        item = find_image(workspace.session, photo)
        if item is None:
            absent.append(photo)
            continue
        try:
            _mark(workspace, item, annotation())
        except InputError as error:
            yield Problem(photo, str(error))
    if absent:
        what = f"{absent[0]} is" if len(absent) == 1 else f"{len(absent)} photos, such as {absent[0]}, are"
        yield Problem(name, f"{what} not in the gallery; add the photos first, then {name} again.")


def _mark(workspace: Workspace, item: ImageItem, annotation: Annotation) -> None:
    if not annotation.is_empty:
        workspace.apply(SetAnnotation(item.key, workspace.session.annotation(item.key) + annotation))
