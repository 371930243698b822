"""Network in Network: sizes by hand and as published, and its forward pass written out anew."""

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.models import NIN
from course_utils.models.layers import Dropout
from course_utils.show import anatomy, maps

# (channels in, channels out, kernel) of the nine convolutions of 2015
SHAPES = ((3, 192, 5), (192, 160, 1), (160, 96, 1), (96, 192, 5), (192, 192, 1), (192, 192, 1),
          (192, 192, 3), (192, 192, 1), (192, 10, 1))
CONVOLUTIONS = [out * (channels * kernel**2 + 1) for channels, out, kernel in SHAPES]
SCALES_AND_SHIFTS = [2 * out for _, out, _ in SHAPES]
VARIANTS = [{}, {"bn": False}, {"average": False}, {"bn": False, "average": False}]


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def scrambled(**options) -> NIN:
    """A narrow network whose every parameter and running average differs from what it begins with."""
    torch.manual_seed(0)
    model = NIN(**options)
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and value.dim() == 1:
            value.uniform_(-0.5, 1)
    return model


def without_dropout(model: NIN) -> NIN:
    for module in model.modules():
        if isinstance(module, Dropout):
            module.dropped = 0
    return model


def pooled(x: Tensor, reduce) -> Tensor:
    """Windows of 3x3 in steps of 2; one that sticks out over the edge keeps the pixels that it has."""
    side = x.shape[2]
    starts = range(0, side - 1, 2)
    return torch.stack([torch.stack([reduce(x[:, :, i : i + 3, j : j + 3].flatten(2)) for j in starts], -1)
                        for i in starts], -2)


def written_out(model: NIN, x: Tensor, training: bool = False) -> Tensor:
    """The network of 2015 with the model's weights, taken in the order in which a state dict holds them."""
    state: Iterator[Tensor] = (value for name, value in model.state_dict().items() if "num_batches" not in name)
    bn = any("running_mean" in name for name in model.state_dict())

    def block(x: Tensor, padding: int = 0) -> Tensor:
        x = F.conv2d(x, next(state), next(state), padding=padding)
        if bn:
            scale, shift, mean, variance = (next(state).view(1, -1, 1, 1) for _ in range(4))
            if training:
                mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
            x = (x - mean) / (variance + 1e-3).sqrt() * scale + shift
        return x.clamp_min(0)

    x = pooled(block(block(block(x, 2))), lambda window: window.amax(2))
    x = pooled(block(block(block(x, 2))), lambda window: window.mean(2))
    x = block(block(x, 1))
    if any(isinstance(module, nn.Linear) for module in model.modules()):
        x = x.flatten(1) @ next(state).T + next(state)
    else:
        x = block(x).sum((2, 3)) / 64
    assert next(state, None) is None
    return x


def test_nin_has_the_published_parameters():
    assert anatomy.parameters(NIN()) == sum(CONVOLUTIONS) + sum(SCALES_AND_SHIFTS) == 969_822
    assert f"{anatomy.parameters(NIN()) / 1e6:.2f}" == "0.97"


def test_the_variants_have_the_parameters_counted_by_hand():
    linear = 192 * 8 * 8 * 10 + 10
    assert (linear, CONVOLUTIONS[-1]) == (122_890, 1_930)
    assert anatomy.parameters(NIN(bn=False)) == sum(CONVOLUTIONS)
    without_head = sum(CONVOLUTIONS[:-1]) + sum(SCALES_AND_SHIFTS[:-1])
    assert anatomy.parameters(NIN(average=False)) == without_head + linear
    assert anatomy.parameters(NIN(bn=False, average=False)) == sum(CONVOLUTIONS[:-1]) + linear


