import pytest
import torch

from guided_demo.core.backbone import VARIANTS, EfficientNetLite, fuse


@pytest.mark.parametrize("variant", VARIANTS)
def test_maps_have_the_strides_and_widths_that_are_promised(variant):
    torch.manual_seed(0)
    network = EfficientNetLite(variant).eval()
    maps = network(torch.rand(1, 3, 64, 96))
    assert [m.shape[1] for m in maps] == list(network.channels)
    assert [(64 // m.shape[2], 96 // m.shape[3]) for m in maps] == [(s, s) for s in (2, 4, 8, 16, 32)]


def test_fusing_changes_nothing_but_the_number_of_layers():
    torch.manual_seed(0)
    network = EfficientNetLite("lite0").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
    image = torch.rand(1, 3, 64, 64)
    before = network(image)
    after = fuse(network)(image)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-3)


def test_batch_statistics_stay_frozen_in_training():
    network = EfficientNetLite("lite0").train()
    before = network.stem.norm.running_mean.clone()
    network(torch.rand(2, 3, 64, 64))
    assert torch.equal(before, network.stem.norm.running_mean)
