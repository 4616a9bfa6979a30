import numpy as np
import pytest
import torch

from guided_demo.core.encoder import GROUPS, SEMANTIC, Features, unit_length
from guided_demo.core.head import OWN, RANGES, Head
from guided_demo.core.problem import MOST_PIXELS, Labelled, Problem, statistics
from guided_demo.core.selfsupport import CELL, LEAST, MARKED, as_support, margins, second_stats

NOTHING_MARKED = torch.zeros(1)


def stats_of(shots: float) -> torch.Tensor:
    some = torch.tensor([7.0])
    return statistics(some, some, torch.tensor([shots]), torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize("size", [(16, 24), (12, 20)])
def test_exemplars_are_the_means_of_cells_weighted_by_certainty(size):
    torch.manual_seed(0)
    semantic, glance = torch.randn(1, 6, *size), torch.randn(1, *size) * 4
    found, share = as_support(semantic, glance, stats_of(1), NOTHING_MARKED)
    probability = glance[0].sigmoid().numpy()
    rows = {1: [], -1: []}
    weights = {1: [], -1: []}
    for top in range(0, size[0], CELL):
        for left in range(0, size[1], CELL):
            box = np.s_[top : top + CELL, left : left + CELL]
            for side in (1, -1):
                sure = np.maximum(side * (2 * probability[box] - 1), 0) ** 2
                pixels = semantic[0].numpy()[:, box[0], box[1]]
                rows[side].append((pixels * sure).sum((1, 2)) / sure.sum())
                weights[side].append(sure.sum())
    for side in (1, -1):
        chosen = found.sign[0] == side
        assert np.allclose(found.rows[0][chosen].numpy(), rows[side], atol=1e-4)
        assert np.allclose(found.weight[0][chosen].numpy(), np.array(weights[side]) / sum(weights[side]), atol=1e-5)
    assert share.item() == pytest.approx(0.5)  # one image among two


@pytest.mark.parametrize("value", [-30.0, 30.0, 0.0])
def test_a_query_without_either_side_supports_nothing(value):
    glance = torch.full((1, 8, 8), value)
    found, share = as_support(torch.randn(1, 6, 8, 8), glance, stats_of(1), NOTHING_MARKED)
    assert share.item() == 0 and not found.sign.any()
    assert torch.equal(second_stats(stats_of(1), share), stats_of(1))


def test_a_cell_that_is_hardly_sure_is_no_exemplar():
    glance = torch.full((1, 8, 24), 2 * np.arctanh(LEAST**0.5 * 0.9))
    glance[..., :8], glance[..., 16:] = 2.0, -2.0
    found, _ = as_support(torch.randn(1, 6, 8, 24), glance, stats_of(1), NOTHING_MARKED)
    assert found.sign[0].reshape(3, 2).tolist() == [[1, 0], [0, 0], [0, -1]]
    glance[..., 8:16] = 2 * np.arctanh(LEAST**0.5 * 1.1)
    found, _ = as_support(torch.randn(1, 6, 8, 24), glance, stats_of(1), NOTHING_MARKED)
    assert found.sign[0].reshape(3, 2).tolist() == [[1, 0], [1, 0], [0, -1]]


def test_a_query_that_supports_counts_as_one_more_image_wholly_annotated():
    some = torch.tensor([7.0, 7.0])
    told = statistics(some, some, torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    more = second_stats(told, torch.tensor([0.1, 0.0]))
    every = torch.tensor([float(MOST_PIXELS)])
    wanted = statistics(every, every, torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([0.0]))
    assert torch.allclose(more[:1], wanted) and torch.equal(more[1:], told[1:])


def test_classes_of_one_image_compete():
    glance = torch.tensor([[[3.0, 2.0, -1.0]], [[1.0, 2.5, -2.0]]])
    assert torch.allclose(margins(glance), torch.tensor([[[2.0, -0.5, -1.0]], [[-2.0, 0.5, -2.0]]]))
    assert torch.equal(margins(glance[:1]), glance[:1])


def test_more_images_leave_the_query_a_smaller_share():
    glance = torch.linspace(-5, 5, 64).reshape(1, 8, 8)
    shares = [as_support(torch.randn(1, 6, 8, 8), glance, stats_of(shots), NOTHING_MARKED)[1].item() for shots in (1, 2, 5)]
    assert shares == pytest.approx([1 / 2, 1 / 3, 1 / 6])


def test_the_more_is_marked_in_the_query_the_smaller_the_share_of_what_is_found_there():
    glance = torch.linspace(-5, 5, 64).reshape(1, 8, 8).expand(4, -1, -1)
    marked = torch.tensor([0.0, MARKED, 3 * MARKED, 1e6])
    _, share = as_support(torch.randn(4, 6, 8, 8), glance, stats_of(1).expand(4, -1), marked)
    assert share.tolist() == pytest.approx([1 / 2, 1 / 4, 1 / 8, 0], abs=1e-4)


def two_clusters() -> tuple[Features, Problem, torch.Tensor]:
    """A query with a thing on its left half, guidance that knows it only faintly, and a first look that found half of it."""
    torch.manual_seed(1)
    thing, rest, faint = torch.randn(3, SEMANTIC).unbind()
    semantic = rest[None, :, None, None].repeat(1, 1, 8, 8)
    semantic[..., :4] = thing[None, :, None, None]
    semantic = torch.cat([unit_length(part) for part in (semantic + 0.1 * torch.randn_like(semantic)).split(GROUPS, 1)], 1)
    features = Features(semantic, torch.zeros(1, 32, 16, 16), torch.zeros(1, 48, 8, 8), torch.zeros(1, 24, 16, 16))
    rows = torch.stack([0.3 * thing + 0.7 * faint, rest])[None]
    sides = torch.tensor([[1.0, -1.0]]), torch.ones(1, 2)
    problem = Problem(Labelled(rows, *sides), Labelled(torch.zeros(1, 2, 32), *sides), torch.zeros(1, SEMANTIC), stats_of(1))
    glance = torch.full((1, 8, 8), -4.0)
    glance[..., :2] = 4.0
    return features, problem, glance


@torch.no_grad()
def test_what_a_first_look_is_sure_of_pulls_the_rest_of_the_same_thing_along():
    features, problem, glance = two_clusters()
    head = Head().eval()
    classifier = head.prepare(problem)
    pixels = features.semantic.flatten(2)
    first = classifier.semantic.scores(pixels)[0, 0].reshape(8, 8)
    second = head.second(classifier, features, glance, torch.zeros(1, OWN, 16, 16)).scores(pixels)[0, 0].reshape(8, 8)
    assert (second[:, 2:4] > first[:, 2:4]).all()  # the other half, by the ridge regression


@torch.no_grad()
def test_what_counts_as_marked_is_the_side_with_fewer_marks():
    features, problem, glance = two_clusters()
    head = Head().eval()
    classifier = head.prepare(problem)

    def mean_of_the_class(cells: int, others: int) -> torch.Tensor:
        own = torch.rand(1, OWN, 16, 16) * 0.9
        for first, count in ((0, cells), (len(RANGES), others)):
            own[:, first].flatten()[:count] = 1
        return head.second(classifier, features, glance, own).groups[0].rows[0, -3]

    few, many = mean_of_the_class(5, 90), mean_of_the_class(90, 40)
    known = classifier.semantic.groups[0].rows[0, -3]
    assert torch.equal(mean_of_the_class(90, 5), few) and torch.equal(mean_of_the_class(0, 90), mean_of_the_class(0, 0))
    assert (many - known).norm() < (few - known).norm()  # the second look says less new where much is marked
