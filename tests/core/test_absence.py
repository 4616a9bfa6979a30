import pytest
import torch
import torch.nn.functional as F

from guided_demo.core import head
from guided_demo.core.absence import ALIKE, DEEP, LARGE, MORE, WORTH, doubt
from guided_demo.core.encoder import COARSE_WIDTH, DETAIL, FINE_WIDTH, SEMANTIC, Features
from guided_demo.core.head import Head
from guided_demo.core.problem import Labelled, Problem, statistics

YES, NO = torch.ones(1), torch.zeros(1)
ONE = torch.zeros(1)  # the log2 of one image


def scene(cosine: float, share: float = 0.5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A query of 20x20 whose left `share` was found for certain and is, in its deep part, `cosine` like the class."""
    torch.manual_seed(0)
    known = torch.randn(1, SEMANTIC)
    deep = F.normalize(known[0, -DEEP:], dim=0)
    across = torch.randn(DEEP)
    across = F.normalize(across - (across @ deep) * deep, dim=0)
    semantic = torch.randn(1, SEMANTIC, 20, 20)
    columns = round(20 * share)
    semantic[:, -DEEP:, :, :columns] = (cosine * deep + (1 - cosine**2) ** 0.5 * across)[:, None, None]
    glance = torch.full((1, 20, 20), -20.0)
    glance[..., :columns] = 20.0
    return semantic, glance, known


@pytest.mark.parametrize("cosine", [-0.5, 0.0, 0.2])
def test_what_is_unlike_the_class_is_doubted_by_how_much(cosine):
    assert doubt(*scene(cosine), ONE, NO).item() == pytest.approx(WORTH * (ALIKE - cosine), rel=1e-3)


def test_what_is_like_the_class_or_marked_in_the_query_or_not_there_is_not_doubted():
    semantic, glance, known = scene(ALIKE + 0.01)
    assert doubt(semantic, glance, known, ONE, NO).item() == 0
    semantic, glance, known = scene(-0.5)
    assert doubt(semantic, glance, known, ONE, YES).item() == 0
    assert doubt(semantic, glance.new_full(glance.shape, -9.0), known, ONE, NO).item() == 0


def test_of_a_class_that_more_images_show_more_likeness_is_asked():
    images = torch.tensor([2.0]).log2()
    assert doubt(*scene(ALIKE), ONE, NO).item() == pytest.approx(0, abs=1e-4)
    assert doubt(*scene(ALIKE), images, NO).item() == pytest.approx(WORTH * MORE, rel=1e-3)
    assert doubt(*scene(ALIKE), 2 * images, NO).item() == pytest.approx(2 * WORTH * MORE, rel=1e-3)


def test_what_is_small_is_doubted_less():
    small = doubt(*scene(0.0, share=0.05), ONE, NO).item()
    assert small == pytest.approx(WORTH * ALIKE * 0.05 / LARGE, rel=1e-3)
    semantic, glance, known = scene(0.0)
    glance[:, 4:], glance[:, :, 2:] = -20.0, -20.0  # 8 of 400 places
    assert doubt(semantic, glance, known, ONE, NO).item() == pytest.approx(WORTH * ALIKE * 0.02 / LARGE, rel=1e-3)


def test_every_place_counts_by_the_square_of_how_sure_it_is():
    torch.manual_seed(1)
    semantic, glance, known = torch.randn(1, SEMANTIC, 6, 7), torch.randn(1, 6, 7) * 3, torch.randn(1, SEMANTIC)
    found, sure = torch.zeros(DEEP), 0.0
    for y in range(6):
        for x in range(7):
            weight = max(0.0, 2 * float(glance[0, y, x].sigmoid()) - 1) ** 2
            found += weight * semantic[0, -DEEP:, y, x]
            sure += weight / 42
    cosine = float(F.cosine_similarity(found, known[0, -DEEP:], dim=0))
    wanted = WORTH * max(0.0, ALIKE - cosine) * min(1.0, sure / LARGE)
    assert wanted > 0 and doubt(semantic, glance, known, ONE, NO).item() == pytest.approx(wanted, rel=1e-4)


def test_classes_that_share_a_query_are_doubted_one_by_one():
    torch.manual_seed(2)
    semantic, glance, known = torch.randn(1, SEMANTIC, 8, 8), torch.randn(3, 8, 8) * 4, torch.randn(3, SEMANTIC)
    images, shown = torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    parts = zip(*(x.split(1) for x in (glance, known, images, shown)), strict=True)
    one_by_one = [doubt(semantic, *part) for part in parts]
    assert torch.allclose(doubt(semantic, glance, known, images, shown), torch.cat(one_by_one))


@torch.no_grad()
def test_logits_are_lower_by_what_the_first_look_leaves_to_doubt(monkeypatch):
    torch.manual_seed(3)
    some, one = torch.ones(2), torch.ones(2, 1)
    rows = torch.randn(2, 1, SEMANTIC)
    images = torch.tensor([1.0, 3.0])
    stats = statistics(some, 0 * some, images, 0 * some, 0 * some)
    problem = Problem(Labelled(rows, one, one), Labelled(torch.randn(2, 1, DETAIL), one, one), torch.zeros(2, SEMANTIC), stats)
    maps = ((SEMANTIC, 8), (DETAIL, 16), (COARSE_WIDTH, 8), (FINE_WIDTH, 16))
    features = Features(*(torch.randn(2, depth, side, side) for depth, side in maps))
    network = Head().eval()
    network.coarse_out.bias.fill_(2.0)
    classifier = network.prepare(problem)
    _, coarse, glance = network(features, classifier)
    wanted = doubt(features.semantic, glance, rows[:, 0], images.log2(), 0 * some)
    monkeypatch.setattr(head, "doubt", lambda *_: torch.zeros(2))
    assert wanted.min() > 0
    assert torch.allclose(network(features, classifier)[1] - coarse, wanted[:, None, None].expand_as(coarse), atol=1e-4)
