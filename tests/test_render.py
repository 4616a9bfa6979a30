"""Palettes and mask pictures, read back by Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from guided_demo.errors import InputError
from guided_demo.render import (
    BACKGROUND_COLOR,
    PALETTE,
    heat_png,
    mask_png,
    next_color,
    outline,
    overlay,
    parse_color,
)

COLORS = ("#888888", "#ff0000", "#0000ff")
LABELS = np.array([[0, 1, 2, 255], [1, 1, 0, 2]], np.uint8)

# Machado et al. 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deutan": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritan": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}


def linear(color):
    value = np.array(parse_color(color)) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    lms = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]) @ rgb.clip(0, 1)
    lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(lab) @ np.cbrt(lms)


@pytest.mark.parametrize("vision", VISION)
def test_palette_stays_apart_for_every_vision(vision):
    seen = [oklab(VISION[vision] @ linear(color)) for color in (BACKGROUND_COLOR, *PALETTE)]
    apart = [[np.linalg.norm(a - b) for b in seen[:i]] for i, a in enumerate(seen)]
    assert min(min(row) for row in apart[1:9]) > 0.09
    assert min(min(row) for row in apart[9:12]) > 0.05
    assert min(min(row) for row in apart[12:]) > (0.07 if vision == "normal" else 0.035)


@pytest.mark.parametrize("page", ["#ffffff", "#0b0f19"])
def test_palette_has_contrast_on_light_and_dark_pages(page):
    def luminance(color):
        return linear(color) @ [0.2126, 0.7152, 0.0722] + 0.05

    for color in (BACKGROUND_COLOR, *PALETTE):
        ratio = luminance(color) / luminance(page)
        assert max(ratio, 1 / ratio) >= 3, color


def test_next_color_is_the_least_used():
    colors: list[str] = []
    for _ in range(22):
        colors.append(next_color([BACKGROUND_COLOR, *colors]))
    assert len(set(colors)) == 22
    assert next_color([]) == PALETTE[0]
    assert next_color([BACKGROUND_COLOR, PALETTE[0], PALETTE[2]]) == PALETTE[1]
    assert next_color([*PALETTE, PALETTE[0]]) == PALETTE[1]


@pytest.mark.parametrize("color", ["red", "#12345", "#12345g", "url(x)", "#1234567"])
def test_what_is_no_color_is_refused(color):
    with pytest.raises(InputError, match="is not a colour"):
        parse_color(color)


def test_mask_png_keeps_labels_and_hides_what_should_be_hidden():
    image = Image.open(io.BytesIO(mask_png(LABELS, COLORS, 0.5)))
    assert image.mode == "P"
    assert np.array_equal(image, LABELS)
    rgba = np.asarray(image.convert("RGBA"))
    assert rgba[0, 1].tolist() == [255, 0, 0, 128]
    assert rgba[1, 3].tolist() == [0, 0, 255, 128]
    assert rgba[0, 0, 3] == 0
    assert rgba[0, 3, 3] == 0  # 255, unsure


def test_mask_png_is_small():
    labels = np.zeros((768, 1024), np.uint8)
    labels[200:500, 300:700] = 1
    assert len(mask_png(labels, COLORS)) < 3000


def test_heat_png_has_the_value_as_alpha():
    values = np.array([[0.0, 0.5, 1.0], [np.nan, -1, 2]])
    rgba = np.asarray(Image.open(io.BytesIO(heat_png(values, "#0099ee"))).convert("RGBA"))
    assert rgba[..., 3].tolist() == [[0, 128, 255], [0, 0, 255]]
    assert (rgba[..., :3] == (0, 0x99, 0xEE)).all()


def test_overlay_mixes_by_opacity_and_leaves_the_background():
    photo = Image.new("RGB", (4, 2), (100, 100, 100))
    mixed = np.asarray(overlay(photo, LABELS, COLORS, 0.5), int)
    assert np.abs(mixed[0, 1] - [178, 50, 50]).max() <= 1
    assert mixed[0, 0].tolist() == [100] * 3
    assert np.array_equal(overlay(photo, LABELS, COLORS, 0.0), photo)


@pytest.mark.parametrize("width", [1, 2])
def test_outline_against_a_naive_loop(width):
    labels = np.random.default_rng(0).integers(0, 3, (12, 9)).repeat(3, 0).repeat(3, 1).astype(np.uint8)
    expected = np.zeros_like(labels)
    for y, x in np.ndindex(labels.shape):
        near = [labels[y, max(x - width, 0) : x + width + 1], labels[max(y - width, 0) : y + width + 1, x]]
        if any((part != labels[y, x]).any() for part in near):
            expected[y, x] = labels[y, x]
    assert np.array_equal(outline(labels, width), expected)
