from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from guided_demo.core import scores
from guided_demo.core.encoder import COARSE_WIDTH, DETAIL, FINE_WIDTH, GROUPS, SEMANTIC, Features
from guided_demo.core.head import OWN, Head, reach
from guided_demo.core.problem import STATS, Labelled, Problem, statistics
from guided_demo.core.scores import Sides, Sums, compare, normalize


def labelled(rows, sign, weight) -> Labelled:
    return Labelled(*(torch.as_tensor(v, dtype=torch.float32)[None] for v in (rows, sign, weight)))


def with_one(pixels: torch.Tensor) -> torch.Tensor:
    """(B, D, pixels), and 1 for each, as a query has them."""
    return torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)


def test_sums_are_the_means_and_the_weighted_least_squares_solutions():
    rng = np.random.default_rng(0)
    x, weight, sign = rng.normal(size=(9, SEMANTIC + DETAIL)), rng.random(9), np.array([1, 1, -1, -1, 1, -1, 1, -1, 0.0])
    sums = Sums.of(labelled(x, sign, weight))
    sides = [np.where(sign == s, weight, 0) / weight[sign == s].sum() for s in (1, -1)]
    assert np.allclose(sums.means[0].numpy(), [side @ x[:, :SEMANTIC] for side in sides], atol=1e-6)
    share = sides[0] + sides[1]
    for found, design in (
        (sums.semantic_ridge(torch.tensor([0.3])), np.c_[x[:, :SEMANTIC], np.ones(9)]),
        (sums.detail_ridge(torch.tensor([0.3])), np.c_[np.ones(9), x[:, SEMANTIC:]]),
    ):
        gram = design.T @ (design * share[:, None]) + 0.30001 * np.eye(design.shape[1])
        assert np.allclose(found[0].numpy(), np.linalg.solve(gram, design.T @ (share * sign)), atol=1e-4)


@pytest.mark.parametrize("sets", [1, 5])
def test_many_classes_are_summed_up_a_few_at_a_time(monkeypatch, sets):
    torch.manual_seed(0)
    many = Labelled(torch.randn(sets, 30, SEMANTIC + DETAIL), torch.randn(5, 30).sign(), torch.rand(5, 30))
    together = Sums.of(many)
    monkeypatch.setattr(scores, "AT_ONCE", 2 * 30 * (SEMANTIC + 1 + DETAIL))
    assert torch.allclose(Sums.of(many).gram, together.gram, atol=1e-6)


def test_sides_compare_with_their_own_exemplars_only():
    torch.manual_seed(0)
    sign = torch.tensor([[1.0, -1, 0, 1, -1], [-1, -1, 1, 0, 0]])
    logits = torch.randn(2, 5, 7)
    weight = torch.rand(2, 5)
    sides = Sides.of(Labelled(logits, sign, weight))
    sorted_ = sides.rows(logits)
    largest, vote = sides.largest(sorted_), sides.vote(sorted_.clone())
    for b in range(2):
        assert torch.equal(largest[b, 0, 0], logits[b][sign[b] > 0].amax(0))
        assert torch.equal(largest[b, 0, 1], logits[b][sign[b] < 0].amax(0))
        share = (logits[b] + weight[b, :, None].log()).masked_fill(sign[b, :, None] == 0, -torch.inf).softmax(0)
        assert torch.allclose(vote[b, 0, 0], (share * sign[b, :, None]).sum(0), atol=1e-5)


