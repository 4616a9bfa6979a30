"""Point at a few pixels, and a whole gallery is segmented."""

from .annotation import Annotation, Point, Stroke
from .core.guidance import Guidance
from .core.model import EncodedImage, GuidedSegmenter
from .core.result import Result
from .errors import InputError
from .workspace import Workspace

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
