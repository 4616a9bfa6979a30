"""A whole piece of work as one zip that opens on another machine.

`project.json` lists the images by digest and name, and the classes with their colours; `guidance.safetensors` has the
strokes and what was learned from them; `images/` has the photos by digest, where they were asked for. A photo that is not
in the zip is recognised by its digest whenever it is added.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from .core.guidance import Guidance
from .errors import InputError, legible
from .events import AddClass, LoadGuidance, RecolorClass
from .files import MAX_TEXT
from .marks import check_name
from .render import next_color, parse_color
from .workspace import Problem, Workspace
from .zips import read_zip, zip_bytes

FORMAT = 1
LISTING, GUIDANCE, PHOTO = "project.json", "guidance.safetensors", "images/"


def save_project(workspace: Workspace, photos: bool = True) -> bytes:
    """The project of a workspace as a zip; without photos it is small. Raises InputError if a photo has gone."""
    return zip_bytes(project_files(workspace, photos))


def project_files(workspace: Workspace, photos: bool = True) -> Iterator[tuple[str, bytes]]:
    """The files of `save_project` as (name, bytes), the photos last; each is read when it is asked for."""
    session = workspace.session
    listing = {
        "format": FORMAT,
        "images": [{"key": item.key, "name": item.name, "size": item.size} for item in session.images],
        "classes": [{"name": item.name, "color": item.color} for item in session.classes],
        "correct": sorted(session.state.correct),  # of photos that are yet to come, too
    }
    yield LISTING, json.dumps(listing, ensure_ascii=False, indent=1).encode()
    yield GUIDANCE, workspace.guidance.to_bytes()
    if photos:
        for item in session.images:
            yield PHOTO + item.key, workspace.image_file(item.key)


@dataclass(frozen=True)
class Project:
    """What a project's zip has. names: all images by key; photos: the files of those that it brings; colors: of all classes."""

    names: dict[str, str]
    photos: dict[str, bytes]
    colors: dict[str, str]
    correct: tuple[str, ...]
    guidance: Guidance

    def add_photos(self, workspace: Workspace, problems: list[Problem]) -> Iterator[str]:
        """Add the photos it brings to a workspace; yields the name of each before it is read. Those that could not be had are
        added to `problems`."""
        brought = [(key, name) for key, name in self.names.items() if key in self.photos]
        adding = workspace.adding((name, self.photos[key]) for key, name in brought)
        for (key, name), add in zip(brought, adding, strict=True):
            yield name
            try:
                if add() != key:
                    said = f"{name} is not the photo that was saved with the project, so its strokes are not on it."
                    problems.append(Problem(name, said))
            except InputError as error:
                problems.append(Problem(name, str(error)))

    def mark(self, workspace: Workspace, together: str | None = None) -> None:
        """Add what was marked, on photos that are here or yet to come; what is there stays. together: as for Session.apply."""
        marked = workspace.guidance.classes
        taken = {workspace.session.colors[label] for label in marked}  # masks of two classes in one colour would look the same
        for label, color in self.colors.items():
            colors = workspace.session.colors
            if color in taken:
                color = colors.get(label) or next_color([*colors.values(), *self.colors.values()])
            if colors.get(label) != color:  # else it would be a step that undo takes back to no effect
                workspace.apply(RecolorClass(label, color) if label in colors else AddClass(label, color), together)
        brought = {workspace.session.colors[label] for label in self.colors}
        for label, color in workspace.session.colors.items():
            if color in brought and label not in (*self.colors, *marked):  # it may be marked later
                workspace.apply(RecolorClass(label, next_color(workspace.session.colors.values())), together)
        workspace.apply(LoadGuidance(self.guidance, self.correct), together)


def read_project(data: bytes, name: str = "the project") -> Project:
    """The project in a zip. name: what an error calls it. Raises InputError if it is none."""
    files = read_zip(data, name)
    if LISTING not in files:
        raise InputError(f"{name} is a zip and no project; unpack it, and add the files that are in it.")
    try:
        if len(files[LISTING]) > MAX_TEXT:
            raise ValueError(f"its {LISTING} has more than {MAX_TEXT // 1_000_000} MB")
        listing = json.loads(files[LISTING])
        if listing["format"] > FORMAT:
            raise ValueError("it is of a newer format; update guided_demo to open it")
        names = {str(item["key"]): legible(str(item["name"])) for item in listing["images"]}
        colors = {check_name(str(item["name"])): str(item["color"]) for item in listing["classes"]}
        for color in colors.values():
            parse_color(color)
        return Project(
            names,
            photos={key: files[PHOTO + key] for key in names if PHOTO + key in files},
            colors=colors,
            correct=tuple(str(key) for key in listing["correct"]),
            guidance=Guidance.from_bytes(files[GUIDANCE]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is not a project that can be opened here ({error}).") from error


def read_guidance(data: bytes, name: str) -> tuple[Guidance, dict[str, str]]:
    """The guidance in a guidance file, or that of a project and the colours of its classes. name: what an error calls it. Raises
    InputError."""
    if data.startswith(b"PK"):
        project = read_project(data, name)
        return project.guidance, project.colors
    try:
        return Guidance.from_bytes(data), {}
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