@torch.no_grad()
def test_classes_that_share_their_exemplars_are_told_apart_as_each_alone_would_be():
    torch.manual_seed(0)
    head = Head().eval()
    owner = torch.tensor([2, 0, 3, 1, 0, 2, 3, 1, 1, 3])  # three classes, and 3 for the background
    sign = torch.where(owner == torch.arange(3)[:, None], 1.0, -1.0)
    sides = sign, torch.rand(3, 10)
    some = torch.rand(3) * 9
    stats = statistics(some, some, 1 + some, torch.zeros(3), torch.zeros(3))
    rows = torch.cat([normalize(torch.randn(1, 10, SEMANTIC)), torch.randn(1, 10, DETAIL)], -1)
    together = Problem(Labelled(rows, *sides), torch.randn(1, SEMANTIC) / 20, stats)
    sets = replace(together.exemplars, rows=rows.expand(3, -1, -1))
    apart = replace(together, exemplars=sets, centre=together.centre.expand(3, -1))
    one, each = head.prepare(together), head.prepare(apart)
    assert len(one.semantic[0].rows) == 1 and len(each.semantic[0].rows) == 3
    pixels, colours = normalize(torch.randn(1, 40, SEMANTIC)).transpose(1, 2), torch.randn(1, DETAIL, 40)
    first, *others = pixels.split(GROUPS, 1)
    for query, a, b in ((first, one.semantic[0], each.semantic[0]), (torch.cat(others), one.semantic[1], each.semantic[1])):
        query = with_one(query)
        for x, y in zip(a.scores(query), b.scores(query.repeat(3, 1, 1)), strict=True):
            assert torch.allclose(x, y.unflatten(0, (3, -1)).transpose(0, 1)[:, :, 0], atol=1e-4)
    square, colours = torch.rand(1, 1, 40), with_one(colours)
    apart_too = each.detail.scores(colours.expand(3, -1, -1), square.expand(3, -1, -1))
    assert torch.allclose(one.detail.scores(colours, square), apart_too, atol=1e-4)


def test_reach_stays_within_what_is_connected_to_the_marks():
    logits = torch.full((1, 1, 8, 20), -20.0)
    logits[..., 2:5, 1:8] = 20
    logits[..., 2:5, 12:18] = 20
    own = torch.zeros(1, OWN, 32, 80)
    assert not reach(logits, own).any()
    own[:, 0, 12, 8] = 1
    found = reach(logits, own)[0, 0]
    assert (found[2:5, 1:8] > 0.99).all() and (found[2:5, 12:18] < 0.01).all() and found[7, 19] < 0.01


