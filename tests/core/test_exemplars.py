import math

import pytest
import torch

from guided_demo.core.encoder import DETAIL, SEMANTIC, Features
from guided_demo.core.exemplars import COUNT, pool


@pytest.fixture
def features():
    torch.manual_seed(0)
    maps = torch.randn(1, SEMANTIC, 12, 16), torch.randn(1, DETAIL, 24, 32), torch.zeros(1), torch.zeros(1)
    return Features.of(*maps, torch.ones(3))


def bilinear(maps, x, y, stride):
    """One sample, by hand."""
    c, r = x / stride - 0.5, y / stride - 0.5
    h, w = maps.shape[-2:]
    total = 0
    for dr in (0, 1):
        for dc in (0, 1):
            row, column = int(r // 1) + dr, int(c // 1) + dc
            weight = (1 - abs(r - row)) * (1 - abs(c - column))
            total = total + weight * maps[:, min(max(row, 0), h - 1), min(max(column, 0), w - 1)]
    return total


def test_few_pixels_are_kept_as_the_bilinear_samples_at_their_centres(features):
    marks = torch.zeros(1, 2, 96, 128)
    places = [(50, 60), (3, 0), (95, 127)]
    for row, column in places:
        marks[0, 0, row, column] = 1
    found = pool(features, marks)
    assert found.pixels.tolist() == [[3, 0]] and (found.weight[0, 1] == 0).all()
    kept = found.weight[0, 0] > 0
    assert torch.allclose(found.weight[0, 0][kept], torch.full((3,), 1 / 3))
    for part, stride in (("semantic", 8), ("detail", 4)):
        wanted = torch.stack([bilinear(getattr(features, part)[0], c + 0.5, r + 0.5, stride) for r, c in places])
        got = getattr(found, part)[0, 0][kept]
        assert torch.allclose(torch.sort(got, 0).values, torch.sort(wanted, 0).values, atol=1e-4)


@pytest.mark.parametrize("box", [(8, 8, 64, 96), (0, 0, 96, 128), (10, 13, 33, 51)])
def test_the_mean_of_many_is_the_papers_masked_average(features, box):
    top, left, bottom, right = box
    marks = torch.zeros(1, 1, 96, 128)
    marks[0, 0, top:bottom, left:right] = 1
    found = pool(features, marks)
    assert (found.weight[0, 0] > 0).sum() <= COUNT and torch.isclose(found.weight.sum(), torch.tensor(1.0), atol=1e-5)
    for part, stride in (("semantic", 8), ("detail", 4)):
        share = torch.nn.functional.avg_pool2d(marks, stride)[0, 0]
        wanted = (getattr(features, part)[0] * share).sum((1, 2)) / share.sum()
        got = (getattr(found, part)[0, 0] * found.weight[0, 0, :, None]).sum(0)
        assert torch.allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize(("side", "cell"), [(64, 1), (96, 2), (160, 3), (256, 4), (320, 5)])
def test_a_square_is_averaged_in_the_finest_grid_that_fits(side, cell):
    maps = (torch.rand(1, width, side // s, side // s) for width, s in ((SEMANTIC, 8), (DETAIL, 4), (1, 8), (1, 4)))
    found = pool(Features.of(*maps, torch.ones(3)), torch.ones(1, 1, side, side))
    count = lambda size: math.ceil(side / 8 / size) ** 2  # noqa: E731
    assert (found.weight > 0).sum() == count(cell) <= COUNT
    assert cell == 1 or count(cell - 1) > COUNT


def test_all_images_and_classes_are_pooled_as_each_alone(features):
    two = features.map(lambda t: torch.cat([t, -t]) if t.ndim > 1 else t)
    marks = torch.zeros(2, 2, 96, 128)
    marks[0, 0, 4, 4] = marks[1, 1, 90, 3] = 1
    marks[0, 1, 20:80] = 1
    marks[1, 0] = 1
    together = pool(two, marks)
    for image in (0, 1):
        alone = pool(two.map(lambda t, i=image: t[i : i + 1] if t.ndim > 1 else t), marks[image : image + 1])
        mean = lambda e, i: (e.semantic[i] * e.weight[i][..., None]).sum(1)  # noqa: E731
        assert torch.allclose(mean(together, image), mean(alone, 0), atol=1e-4)