def test_the_convolutions_are_those_of_2015():
    convolutions = [module for module in NIN().modules() if isinstance(module, nn.Conv2d)]
    assert tuple((c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions) == SHAPES
    narrow = [module.out_channels for module in NIN(width=48).modules() if isinstance(module, nn.Conv2d)]
    assert narrow == [out // 4 for _, out, _ in SHAPES[:-1]] + [10]


def test_both_heads_do_the_same_work():
    sides = (32, 32, 32, 16, 16, 16, 8, 8, 8)
    by_hand = sum(2 * channels * out * (kernel * side) ** 2
                  for (channels, out, kernel), side in zip(SHAPES, sides, strict=True))
    assert anatomy.flops(NIN()) == anatomy.flops(NIN(average=False)) == by_hand == 444_973_056


def test_maps_and_receptive_fields_have_the_sizes_worked_out_by_hand():
    rows = {row.name: row for row in anatomy.layers(NIN())}
    assert [rows[f"group{i}.{last}"].output_shape for i, last in ((1, 8), (1, 9), (2, 8), (2, 9), (3, 5))] == [
        (96, 32, 32), (96, 16, 16), (192, 16, 16), (192, 8, 8), (192, 8, 8)]
    # Five pixels, 3 of them pooled; 5 of those two apart, 3 pooled; 3 of those four apart.
    sliding = [row for row in rows.values() if row.kind in ("Conv2d", "MaxPool2d", "AvgPool2d")]
    fields = [(row.receptive_field, row.stride) for row in sliding]
    five, pool, ten, mean, three = (5, 1), (5 + 2, 2), (7 + 4 * 2, 2), (15 + 2 * 2, 4), (19 + 2 * 4, 4)
    assert fields == [*[five] * 3, pool, *[ten] * 3, mean, *[three] * 3]


def test_dropout_of_a_half_stands_behind_both_pools():
    model = NIN()
    kinds = [type(module).__name__ for module in model.modules() if not list(module.children())]
    assert kinds.count("Dropout") == 2
    for group, pool in ((model.group1, nn.MaxPool2d), (model.group2, nn.AvgPool2d)):
        assert isinstance(group[-2], pool) and group[-1].dropped == 128


@pytest.mark.parametrize("options", VARIANTS)
def test_the_network_computes_what_plain_functions_compute(options):
    model = scrambled(**options)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images()), written_out(model, images()), rtol=1e-4, atol=1e-4)


def test_in_training_too_the_network_computes_what_plain_functions_compute():
    model = without_dropout(scrambled())
    with torch.no_grad():
        expected = written_out(model, images(), training=True)
        torch.testing.assert_close(model.train()(images()), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", VARIANTS)
def test_first_weights_have_a_deviation_of_a_twentieth(options):
    torch.manual_seed(0)
    layers = [module for module in NIN(**options).modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 9
    for layer in layers:
        count = layer.weight.numel()
        assert layer.weight.std().item() == pytest.approx(0.05, rel=5 / math.sqrt(2 * count))
        assert abs(layer.weight.mean().item()) < 5 * 0.05 / math.sqrt(count)
        assert not layer.bias.any()


@pytest.mark.parametrize("bn", [True, False])
def test_a_logit_is_the_average_of_its_class_map(bn):
    model = scrambled(bn=bn, width=48)
    class_maps = maps.feature_maps(model, "head.2" if bn else "head.1", images())
    with torch.no_grad():
        logits = model.eval()(images())
    assert class_maps.shape == (4, 10, 8, 8)
    assert class_maps.min() >= 0 and class_maps.max() > 0
    torch.testing.assert_close(class_maps.mean((2, 3)), logits)


def test_grad_cam_of_the_last_maps_agrees_with_the_class_map():
    model, classes = scrambled(width=48), torch.tensor([3, 1, 4, 1])
    own = maps.feature_maps(model, "head.2", images())[torch.arange(4), classes]
    own = F.interpolate(own[:, None], size=32, mode="bilinear").squeeze(1)
    ours = maps.class_activation_maps(model, "head.2", images(), classes)
    assert (own.amax((1, 2)) > 0).any()
    torch.testing.assert_close(ours, own / own.amax((1, 2), keepdim=True).clamp_min(1e-30), rtol=1e-4, atol=1e-5)


def test_only_the_head_that_averages_ignores_where_things_are():
    """Maps with their positions shuffled have the same averages; the linear head tells them apart."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    activations = torch.rand(2, 48, 8, 8, generator=torch.Generator().manual_seed(1))
    shuffled = activations.flatten(2)[..., order].view_as(activations)
    with torch.no_grad():
        average, linear = (scrambled(average=average, width=48).eval().head for average in (True, False))
        torch.testing.assert_close(average(activations), average(shuffled))
        assert (linear(activations) - linear(shuffled)).abs().max() > 0.1