def test_reach_is_the_best_paths_weakest_step():
    torch.manual_seed(0)
    logits, own = 2 * torch.randn(2, 1, 6, 9), torch.zeros(2, OWN, 24, 36)
    own[0, 0, 5, 7] = own[1, 0, 22, 30] = own[1, 0, 0, 0] = 1
    found = reach(logits, own)[:, 0]
    for map_, marks, reached in zip(logits[:, 0].double().sigmoid(), own[:, 0], found, strict=True):
        seeds = {(y // 4, x // 4) for y, x in marks.nonzero().tolist()}
        best = dict.fromkeys(seeds, 1.0)
        front = list(seeds)
        while front:  # Dijkstra, the surest place first
            y, x = front.pop(max(range(len(front)), key=lambda i: best[front[i]]))
            for near in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                if 0 <= near[0] < 6 and 0 <= near[1] < 9:
                    step = min(best[y, x], map_[near].item())
                    if step > best.get(near, 0.0):
                        best[near] = step
                        front.append(near)
        for place, value in best.items():
            assert abs(reached[place].item() - value) < 1e-6


def test_thinned_exemplars_keep_what_each_side_weighs():
    thin = labelled(torch.zeros(6, 3), [1.0, 1, 1, -1, -1, 0], [0.5, 0.25, 0.75, 0.7, 0.1, 0.3]).take(torch.tensor([0, 2, 4, 5]))
    assert torch.allclose(thin.weight[0], torch.tensor([0.5 / 1.25 * 1.5, 0.75 / 1.25 * 1.5, 0.8, 0.3]))


@torch.no_grad()
def test_semantics_are_compared_by_cosines_and_vote_by_cosines_about_the_mean_of_the_support():
    torch.manual_seed(0)
    exemplars, means, query = (normalize(torch.randn(n, SEMANTIC)) for n in (6, 2, 9))
    centre, sharpness, ridge = torch.randn(SEMANTIC) / 20, torch.tensor([5.0, 3.0, 7.0]), torch.randn(1, SEMANTIC + 1)
    sign, weight = torch.tensor([1.0, 1, -1, -1, -1, -1]), torch.tensor([0.4, 0.6, 0.1, 0.2, 0.3, 0.4])
    sides = Sides.of(labelled(exemplars, sign, weight))
    near, wide = compare(sides, sides.rows(exemplars[None]), means[None], ridge, centre[None], sharpness)
    first, *others = query.T[None].split(GROUPS, 1)
    solved, found = (
        torch.cat(parts) for parts in zip(near.scores(with_one(first)), wide.scores(with_one(torch.cat(others))), strict=True)
    )
    assert torch.allclose(solved.sum((0, 1, 2)), query @ ridge[0, :-1] + ridge[0, -1], atol=1e-4)
    for group, (e, m, q, c) in enumerate(zip(*(x.split(GROUPS, -1) for x in (exemplars, means, query, centre)), strict=True)):
        cosine = e @ q.T
        about = F.cosine_similarity((e - c)[:, None], (q - c)[None], dim=-1)
        share = (sharpness[group] * about + weight[:, None].log()).softmax(0)
        wanted = [m @ q.T, cosine[:2].amax(0)[None], cosine[2:].amax(0)[None], (share * sign[:, None]).sum(0)[None]]
        assert torch.allclose(found[group, 0], torch.cat(wanted), atol=1e-4)


@torch.no_grad()
def test_detail_is_compared_by_distances_in_learned_units():
    torch.manual_seed(0)
    head = Head().eval()
    head.detail_scale.copy_(torch.randn(DETAIL) * 0.5)
    rows, query = torch.randn(1, 5, SEMANTIC + DETAIL), torch.randn(1, DETAIL, 14) * 0.5
    query[..., 7:] *= 6  # far from all exemplars
    sign = torch.tensor([[1.0, 1, -1, -1, -1]])
    weight = torch.tensor([[0.5, 0.5, 0.2, 0.3, 0.5]])
    some, none = torch.tensor([3.0]), torch.zeros(1)
    stats = statistics(some, some, some, none, none)
    classifier = head.prepare(Problem(Labelled(rows, sign, weight), torch.zeros(1, SEMANTIC), stats)).detail
    ridge, vote, near, far = classifier.scores(with_one(query), ((query[0].T * head.detail_scale.exp()) ** 2).sum(1)[None, None])[
        0
    ]
    scale, world = head.detail_scale.exp(), torch.exp(head.trust(stats)[0, 2] - 2) / len(head.world_detail)
    every = torch.cat([rows[0, :, SEMANTIC:], head.world_detail]) * scale
    square = torch.cdist(every, query[0].T * scale) ** 2
    share = torch.cat([weight[0], world.expand(len(head.world_detail))])
    votes = (share.log()[:, None] - square).softmax(0)
    assert torch.allclose(vote, 2 * votes[:2].sum(0) - 1, atol=1e-4)
    assert torch.allclose(near, torch.exp(-0.25 * square[:2].amin(0)), atol=1e-4)
    assert torch.allclose(far, torch.exp(-0.25 * square[2:].amin(0)), atol=1e-4)
    sides = torch.cat([sign[0], -torch.ones(len(head.world_detail))])
    whole = torch.cat([torch.zeros(len(every), SEMANTIC), every], -1)
    solution = Sums.of(labelled(whole, sides, share)).detail_ridge(torch.exp(head.trust(stats)[:, 1] - 2))[0]
    assert torch.allclose(ridge, solution[1:] @ (query[0] * scale[:, None]) + solution[0], atol=1e-4)


@torch.no_grad()
def test_the_learned_negatives_weigh_the_same_whichever_exemplars_are_compared():
    torch.manual_seed(0)
    head = Head().eval()
    exemplars = labelled(torch.randn(6, SEMANTIC + DETAIL), [1, 1, -1, -1, -1, -1], [0.5, 0.5, 0.1, 0.2, 0.3, 0.4])
    problem = Problem(exemplars, torch.zeros(1, SEMANTIC), torch.ones(1, STATS), torch.tensor([0, 1, 4]))
    every, shown = head._with_world(problem, head.trust(problem.stats))
    assert torch.equal(every.weight[:, 6:], shown.weight[:, 3:]) and torch.equal(every.rows[:, 6:], shown.rows[:, 3:])
    assert torch.allclose(shown.weight[0, :3], torch.tensor([0.5, 0.5, 1.0])) and torch.equal(shown.rows[:, 2], every.rows[:, 4])


def features_of(count: int) -> Features:
    maps = ((SEMANTIC, 8), (DETAIL, 16), (COARSE_WIDTH, 8), (FINE_WIDTH, 16))
    semantic, *others = (torch.randn(count, depth, side, side) for depth, side in maps)
    return Features.of(normalize(semantic.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), *others, torch.ones(3))


def guided(head: Head, count: int, sets: int) -> tuple[Problem, torch.Tensor]:
    """`count` classes or queries of some marks, told apart by so many sets of exemplars, and marks on the queries."""
    for conv in (head.again_in, head.again_out, head.fine_out):
        torch.nn.init.normal_(conv.weight, std=0.3)
    rows = torch.cat([normalize(torch.randn(sets, 8, SEMANTIC)), torch.randn(sets, 8, DETAIL)], -1)
    sign = torch.where(torch.arange(8) // 2 == torch.arange(count)[:, None], 1.0, -1.0)
    some, none = 1 + 9 * torch.rand(count), torch.zeros(count)
    exemplars, stats = Labelled(rows, sign, torch.rand(count, 8)), statistics(some, some, some, none, none)
    return Problem(exemplars, torch.randn(sets, SEMANTIC) / 20, stats), (torch.rand(count, OWN, 16, 16) > 0.98).float()


def assert_same(outputs, wanted, atol: float = 1e-4) -> None:
    for one, other in zip(outputs, wanted, strict=True):
        assert torch.allclose(one, other, atol=atol)


@torch.no_grad()
def test_queries_of_a_batch_are_segmented_as_each_alone():
    torch.manual_seed(0)
    head = Head().eval()
    features, (problem, own) = features_of(3), guided(head, 3, 3)
    together = head(head.ready(features), head.prepare(problem), own)
    for i in range(3):
        part = slice(i, i + 1)
        exemplars = Labelled(*(x[part] for x in vars(problem.exemplars).values()))
        alone = head.prepare(Problem(exemplars, problem.centre[part], problem.stats[part]))
        one = head.ready(features.map(lambda t, part=part: t[part]))
        assert_same(head(one, alone, own[part]), [x[part] for x in together])


@torch.no_grad()
def test_classes_of_an_image_are_segmented_as_each_alone_but_that_they_compete(monkeypatch):
    monkeypatch.setattr("guided_demo.core.head.margins", lambda glance: glance)
    torch.manual_seed(0)
    head = Head().eval()
    features, (problem, own) = features_of(1), guided(head, 3, 1)
    together = head(head.ready(features), head.prepare(problem), own)
    for i in range(3):
        part = slice(i, i + 1)
        exemplars = Labelled(problem.exemplars.rows, problem.exemplars.sign[part], problem.exemplars.weight[part])
        alone = head.prepare(Problem(exemplars, problem.centre, problem.stats[part]))
        assert_same(head(head.ready(features), alone, own[part]), [x[part] for x in together])


def test_outputs_are_the_same_when_training_and_everything_learns():
    torch.manual_seed(0)
    head = Head()
    features, (problem, own) = features_of(3), guided(head, 3, 3)
    outputs = head(head.ready(features), head.prepare(problem), own)
    with torch.no_grad():
        assert_same(head(head.ready(features), head.prepare(problem), own), outputs, 1e-5)
    sum(output.square().mean() for output in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_far_more_annotation_than_in_training_is_told_as_much():
    many, more, none = torch.tensor([1e3]), torch.tensor([1e6]), torch.zeros(1)
    assert torch.equal(statistics(many, many, torch.tensor([5.0]), none, none), statistics(more, more, more, none, none))
