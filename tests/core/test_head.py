import numpy as np
import torch

from guided_demo.core.encoder import SEMANTIC
from guided_demo.core.head import OWN, Problem, reach, solve, vote


def test_ridge_is_the_weighted_least_squares_solution():
    rng = np.random.default_rng(0)
    x, weight, sign = rng.normal(size=(9, 4)), rng.random(9), np.array([1, 1, -1, -1, 1, -1, 1, -1, 0.0])
    found = solve(*(torch.tensor(v[None], dtype=torch.float32) for v in (x, weight, sign)), torch.tensor([0.3]))[0]
    known = sign != 0
    design = np.c_[x, np.ones(9)][known]
    gram = design.T @ (design * weight[known, None]) + 0.30001 * np.eye(5)
    wanted = np.linalg.solve(gram, design.T @ (weight[known] * sign[known]))
    assert np.allclose(found.numpy(), wanted, atol=1e-4)


def test_vote_is_a_softmax_times_signs():
    torch.manual_seed(0)
    logits, sign = torch.randn(2, 5, 7) * 30, torch.tensor([[1.0, 1, -1, -1, 0]] * 2)
    wanted = (logits.softmax(1) * sign[..., None]).sum(1, keepdim=True)
    assert torch.allclose(vote(logits, sign), wanted, atol=1e-5)


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
