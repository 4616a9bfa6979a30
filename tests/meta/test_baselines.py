"""Baselines against their definitions, written out with loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from guided_demo import InputError
from guided_demo.meta import baselines
from guided_demo.meta.registry import REGISTRY, build

C = 6


class Pooled(nn.Module):
    """A tiny encoder: a linear map of 8x8 cells' mean colours."""

    def __init__(self, channels=C):
        super().__init__()
        self.linear = nn.Conv2d(3, channels, 1)
        nn.init.normal_(self.linear.weight, std=3, generator=torch.Generator().manual_seed(5))

    def forward(self, images):
        return self.linear(F.avg_pool2d(images, 8))


def ready():
    torch.manual_seed(0)
    base = baselines.ForegroundBackground(Pooled(), C)
    return {
        "concatenation": baselines.Concatenation(Pooled(), C),
        "prototype": baselines.Prototype(Pooled()),
        "nearest": baselines.NearestNeighbour(Pooled()),
        "ridge": baselines.Ridge(Pooled()),
        "regression": baselines.ParameterRegression(Pooled(), C),
        "foreground": base,
        "tuned": baselines.FineTuned(base, 3, 1e-2, whole=False).eval(),
        "supervised": baselines.FineTuned(base, 3, 1e-2, whole=True).eval(),
        "forest": baselines.PixelForest(trees=5),
        "forest-features": baselines.PixelForest(Pooled(), trees=5),
    }


GUIDED = ("concatenation", "prototype", "nearest", "ridge", "regression")


def task(batch=2, shots=2):
    generator = torch.Generator().manual_seed(1)
    support = torch.rand(batch, shots, 3, 32, 64, generator=generator)
    query = torch.rand(batch, 3, 64, 32, generator=generator)
    annotation = torch.zeros(batch, shots, 2, 32, 64)
    annotation[:, 0, 0, 10, 12:30] = 1
    annotation[:, 0, 1, 30, 40:44] = 1
    annotation[:, 1, 0, 5, 60] = 1
    return support, annotation, query


def cells(network, support, annotation):
    """Features and weights of the annotated cells of one task: lists by sign of (feature, weight of the cell)."""
    found = ([], [])
    features = network.encoder(support)
    for sign in range(2):
        images = [i for i in range(len(support)) if annotation[i, sign].any()]
        for i in images:
            total = annotation[i, sign].sum()
            for y in range(features.shape[2]):
                for x in range(features.shape[3]):
                    share = annotation[i, sign, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8].sum() / total / len(images)
                    if share > 0:
                        found[sign].append((features[i, :, y, x], share))
    return found


@pytest.mark.parametrize("name", ready())
def test_shape_finiteness_and_indifference_to_unannotated_images(name):
    network = ready()[name]
    support, annotation, query = task()
    expected = network(support, annotation, query)
    assert expected.shape == (2, 64, 32) and expected.isfinite().all()
    more = torch.cat([support, torch.rand(2, 1, 3, 32, 64)], dim=1)
    empty = torch.cat([annotation, torch.zeros(2, 1, 2, 32, 64)], dim=1)
    if "tuned" in name or "supervised" in name or "forest" in name:
        more, empty = support, annotation  # optimised or sampled: only equal input gives equal output
    assert torch.allclose(network(more, empty, query), expected, atol=1e-4)


@pytest.mark.parametrize("name", ready())
def test_without_any_annotation_or_with_one_side_only_it_is_finite(name):
    network = ready()[name]
    support, annotation, query = task()
    for sign in range(2):
        annotation[:, :, sign] = 0
        logits = network(support, annotation, query)
        assert logits.isfinite().all()
        if logits.requires_grad:
            logits.sum().backward()
            assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_prototype_is_the_cosine_to_the_means():
    network, (support, annotation, query) = ready()["prototype"], task()
    with torch.no_grad():
        logits = network(support, annotation, query)
        for b in range(2):
            mean = [sum(w * f for f, w in side) for side in cells(network, support[b], annotation[b])]
            asked = network.encoder(query[b : b + 1])
            score = [F.cosine_similarity(asked, m.view(1, -1, 1, 1)) for m in mean]
            expected = network.log_temperature.exp() * (score[0] - score[1])
            assert torch.allclose(logits[b], F.interpolate(expected[None], (64, 32), mode="bilinear")[0, 0], atol=1e-4)


def test_nearest_neighbour_is_the_best_cosine_to_an_annotated_cell():
    network, (support, annotation, query) = ready()["nearest"], task()
    with torch.no_grad():
        logits = network(support, annotation, query)
        for b in range(2):
            asked = network.encoder(query[b : b + 1])
            score = [
                torch.stack([F.cosine_similarity(asked, f.view(1, -1, 1, 1)) for f, _ in side]).amax(0)
                for side in cells(network, support[b], annotation[b])
            ]
            expected = network.log_temperature.exp() * (score[0] - score[1])
            assert torch.allclose(logits[b], F.interpolate(expected[None], (64, 32), mode="bilinear")[0, 0], atol=1e-4)


