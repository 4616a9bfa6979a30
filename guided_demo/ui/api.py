"""The same work for programs, over HTTP: /guide, /segment and /export, for gradio_client, curl, and as MCP tools.

Nothing is remembered between calls: the guidance travels as text, the base64 of a guidance file, which the caller holds.
Photos come as uploads in Gradio's own folder, which it empties by age, or in the message. Guidance and masks come and go in
messages only: Gradio serves what lies in that folder to whoever has the path.
"""

# No `from __future__ import annotations` here: Gradio reads the types of the endpoints as they are.
import base64
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like

from ..core.features import FeatureCache
from ..core.guidance import Guidance
from ..core.model import GuidedSegmenter, Scope, check_scope
from ..errors import InputError
from ..events import AddAnnotation, LoadGuidance
from ..export import Mask, indexed_png, write
from ..workspace import Problem, Workspace
from ..zips import zip_bytes
from .seeing import base64_of
from .wishes import read_marks

Photo = FileData | str

# Of one call: other callers wait for it, and what it makes is in memory until it is fetched.
MOST_PHOTOS, MOST_BYTES = 1000, 300_000_000


class Endpoints:
    """What a program can ask for. Every call has a workspace of its own; callers share encoded photos and nothing else.

    Programs see the docstrings of the methods, so they speak to them, in the form that Gradio reads: a line a parameter.
    """

    def __init__(self, segmenter: GuidedSegmenter, cache: FeatureCache) -> None:
        self._segmenter, self._cache = segmenter, cache

    def guide(self, image: Photo, annotation: dict[str, Any], guidance: str = "") -> str:
        """Learn named classes from points and strokes on one photo; x and y are pixels from its top left corner.

        Args:
            image: The photo: an uploaded file, or a data URL.
            annotation: {"marks": [{"point": [x, y], "label": "cat"}, {"stroke": [[x, y], …], "label": "sky", "radius": 6}]}
            guidance: What was learned before, as this returned it, to be added to.

        Returns:
            The guidance: the base64 of a guidance file.
        """
        workspace = self._workspace(guidance)
        _annotate(workspace, _add(workspace, image), annotation)
        if not workspace.guidance.images:
            raise InputError("Nothing is marked; give at least one point or stroke.")
        return base64_of(workspace.guidance.to_bytes())

    def segment(
        self,
        image: Photo,
        guidance: str = "",
        annotation: dict[str, Any] | None = None,
        scope: Scope = "everywhere",
        unsure: float = 0.0,
    ) -> dict[str, Any]:
        """Find the classes of the guidance in a photo, or of marks on the photo itself, or both.

        Args:
            image: The photo: an uploaded file, or a data URL.
            guidance: What was learned, as guide returned it.
            annotation: Marks on this photo, as for guide. A marked pixel keeps its class.
            scope: "everywhere" finds all that looks like what was marked; "object" only the very thing marked on this photo.
            unsure: Pixels whose likeliest class is less likely than this, from 0 to 1, have no class: 255.

        Returns:
            classes: a name for each pixel value, background first; mask: the base64 of an indexed PNG of the photo's size.
        """
        check_scope(scope)
        workspace = self._workspace(guidance)
        key = _add(workspace, image)
        _annotate(workspace, key, annotation or {})
        if not workspace.guidance.images:
            raise InputError("There is nothing to segment by; give guidance, or mark something on the photo.")
        mask = workspace.mask(_name(image), key, scope, _probability(unsure))
        return {"classes": list(workspace.guidance.classes), "mask": base64_of(indexed_png(mask.labels))}

    def export(
        self, images: list[Photo], guidance: str, form: str = "png", scope: Scope = "everywhere", unsure: float = 0.0
    ) -> dict[str, Any]:
        """Find the classes of the guidance in many photos, and get files for other programs.

        Args:
            images: The photos: uploaded files, or data URLs; at most 1000.
            guidance: What was learned, as guide returned it.
            form: png, coco-rle, coco-polygons, yolo, labelme, tiff, csv or overlays.
            scope: "everywhere" or "object", as for segment.
            unsure: As for segment: 255 in pictures, and nothing in other forms.

        Returns:
            zip: the base64 of a zip; problems: a name and a sentence for each photo that could not be used.
        """
        if not isinstance(images, list):
            raise InputError("images is a list of photos; give one photo as a list of one.")
        if len(images) > MOST_PHOTOS:
            raise InputError(f"That is more than {MOST_PHOTOS} photos at once; ask for them in parts.")
        workspace, sure = self._workspace(guidance), _probability(unsure)
        if not workspace.guidance.images:
            raise InputError("There is nothing to segment by; give guidance.")
        check_scope(scope)  # or that would be wrong with every photo
        problems: list[Problem] = []

        def masks() -> Iterator[Mask]:
            for image in images:
                try:
                    yield workspace.mask(_name(image), _add(workspace, image), scope, sure)
                except InputError as error:
                    problems.append(Problem(_name(image), str(error)))

        data = zip_bytes(_bounded(write(masks(), workspace.mask_classes, form, map(_name, images))))
        return {"zip": base64_of(data), "problems": [vars(problem) for problem in problems]}

    def _workspace(self, guidance: str) -> Workspace:
        workspace = Workspace(self._segmenter, cache=self._cache)
        if guidance:
            workspace.apply(LoadGuidance(Guidance.from_bytes(_bytes(guidance, "The guidance"))))
        return workspace


