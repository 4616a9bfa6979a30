"""Colours and pictures of masks: what the page, the widget and the exported overlays show."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from guided_demo.errors import InputError

BACKGROUND_COLOR = "#888888"
# Found by search: each has a contrast of at least 3 to white and to a near-black page, and any two stay apart (0.09 and
# more in OKLab, the first eight and grey) for normal, protan, deutan and tritan vision. Those of the second line are closer, and
# those after them closer still: 0.07 and more for normal vision, 0.035 for the others.
PALETTE = (
    "#0099ee", "#bb8800", "#9933bb", "#007700", "#ff33cc", "#7722ff", "#dd0044", "#bb1177",
    "#6688bb", "#666699", "#cc6666",
    "#8866ee", "#886644", "#5555dd", "#bb77dd", "#446666", "#009966", "#996688", "#dd6699",
    "#00aa33", "#aa4400", "#bb33aa",
)  # fmt: skip


def next_color(used: Iterable[str]) -> str:
    """The first palette colour that is used least: distinct for the first 22 classes, then again from the start."""
    taken = Counter(used)
    return min(PALETTE, key=lambda color: taken[color])


def parse_color(color: str) -> tuple[int, int, int]:
    """The red, green and blue, 0 to 255, of "#rrggbb"; raises InputError for anything else."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise InputError(f"{color!r} is not a colour; write it as #rrggbb.")
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mask_png(labels: np.ndarray, colors: Sequence[str], opacity: float = 1.0) -> bytes:
    """A label map as an indexed PNG with alpha, to be laid over its photo by a browser.

    labels: HxW uint8, values below len(colors), or 255 for "unsure", which stays transparent.
    colors: "#rrggbb" by label; label 0, the background, is transparent.
    opacity: 0 to 1.
    """
    alpha = bytes([0] + [round(255 * opacity)] * (len(colors) - 1))
    palette = [channel for color in colors for channel in parse_color(color)]
    return _indexed_png(labels, palette, alpha.ljust(256, b"\0"))


def heat_png(values: np.ndarray, color: str) -> bytes:
    """A map of HxW floats in [0, 1], a probability or novelty, as a PNG of one colour whose alpha is the value."""
    shades = np.clip(np.nan_to_num(values) * 255 + 0.5, 0, 255).astype(np.uint8)
    return _indexed_png(shades, [*parse_color(color)] * 256, bytes(range(256)))


def overlay(image: Image.Image, labels: np.ndarray, colors: Sequence[str], opacity: float = 0.5) -> Image.Image:
    """The RGB image with every class but the background tinted. labels: HxW uint8 of the image's size."""
    tint = Image.open(io.BytesIO(mask_png(labels, colors, opacity))).convert("RGBA")
    return Image.alpha_composite(image.convert("RGBA"), tint).convert("RGB")


def outline(labels: np.ndarray, width: int = 2) -> np.ndarray:
    """The borders of a label map: HxW uint8 that keeps a label within `width` pixels of another one, else 0."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for step in range(1, width + 1):
            ahead = np.moveaxis(labels, axis, 0)
            mark = np.moveaxis(edge, axis, 0)  # views, so that writing to them writes to `edge`
            differ = ahead[step:] != ahead[:-step]
            mark[step:] |= differ
            mark[:-step] |= differ
    return np.where(edge, labels, 0).astype(np.uint8)


def _indexed_png(labels: np.ndarray, palette: Sequence[int], alpha: bytes) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8)).convert("P")
    # With a short palette Pillow packs pixels into fewer bits, where 255 has no room.
    full = labels.size and labels.max() >= len(palette) // 3
    picture.putpalette(list(palette) + [0] * (768 - len(palette) if full else 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=alpha, compress_level=4)
    return buffer.getvalue()