def test_ridge_is_the_weighted_least_squares_solution():
    network, (support, annotation, query) = ready()["ridge"], task()
    with torch.no_grad():
        logits = network(support, annotation, query)
        for b in range(2):
            positive, negative = cells(network, support[b], annotation[b])
            x = torch.stack([torch.cat([F.normalize(f, dim=0), torch.ones(1)]) for f, _ in positive + negative]).double()
            w = torch.stack([weight for _, weight in positive + negative]).double()
            y = torch.tensor([1.0] * len(positive) + [-1.0] * len(negative)).double()
            # least squares on rows scaled by the root of their weight, with the penalty as further rows
            rows = torch.cat([x * w.sqrt()[:, None], network.log_penalty.exp().sqrt() * torch.eye(C + 1).double()])
            targets = torch.cat([y * w.sqrt(), torch.zeros(C + 1).double()])
            solution = torch.from_numpy(np.linalg.lstsq(rows.numpy(), targets.numpy(), rcond=None)[0]).float()
            asked = F.normalize(network.encoder(query[b : b + 1]), dim=1)[0]
            score = torch.einsum("chw,c->hw", asked, solution[:-1]) + solution[-1]
            expected = F.interpolate((network.scale * score + network.shift)[None, None], (64, 32), mode="bilinear")[0, 0]
            assert torch.allclose(logits[b], expected, atol=1e-3)


def test_ridge_solves_several_tasks_as_wide_as_the_encoder_at_once():
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # batched LU decomposition of this size fails with two threads on some CPUs
    try:
        network, tasks = baselines.Ridge(Pooled(192)), task()
        with torch.no_grad():
            one_by_one = torch.cat([network(*(part[b : b + 1] for part in tasks)) for b in range(2)])
            assert torch.allclose(network(*tasks), one_by_one, atol=1e-3)
    finally:
        torch.set_num_threads(before)


def test_foreground_background_ignores_the_support():
    network, (support, annotation, query) = ready()["foreground"], task()
    assert torch.equal(network(support, annotation, query), network(1 - support, annotation.flip(2), query))


@pytest.mark.parametrize("name", ("tuned", "supervised", "forest", "forest-features", "prototype", "nearest", "ridge"))
def test_two_colours_are_told_apart(name):
    """Red is the class, blue the rest: what matches, solves or tunes must say so on another image."""
    red, blue = (torch.tensor(c).view(3, 1, 1).expand(3, 32, 32) for c in ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9)))
    support = torch.cat([red, blue], dim=2)[None, None]
    query = torch.cat([blue, red], dim=2)[None]
    annotation = torch.zeros(1, 1, 2, 32, 64)
    annotation[0, 0, 0, 12:20, 12:20] = 1
    annotation[0, 0, 1, 12:20, 44:52] = 1
    network = ready()[name]
    if isinstance(network, baselines.FineTuned):
        network.steps = 60
    logits = network(support, annotation, query)
    assert (logits[0, 8:-8, 40:56] > 0).all() and (logits[0, 8:-8, 8:24] < 0).all()


@pytest.mark.parametrize("name", ("concatenation", "regression"))
def test_a_learned_mapping_tells_colours_apart_after_a_short_meta_training(name):
    network = ready()[name]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        colours = torch.rand(16, 2, 3, 1, 1, generator=generator)
        a, b = colours[:, 0].expand(-1, -1, 32, 32), colours[:, 1].expand(-1, -1, 32, 32)
        annotation = torch.zeros(16, 1, 2, 32, 64)
        annotation[:, :, 0, :, :32] = 1
        annotation[:, :, 1, :, 32:] = 1
        logits = network(torch.cat([a, b], 3)[:, None], annotation, torch.cat([b, a], 3))
        truth = annotation[:, 0, 1]
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((logits > 0) == (truth > 0)).float().mean() > 0.85


@pytest.mark.parametrize("name", GUIDED)
def test_under_bf16_autocast(name):
    network, (support, annotation, query) = ready()[name], task()
    expected = network(support, annotation, query)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(support, annotation, query)
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().mean() < 0.1 * expected.abs().mean() + 0.05


def test_every_name_in_the_registry_builds_and_runs():
    support, annotation, query = torch.rand(1, 1, 3, 64, 64), torch.zeros(1, 1, 2, 64, 64), torch.rand(1, 3, 64, 64)
    annotation[0, 0, 0, 20:30, 20:30] = annotation[0, 0, 1, 40:50, 40:50] = 1
    for name in REGISTRY:
        network = build(name).eval()
        if isinstance(network, baselines.FineTuned):
            network.steps = 1
        with torch.no_grad():
            logits = network(support, annotation, query)
        logits = logits[0] if isinstance(logits, tuple) else logits
        assert logits.shape == (1, 64, 64) and logits.isfinite().all(), name


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="late-global"):
        build("nope")
