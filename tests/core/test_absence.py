import pytest
import torch
import torch.nn.functional as F

from guided_demo.core import head
from guided_demo.core.absence import ALIKE, DEEP, LARGE, MORE, WORTH, doubt
from guided_demo.core.encoder import COARSE_WIDTH, DETAIL, FINE_WIDTH, SEMANTIC, Features
from guided_demo.core.head import Head
from guided_demo.core.problem import Labelled, Problem, statistics
from guided_demo.core.selfsupport import Found

YES, NO = torch.ones(1), torch.zeros(1)
ONE = torch.zeros(1)  # the log2 of one image


def scene(cosine: float, sure: float = 0.5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What was found in so much of the query, in its deep part `cosine` like the class, and the class."""
    torch.manual_seed(0)
    found, known = torch.randn(2, 1, SEMANTIC)
    deep = F.normalize(known[0, -DEEP:], dim=0)
    across = torch.randn(DEEP)
    across = F.normalize(across - (across @ deep) * deep, dim=0)
    found[:, -DEEP:] = 3 * (cosine * deep + (1 - cosine**2) ** 0.5 * across)
    return found, torch.tensor([sure]), known


@pytest.mark.parametrize("cosine", [-0.5, 0.0, 0.2])
def test_what_is_unlike_the_class_is_doubted_by_how_much(cosine):
    assert doubt(*scene(cosine), ONE, NO).item() == pytest.approx(WORTH * (ALIKE - cosine), rel=1e-3)


def test_what_is_like_the_class_or_marked_in_the_query_or_not_there_is_not_doubted():
    assert doubt(*scene(ALIKE + 0.01), ONE, NO).item() == 0
    assert doubt(*scene(-0.5), ONE, YES).item() == 0
    assert doubt(*scene(-0.5, sure=0), ONE, NO).item() == 0


def test_of_a_class_that_more_images_show_more_likeness_is_asked():
    images = torch.tensor([2.0]).log2()
    assert doubt(*scene(ALIKE), ONE, NO).item() == pytest.approx(0, abs=1e-4)
    assert doubt(*scene(ALIKE), images, NO).item() == pytest.approx(WORTH * MORE, rel=1e-3)
    assert doubt(*scene(ALIKE), 2 * images, NO).item() == pytest.approx(2 * WORTH * MORE, rel=1e-3)


@pytest.mark.parametrize("part", [0.1, 0.4])
def test_what_is_small_is_doubted_less(part):
    assert doubt(*scene(0.0, part * LARGE), ONE, NO).item() == pytest.approx(part * WORTH * ALIKE, rel=1e-3)


def test_classes_are_doubted_one_by_one():
    torch.manual_seed(2)
    found, known = torch.randn(2, 3, SEMANTIC)
    sure, images, shown = torch.tensor([0.5, 0.5, 0.01]), torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    parts = zip(*(x.split(1) for x in (found, sure, known, images, shown)), strict=True)
    one_by_one = [doubt(*part) for part in parts]
    assert torch.allclose(doubt(found, sure, known, images, shown), torch.cat(one_by_one))


@torch.no_grad()
def test_logits_are_lower_by_what_the_first_look_leaves_to_doubt(monkeypatch):
    torch.manual_seed(3)
    some, one = torch.ones(2), torch.ones(2, 1)
    rows = torch.randn(2, 1, SEMANTIC + DETAIL)
    images = torch.tensor([1.0, 3.0])
    stats = statistics(some, 0 * some, images, 0 * some, 0 * some)
    problem = Problem(Labelled(rows, one, one), torch.zeros(2, SEMANTIC), stats)
    maps = ((SEMANTIC, 8), (DETAIL, 16), (COARSE_WIDTH, 8), (FINE_WIDTH, 16))
    features = Features.of(*(torch.randn(2, depth, side, side) for depth, side in maps), torch.ones(3))
    network = Head().eval()
    network.first_out.bias.fill_(2.0)
    classifier = network.prepare(problem)
    _, coarse, glance = network(network.ready(features), classifier)
    found = Found.by(glance, network.ready(features))
    known = classifier.means[:, 0]
    wanted = doubt(found.means[:, 0], found.sure[:, 0], known, images.log2(), 0 * some)
    monkeypatch.setattr(head, "doubt", lambda *_: torch.zeros(2))
    assert wanted.min() > 0
    assert torch.allclose(
        network(network.ready(features), classifier)[1] - coarse, wanted[:, None, None].expand_as(coarse), atol=1e-4
    )
