"""The same work for programs, over HTTP: /guide, /segment and /export, for gradio_client, curl, and as MCP tools.

Nothing is remembered between calls: the guidance travels as text, the base64 of a guidance file, which the caller holds.
Photos come as uploads, in Gradio's own folder, which it empties by age. Guidance and masks never enter that folder, because
Gradio serves what lies there to whoever has the path: they come and go within the messages.
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData
from gradio_client.utils import is_file_obj_with_meta

from ..annotation import Annotation
from ..core.features import FeatureCache
from ..core.guidance import Guidance
from ..core.model import GuidedSegmenter, Scope
from ..errors import InputError
from ..events import LoadGuidance, SetAnnotation
from ..export import Mask, indexed_png, write
from ..files import zip_bytes
from ..workspace import Problem, Workspace


class Endpoints:
    """What a program can ask for. Every call has a workspace of its own, so callers share nothing but encoded photos.

    The docstrings of the methods are what the API's own description and MCP clients show.
    """

    def __init__(self, segmenter: GuidedSegmenter, cache: FeatureCache) -> None:
        self._segmenter, self._cache = segmenter, cache

    def guide(self, image: FileData | str, annotation: dict[str, Any], guidance: str = "") -> str:
        """Learn from what is marked on one photo.

        Args:
            image: The photo, in any common format.
            annotation: {"marks": [{"point": [x, y], "label": "cat"}, {"stroke": [[x, y], ...], "label": "background", "radius": 6}]}, in pixels from the top left corner; one class must be called background.
            guidance: What was learned so far, as /guide returned it, to be added to.

        Returns:
            The guidance: the base64 of a guidance file.
        """
        workspace = self._workspace(guidance)
        _annotate(workspace, _add(workspace, image), annotation)
        if not workspace.guidance.images:
            raise InputError("Nothing is marked; give at least one point or stroke.")
        return _text(workspace.guidance.to_bytes())

    def segment(
        self,
        image: FileData | str,
        guidance: str = "",
        annotation: dict[str, Any] | None = None,
        scope: Scope = "everywhere",
    ) -> dict[str, Any]:
        """Find the classes of the guidance in a photo.

        Args:
            image: The photo, in any common format.
            guidance: What was learned, as /guide returned it.
            annotation: Marks on this photo itself, as for /guide; marked pixels keep their class.
            scope: "everywhere" for all that looks like what was marked; "object" for just the thing that is marked on this photo.

        Returns:
            {"classes": names by pixel value, background first; "mask": the base64 of an indexed PNG of the photo's size}.
        """
        workspace = self._workspace(guidance)
        key = _add(workspace, image)
        _annotate(workspace, key, annotation or {})
        if not workspace.guidance.images:
            raise InputError("There is nothing to segment by; give guidance, or mark something on the photo.")
        result = workspace.segment(key, scope)
        return {"classes": list(result.classes), "mask": _text(indexed_png(result.labels))}

    def export(
        self, images: list[FileData | str], guidance: str, form: str = "png", scope: Scope = "everywhere"
    ) -> dict[str, Any]:
        """Find the classes of the guidance in many photos, and write the masks as files.

        Args:
            images: The photos, in any common format.
            guidance: What was learned, as /guide returned it.
            form: The kind of files: png, coco-rle, coco-polygons, yolo, labelme, tiff, csv or overlays.
            scope: "everywhere" or "object", as for /segment.

        Returns:
            {"zip": the base64 of a zip; "problems": [{"name", "sentence"}] of the photos that could not be used}.
        """
        workspace = self._workspace(guidance)
        problems: list[Problem] = []

        def masks() -> Iterator[Mask]:
            for number, image in enumerate(images):
                try:
                    yield workspace.mask(_name(image), _add(workspace, image), scope)
                except InputError as error:
                    problems.append(Problem(_name(image) or f"photo {number + 1}", str(error)))

        data = zip_bytes(write(masks(), workspace.mask_classes, form))
        return {"zip": _text(data), "problems": [vars(problem) for problem in problems]}

    def _workspace(self, guidance: str) -> Workspace:
        workspace = Workspace(self._segmenter, cache=self._cache)
        if guidance:
            workspace.apply(LoadGuidance(Guidance.from_bytes(_bytes(guidance))))
        return workspace


def add_endpoints(segmenter: GuidedSegmenter, cache: FeatureCache) -> None:
    """Offer /guide, /segment and /export on the page that is being built; called inside its `with` block."""
    endpoints = Endpoints(segmenter, cache)
    for endpoint in (endpoints.guide, endpoints.segment, endpoints.export):
        gr.api(_told(endpoint), api_name=endpoint.__name__)


def _told(endpoint: Callable) -> Callable:
    """The endpoint, its InputErrors as Gradio's: the caller reads the sentence, the server's log stays short."""

    @functools.wraps(endpoint)
    def call(*arguments: Any) -> Any:
        try:
            return endpoint(*arguments)
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call


def _name(image: Any) -> str:
    return str(image.get("orig_name") or Path(str(image.get("path", ""))).name) if isinstance(image, dict) else ""


def _add(workspace: Workspace, image: Any) -> str:
    # Gradio refuses a path outside its folder of uploads, but only in what it takes for a file: this very form.
    if not is_file_obj_with_meta(image):
        raise InputError('A photo is an uploaded file: {"path": "...", "meta": {"_type": "gradio.FileData"}}.')
    return workspace.add_image(_name(image), image["path"])


def _annotate(workspace: Workspace, key: str, marks: dict[str, Any]) -> None:
    """Add marks to what the guidance has of the image already."""
    annotation = Annotation.from_json(marks)
    if not annotation.is_empty:
        workspace.apply(SetAnnotation(key, workspace.session.annotation(key) + annotation))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError("The guidance is not base64 text; give what /guide returned, or the base64 of a saved file.") from error
