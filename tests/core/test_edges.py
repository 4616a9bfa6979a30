"""Edges finer than the network's cells, along the colours of the photo."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pictures import photo
from PIL import Image, ImageDraw

from guided_demo import Annotation, GuidedSegmenter
from guided_demo.core.edges import AROUND, CERTAIN, LEAST, Edges
from guided_demo.geometry import Frame


def pixels_of(picture, side=96):
    frame = Frame.fit(picture.size, side)
    return frame.to_input(np.array(picture))[..., : frame.content[1], : frame.content[0]]


def interpolated(maps):
    return F.interpolate(maps[None], scale_factor=2, mode="bilinear", align_corners=False)[0]


def filtered(logits, pixels):
    """Window by window, as the paper has it: a linear regression of the logits by colours in each, for each cell the mean of the
    slopes of all windows that it is in, and a step along that by how the finer colours differ."""
    fine = F.avg_pool2d(pixels, 2)[0]
    colours = F.avg_pool2d(fine, 2).double().permute(1, 2, 0).numpy()
    sure = logits.clamp(-CERTAIN, CERTAIN).double().numpy()
    height, width = sure.shape
    slopes, smooth = np.zeros((height, width, 3)), np.zeros((height, width, 3))
    windows = {
        (y, x): (slice(max(0, y - AROUND), y + AROUND + 1), slice(max(0, x - AROUND), x + AROUND + 1))
        for y in range(height)
        for x in range(width)
    }
    for place, window in windows.items():
        near, wanted = colours[window].reshape(-1, 3), sure[window].ravel()
        near, wanted = near - near.mean(0), wanted - wanted.mean()
        slopes[place] = np.linalg.solve(near.T @ near / len(near) + LEAST * np.eye(3), near.T @ wanted / len(near))
    for place, window in windows.items():
        smooth[place] = slopes[window].reshape(-1, 3).mean(0)
    slope, surroundings = (interpolated(torch.from_numpy(x).permute(2, 0, 1)) for x in (smooth, colours))
    return interpolated(logits[None].double())[0] + (slope * (fine - surroundings)).sum(0)


@pytest.mark.parametrize("size", [(96, 64), (80, 96), (200, 33)])
def test_it_is_the_guided_filter_of_a_window_at_a_time(size):
    pixels = pixels_of(photo(1, size))
    height, width = (side // 4 for side in pixels.shape[2:])
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 5, (2, height, width))).float()
    padded = F.pad(logits, (0, 3, 0, 5), value=9.0)  # what lies in the padding does not count
    found = Edges.of(pixels).along(padded)
    for each, logit in zip(found, logits, strict=True):
        assert torch.allclose(each.double(), filtered(logit, pixels), atol=0.05)


def test_where_logits_do_not_go_with_colour_nothing_is_added():
    pixels = pixels_of(photo(2, (96, 64)))
    for same in (torch.full((1, 16, 24), 3.0), torch.full((1, 16, 24), -1e4)):
        assert torch.allclose(Edges.of(pixels).along(same), interpolated(same), atol=1e-3)
    plain = torch.full_like(pixels, 0.4)
    logits = torch.randn(1, 16, 24)
    assert torch.allclose(Edges.of(plain).along(logits), interpolated(logits), atol=1e-3)


def test_a_border_through_cells_is_where_the_colours_change():
    picture = Image.new("RGB", (96, 96), (40, 60, 50))
    ImageDraw.Draw(picture).polygon([(0, 0), (70, 0), (25, 96), (0, 96)], fill=(180, 170, 120))
    truth = F.avg_pool2d(pixels_of(picture)[:, :1], 2)[0, 0] > 0.4
    cells = F.avg_pool2d(truth[None, None].float(), 2)[0]
    logits = 6 * (2 * cells - 1)  # as sure as a network that sees no more than the cells can be
    wrong = [((logits > 0) != truth).sum() for logits in (interpolated(logits)[0], Edges.of(pixels_of(picture)).along(logits)[0])]
    assert wrong[1] == 0 < wrong[0]


def test_what_is_thinner_than_a_cell_is_found():
    picture = Image.effect_noise((320, 240), 20).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 50, 200, 170), fill=(200, 30, 30))
    for y in (80, 110, 140):
        draw.line((200, y, 300, y), fill=(200, 30, 30), width=2)
    marks = Annotation(
        points=[(130, 110, "thing"), (220, 110, "thing"), (280, 110, "thing"), (160, 20, "background"), (250, 95, "background")]
    )
    segmenter = GuidedSegmenter.load()
    red, green, _ = np.asarray(picture).transpose(2, 0, 1).astype(int)
    truth, mask = (
        part[:, 205:]
        for part in (red - green > 100, segmenter.segment(picture, segmenter.guide(picture, marks), marks).labels == 1)
    )
    assert (mask & truth).sum() / (mask | truth).sum() > 0.5  # .14 where masks are as fine as cells
