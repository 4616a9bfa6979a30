"""A gallery as one still picture, for where nothing can be clicked."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from ..render import overlay
from ..workspace import Workspace

WIDTH, ROW, GAP = 960, 200, 8
MOST_PHOTOS = 8
WIDEST = 2.5
FONT_SIZE = 16


def still(workspace: Workspace, note: str) -> bytes:
    """A PNG of the first photos with their masks, and a sentence below them."""
    tiles = list(_tiles(workspace))
    places = _places([tile.width for tile in tiles])
    bottom = places[-1][1] + ROW + GAP if places else 0
    font = ImageFont.load_default(FONT_SIZE)
    right = max([x + tile.width for tile, (x, _) in zip(tiles, places, strict=True)] + [round(font.getlength(note)) + 2 * GAP])
    picture = Image.new("RGB", (right, bottom + 2 * FONT_SIZE), "white")
    for tile, place in zip(tiles, places, strict=True):
        picture.paste(tile, place)
    ImageDraw.Draw(picture).text((GAP, bottom + FONT_SIZE // 2), note, fill="#333333", font=font)
    buffer = io.BytesIO()
    picture.quantize(256).save(buffer, "PNG", optimize=True)  # a palette makes a third of the size
    return buffer.getvalue()


def _tiles(workspace: Workspace) -> Iterator[Image.Image]:
    """Photos with their masks, at most ROW high; one that cannot be read any more is left out."""
    colors = workspace.session.colors
    for item in workspace.session.images[:MOST_PHOTOS]:
        shrink = min(ROW / item.size[1], WIDEST * ROW / item.size[0])
        size = max(1, round(item.size[0] * shrink)), max(1, round(item.size[1] * shrink))
        try:
            photo = workspace.image(item.key).resize(size, reducing_gap=2)
            result = workspace.segment(item.key)
        except InputError:
            continue
        yield overlay(photo, result.labels_at(size), [colors[name] for name in result.classes])


def _places(widths: list[int]) -> list[tuple[int, int]]:
    """Where tiles go, row by row: the left top corner of each."""
    places = []
    x, y = 0, 0
    for width in widths:
        if x and x + width > WIDTH:
            x, y = 0, y + ROW + GAP
        places.append((x, y))
        x += width + GAP
    return places
