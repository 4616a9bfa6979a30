from dataclasses import replace

import numpy as np
import pytest
import torch

from guided_demo.core.encoder import DETAIL, GROUPS, SEMANTIC, SPREAD, Features, affinity, halve, unit_length, whitening
from guided_demo.core.query import Query
from guided_demo.core.scores import normalize
from guided_demo.core.selfsupport import LEAST, MARKED, PIXELS, Found, by_detail, margins

FIRST = GROUPS[0]
ONE_IMAGE, NOTHING_MARKED = torch.zeros(1), torch.zeros(1)


def features_of(semantic: torch.Tensor) -> Features:
    """Of a query of these semantics (F, SEMANTIC, h8, w8), its groups brought to unit length."""
    count, _, h, w = semantic.shape
    semantic = torch.cat([unit_length(part) for part in semantic.split(GROUPS, 1)], 1)
    return Features.of(semantic, torch.zeros(count, DETAIL, 2 * h, 2 * w), torch.zeros(1), torch.zeros(1), torch.ones(3))


def ready(features: Features) -> Query:
    return Query.of(features, torch.ones(DETAIL))


@pytest.fixture
def features() -> Features:
    torch.manual_seed(0)
    return features_of(torch.randn(1, SEMANTIC, 12, 16))


def test_what_is_found_is_the_means_weighted_by_certainty(features):
    glance = torch.randn(2, 6, 8) * 4
    found = Found.by(glance, ready(features))
    pixels = halve(features.semantic)[0].flatten(1).numpy()
    for k in range(2):
        certain = 2 / (1 + np.exp(-glance[k].flatten().double().numpy())) - 1
        for side, sign in enumerate((1, -1)):
            weight = np.maximum(sign * certain, 0) ** 2
            assert np.allclose(found.means[0, 2 * k + side].numpy(), pixels @ weight / weight.sum(), atol=1e-3)
            assert found.sure[k, side].item() == pytest.approx(weight.mean(), rel=1e-4)


def test_places_vote_for_what_is_like_them(features):
    glance = torch.randn(2, 6, 8) * 4
    found = Found.by(glance, ready(features))
    certain = np.tanh(glance.flatten(1).double().numpy() / 2)
    for k in range(2):
        sides = np.maximum((certain[k], -certain[k]), 0) ** 2
        own, other = (features.affinity[0].double().numpy() @ (side / side.sum()) for side in sides)
        assert np.allclose(found.vote[k, 0].numpy(), (own - other) / (own + other), atol=1e-3)


def test_affinity_is_a_softmax_of_cosines_about_the_mean_of_the_image(features):
    maps, sharpness = features.halved, torch.tensor([5.0, 1.0, 2.0])
    found = affinity(maps, sharpness)[0]
    logits = torch.zeros(48, 48)
    for part, sharp in zip(maps[0].flatten(1).split(GROUPS), sharpness, strict=True):
        about = part - part.mean(1, keepdim=True)
        logits += sharp * torch.nn.functional.cosine_similarity(about[:, :, None], about[:, None], dim=0)
    assert torch.allclose(found, logits.softmax(-1), atol=1e-5)


@pytest.mark.parametrize("value", [-30.0, 30.0, 0.0])
def test_a_query_without_either_side_tells_nothing(features, value):
    found = Found.by(torch.full((1, 6, 8), value), ready(features))
    assert found.trust(48, ONE_IMAGE, NOTHING_MARKED).item() == 0


def test_half_a_place_of_each_side_is_enough(features):
    glance = torch.full((1, 6, 8), -20.0)
    for share, trusted in ((0.9 * LEAST, 0), (1.1 * LEAST, 1)):
        glance[0, 0, 0] = 2 * np.arctanh(share**0.5)
        assert Found.by(glance, ready(features)).trust(48, ONE_IMAGE, NOTHING_MARKED).item() == trusted


def test_the_more_images_or_marks_there_are_the_less_what_is_found_counts(features):
    found = Found.by(torch.linspace(-5, 5, 48).reshape(1, 6, 8), ready(features))
    by_images = [found.trust(48, torch.tensor([float(n)]).log2(), NOTHING_MARKED).item() for n in (1, 2, 5)]
    assert by_images == pytest.approx([2 / 2, 2 / 3, 2 / 6])
    by_marks = [found.trust(48, ONE_IMAGE, torch.tensor([float(n)])).item() for n in (0, MARKED, 3 * MARKED, 1e6)]
    assert by_marks == pytest.approx([1, 1 / 2, 1 / 4, 0], abs=1e-4)


def test_classes_of_one_image_compete():
    glance = torch.tensor([[[3.0, 2.0, -1.0]], [[1.0, 2.5, -2.0]]])
    assert torch.allclose(margins(glance), torch.tensor([[[2.0, -0.5, -1.0]], [[-2.0, 0.5, -2.0]]]))
    assert torch.equal(margins(glance[:1]), glance[:1])


def test_whitening_is_the_inverse_of_the_covariance(features):
    maps = torch.randn(2, 5, 6, 8)
    for given, found in zip(maps, whitening(maps), strict=True):
        covariance = np.cov(given.flatten(1).numpy(), bias=True)
        assert np.allclose(found.numpy(), SPREAD * np.linalg.inv(covariance + SPREAD * np.eye(5)), atol=1e-5)


