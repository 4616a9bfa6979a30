"""Pictures of several pages: stacks of a microscope, its channels, what moves. A photo is the first of them."""

import io
import os
from itertools import count
from typing import Any

from PIL import Image

PICTURES = ("GIF", "WEBP", "PNG", "TIFF")  # Pillow's formats of those that may move or have pages
MOST_COUNTED = 1000  # pages; to count millions takes hours
_KIND_OF_PAGE = 254  # TIFF's tag NewSubfileType, whose first bit says that a page is a smaller version of another


def has_pages(image: Image.Image) -> bool:
    """Whether a second page comes after the first, which a preview in a TIFF is not."""
    try:
        image.seek(1)
    except Exception:  # there is none; or it is damaged, for which each format has errors of its own
        return False
    return not getattr(image, "tag_v2", {}).get(_KIND_OF_PAGE, 0) & 1


def first_only(source: Any, name: str) -> str:
    """What is said of a photo's file where `files.read_image` leaves pages out, in two sentences; empty where it has one page.

    source: a path or the bytes of a file; of anything else, and of what comes through a pipe, nothing is said. name: what they
    call it.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    elif not isinstance(source, str | os.PathLike) or not os.path.isfile(source):
        return ""
    try:
        with Image.open(source, formats=PICTURES) as image:
            if not has_pages(image):
                return ""
            pages, word = _counted(image), "pages" if image.format == "TIFF" else "frames"
    except Exception:  # no picture of pages, or one that reading it will say more about
        return ""
    said = f"{name} has {pages} {word}; only the first is read."
    return f"{said} Save the others as files of their own, or segment all with python -m guided_demo video."


def _counted(image: Image.Image) -> str:
    for page in count(2):
        if page > MOST_COUNTED:
            return f"over {MOST_COUNTED}"
        try:
            image.seek(page)
        except Exception:  # the end, or damage
            break
    return str(page)