def add_endpoints(page: gr.Blocks, segmenter: GuidedSegmenter, cache: FeatureCache) -> None:
    """Offer /guide, /segment and /export beside `page`; called inside its `with` block."""
    endpoints = Endpoints(segmenter, cache)
    for endpoint in (endpoints.guide, endpoints.segment, endpoints.export):
        gr.api(_told(endpoint), api_name=endpoint.__name__)
    for block in page.blocks.values():
        if isinstance(block, Api):
            block.async_move_resource_to_block_cache = _uploaded  # type: ignore[method-assign, assignment]


async def _uploaded(path: str) -> str:
    """What Gradio takes for a file of an argument: it is where it was uploaded, and nothing is fetched from elsewhere for it."""
    if is_http_url_like(path):
        raise gr.Error(_foreign(path), print_exception=False)
    return path


def _told(endpoint: Callable) -> Callable:
    """The endpoint, its InputErrors as Gradio's: the caller reads the sentence, and the server's log no traceback."""

    @functools.wraps(endpoint)
    def call(*arguments: Any) -> Any:
        try:
            return endpoint(*arguments)
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call


def _add(workspace: Workspace, image: Any) -> str:
    """Add a photo, and return its key."""
    source = image.get("path") if isinstance(image, dict) else image
    if not isinstance(source, str):
        raise InputError("A photo is an uploaded file, or a data URL.")
    if source.startswith("data:"):
        return workspace.add_image(_name(image), _bytes(source.partition(",")[2], "The photo"))
    path = Path(source.rpartition("/gradio_api/file=")[2].replace("\0", "")).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):  # else anybody could look at any file of this machine
        raise InputError(_foreign(source))
    return workspace.add_image(_name(image), path)


def _bounded(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    room = MOST_BYTES
    for name, data in files:
        room -= len(data)
        if room < 0:
            raise InputError(f"That makes more than {MOST_BYTES // 1_000_000} MB of files; ask for fewer photos at a time.")
        yield name, data


def _foreign(source: str) -> str:
    return f"{source} was not uploaded here; send it to /gradio_api/upload first, or give it as a data URL."


def _name(image: Any) -> str:
    """What the caller calls a photo, as far as that is told."""
    if isinstance(image, dict):
        return str(image.get("orig_name") or _name(image.get("path")))
    return "image" if not isinstance(image, str) or image.startswith("data:") else image.rpartition("/")[2]


def _annotate(workspace: Workspace, key: str, marks: dict[str, Any]) -> None:
    """Add marks to what the guidance has of the image already."""
    annotation = read_marks(marks)
    if not annotation.is_empty:
        workspace.apply(AddAnnotation(key, annotation))


def _probability(number: Any) -> float:
    if not isinstance(number, int | float) or not 0 <= number <= 1:
        raise InputError(f"unsure is a probability, a number from 0 to 1, not {number!r}.")
    return float(number)


def _bytes(text: Any, what: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)  # many programs break it into lines
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{what} is not the base64 of a file, or it is cut short.") from error