def test_second_scores_are_cosines_and_fishers_discriminant_of_each_class():
    torch.manual_seed(1)
    features = features_of(torch.randn(1, SEMANTIC, 12, 16))
    found = Found(torch.randn(1, 4, SEMANTIC), torch.rand(2, 2), torch.rand(2, 1, 48))
    known = normalize(torch.randn(2, 2, SEMANTIC))
    near, wide = found.again(ready(features), known)
    own = normalize(found.means).reshape(2, 2, SEMANTIC)
    whole = features.semantic[0].flatten(1), features.halved[0].flatten(1)
    for k in range(2):
        cosines = [part @ whole[i > 0][at] for i, (part, at) in enumerate(zip(own[k].split(GROUPS, -1), places(), strict=True))]
        assert torch.allclose(near[k, :2], cosines[0], atol=1e-4)
        assert torch.allclose(wide[k, :4], torch.cat(cosines[1:]), atol=1e-4)
        for i, (one, other) in enumerate((own[k], known[k])):
            direction = (one - other) @ features.whitening[0]
            says = [direction[at] @ whole[g > 0][at] for g, at in enumerate(places())]
            scale = 2 / ((direction * (one - other)).sum() + 1e-2)
            middle = scale * (direction @ (one + other)) / 2
            assert torch.allclose(near[k, 2 + i], scale * says[0] - middle, atol=1e-3)
            assert torch.allclose(wide[k, 4 + i], scale * (says[1] + says[2]), atol=1e-3)
    assert torch.equal(wide[:, 6:], found.vote)


def test_a_last_look_is_fishers_discriminant_of_what_was_found_by_detail():
    torch.manual_seed(2)
    semantic, detail = torch.randn(1, SEMANTIC, 12, 16), torch.randn(1, DETAIL, 24, 32)
    features = Features.of(semantic, detail, torch.zeros(1), torch.zeros(1), torch.ones(3))
    logits = torch.randn(2, 24, 32) * 3
    found = by_detail(logits, Query.of(features, torch.rand(DETAIL) + 0.5), torch.zeros(2), torch.zeros(2))
    pixels = detail[0].flatten(1).double().numpy()
    for given, alike in zip(logits.double().numpy(), found.numpy(), strict=True):
        certain = 2 / (1 + np.exp(-given.ravel())) - 1
        one, other = (pixels @ np.maximum(side, 0) ** 2 / (np.maximum(side, 0) ** 2).sum() for side in (certain, -certain))
        direction = np.linalg.solve(np.cov(pixels, bias=True) + SPREAD * np.eye(DETAIL), one - other)
        line = 2 * direction @ (pixels - (one + other)[:, None] / 2) / (direction @ (one - other) + 0.1)
        assert np.allclose(alike.ravel(), line, atol=1e-3)


def test_a_last_look_tells_nothing_without_either_side_or_of_an_object():
    torch.manual_seed(2)
    query = ready(features_of(torch.randn(1, SEMANTIC, 12, 16)))
    query = replace(query, detail=torch.randn_like(query.detail), detail_whitening=torch.eye(DETAIL)[None])
    logits = torch.full((3, 24, 32), -20.0)
    logits[1:, 0, :PIXELS] = 20.0  # more than half a place at stride 16
    nothing, everywhere, alone = by_detail(logits, query, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    assert not nothing.any() and everywhere.any() and not alone.any()
    _, marked, _ = by_detail(logits, query, torch.full((3,), float(MARKED)), torch.zeros(3))
    assert torch.allclose(marked, everywhere / 2)


def places() -> list[slice]:
    ends = np.cumsum(GROUPS).tolist()
    return [slice(end - size, end) for end, size in zip(ends, GROUPS, strict=True)]


def test_what_a_first_look_is_sure_of_pulls_the_rest_of_the_same_thing_along():
    """A thing on the left half that guidance knows only faintly, and a first look that found half of it."""
    torch.manual_seed(1)
    thing, rest, faint = torch.randn(3, SEMANTIC).unbind()
    semantic = rest[None, :, None, None].repeat(1, 1, 16, 16)
    semantic[..., :8] = thing[None, :, None, None]
    features = features_of(semantic + 0.1 * torch.randn_like(semantic))
    known = normalize(torch.stack([0.3 * thing + 0.7 * faint, rest]))[None]
    glance = torch.full((1, 8, 8), -4.0)
    glance[..., :2], glance[..., 2:4] = 4.0, 0.0
    near, _ = Found.by(glance, ready(features)).again(ready(features), known)
    cosine_to_found = (near[0, 0] - near[0, 1]).reshape(16, 16)
    cosine_to_known = (known[0, 0, :FIRST] - known[0, 1, :FIRST]) @ features.semantic[0, :FIRST].flatten(1)
    assert (cosine_to_found[:, 4:8] > cosine_to_known.reshape(16, 16)[:, 4:8]).all()
    assert (cosine_to_found[:, 4:8] > 0).all() and (cosine_to_found[:, 8:] < 0).all()
