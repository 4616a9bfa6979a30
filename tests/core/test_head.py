import numpy as np
import torch

from guided_demo.core.encoder import SEMANTIC
from guided_demo.core.head import OWN, Problem, reach
from guided_demo.core.scores import Sides, solve


def test_ridge_is_the_weighted_least_squares_solution():
    rng = np.random.default_rng(0)
    x, weight, sign = rng.normal(size=(9, 4)), rng.random(9), np.array([1, 1, -1, -1, 1, -1, 1, -1, 0.0])
    found = solve(*(torch.tensor(v[None], dtype=torch.float32) for v in (x, weight, sign)), torch.tensor([0.3]))[0]
    known = sign != 0
    design = np.c_[x, np.ones(9)][known]
    gram = design.T @ (design * weight[known, None]) + 0.30001 * np.eye(5)
    wanted = np.linalg.solve(gram, design.T @ (weight[known] * sign[known]))
    assert np.allclose(found.numpy(), wanted, atol=1e-4)


def test_either_form_of_the_ridge_is_the_same():
    torch.manual_seed(0)
    x, weight, sign = torch.randn(2, 30, 8), torch.rand(2, 30), torch.randn(2, 30).sign()
    some = weight * (torch.arange(30) < 7)
    assert torch.allclose(
        solve(x, some, sign, torch.ones(2)), solve(x[:, :7], weight[:, :7], sign[:, :7], torch.ones(2)), atol=1e-4
    )


def test_sides_compare_with_their_own_exemplars_only():
    torch.manual_seed(0)
    sign = torch.tensor([[1.0, -1, 0, 1, -1], [-1, -1, 1, 0, 0]])
    logits = torch.randn(2, 7, 5) * 30
    sides = Sides.of(sign)
    sorted_ = sides.rows(logits.transpose(1, 2)).transpose(1, 2)
    own, other = sides.largest(sorted_)
    for b in range(2):
        assert torch.equal(own[b, :, 0], logits[b][:, sign[b] > 0].amax(1))
        assert torch.equal(other[b, :, 0], logits[b][:, sign[b] < 0].amax(1))
        share = logits[b].masked_fill(sign[b] == 0, -torch.inf).softmax(1)
        assert torch.allclose(sides.vote(sorted_)[b, :, 0], (share * sign[b]).sum(1), atol=1e-5)


def test_reach_stays_within_what_is_connected_to_the_marks():
    coarse = torch.full((1, 1, 8, 20), -20.0)
    coarse[..., 2:5, 1:8] = 20
    coarse[..., 2:5, 12:18] = 20
    own = torch.zeros(1, OWN, 16, 40)
    own[:, 0, 6, 4] = 1
    found = reach(coarse, own)[0, 0]
    assert (found[2:5, 1:8] > 0.99).all() and (found[2:5, 12:18] < 0.01).all() and found[7, 19] < 0.01


def test_a_thinned_problem_keeps_what_each_side_weighs():
    weight = torch.tensor([[0.5, 0.25, 0.25, 0.7, 0.3]])
    sign = torch.tensor([[1.0, 1, 1, -1, -1]])
    full = Problem(torch.zeros(1, 5, SEMANTIC), torch.zeros(1, 5, 1), sign, weight, torch.zeros(1), torch.zeros(1))
    thin = full.take(torch.tensor([0, 2, 4]))
    assert torch.allclose((thin.weight * (thin.sign > 0)).sum(), torch.tensor(1.0))
    assert torch.allclose((thin.weight * (thin.sign < 0)).sum(), torch.tensor(1.0))
