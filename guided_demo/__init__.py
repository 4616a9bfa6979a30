"""Point at a few pixels, and a whole gallery is segmented."""

from .annotation import Annotation, Point, Stroke
from .errors import InputError

__all__ = ["Annotation", "InputError", "Point", "Stroke"]
