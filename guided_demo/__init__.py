"""Point at a few pixels, and a whole gallery is segmented."""

from typing import TYPE_CHECKING

from .annotation import Annotation, Point, Stroke
from .core.encoded import EncodedImage
from .core.guidance import Guidance
from .core.model import GuidedSegmenter
from .core.result import Result
from .errors import InputError
from .workspace import Workspace

if TYPE_CHECKING:
    from .ui.widget import annotate as annotate

__all__ = [
    "Annotation",
    "EncodedImage",
    "Guidance",
    "GuidedSegmenter",
    "InputError",
    "Point",
    "Result",
    "Stroke",
    "Workspace",
]


def __getattr__(name: str):
    # The widget comes when it is asked for, since only notebooks have what it needs.
    if name == "annotate":
        from .ui.widget import annotate

        return annotate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
