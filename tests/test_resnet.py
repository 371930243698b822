"""Residual networks against the papers' tables, torchvision's ResNet-18 and what a shortcut promises."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from course_utils.models import ResNet
from course_utils.models.resnet import BasicBlock, Pad, PreActivationBlock, cifar_resnet
from course_utils.show import anatomy

BLOCKS = {"basic": BasicBlock, "pre-activation": PreActivationBlock}


def images(count: int = 4, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, 32, 32, generator=torch.Generator().manual_seed(0))


def lively(model: nn.Module) -> nn.Module:
    """The model in evaluation mode with BN that does something: no scale is 1, no mean 0."""
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight.data, layer.running_var):
                values.uniform_(0.5, 1.5, generator=generator)
            for values in (layer.bias.data, layer.running_mean):
                values.normal_(0, 0.3, generator=generator)
    return model.eval()


def torchvisions(stem: str) -> nn.Module:
    model = torchvision.models.resnet18(num_classes=10)
    if stem == "cifar":
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model


# Millions of parameters as in table 6 of He et al. (2015).
@pytest.mark.parametrize(("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")])
def test_the_papers_networks_have_its_parameters_and_depth(depth, millions):
    model = cifar_resnet(depth)
    digits = len(millions.partition(".")[2])
    assert f"{anatomy.parameters(model) / 1e6:.{digits}f}" == millions
    assert sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in model.modules()) == depth


def test_resnet20_has_the_parameters_counted_by_hand():
    def convolution(channels: int, width: int) -> int:
        return 9 * channels * width + 2 * width  # and the scales and shifts of its BN

    stages = sum(convolution(fan, width) + 5 * convolution(width, width)
                 for fan, width in ((16, 16), (16, 32), (32, 64)))
    assert anatomy.parameters(cifar_resnet(20)) == convolution(3, 16) + stages + 650 == 269_722
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert anatomy.parameters(cifar_resnet(20, "projection")) == 269_722 + projections


@pytest.mark.parametrize("depth", [20, 32, 56])
def test_a_plain_network_is_the_padded_one_without_the_sum(depth):
    plain, residual = cifar_resnet(depth, None), cifar_resnet(depth)
    residual.load_state_dict(plain.state_dict())  # the same names and shapes
    for layer in residual.modules():
        if hasattr(layer, "shortcut"):
            layer.shortcut = None
    lively(plain), lively(residual)
    torch.testing.assert_close(plain(images()), residual(images()), rtol=0, atol=0)


def test_the_maps_have_the_sizes_of_the_paper():
    shapes = {row.name: row.output_shape for row in anatomy.layers(cifar_resnet(20))}
    assert [shapes[name] for name in ("stem.0", "stage1.2.bn2", "stage2.2.bn2", "stage3.2.bn2", "head.2")] == [
        (16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (10,)]


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_resnet18_agrees_with_torchvisions(stem):
    ours, theirs = ResNet(stem=stem), lively(torchvisions(stem))
    values = list(theirs.state_dict().values())
    assert [v.shape for v in ours.state_dict().values()] == [v.shape for v in values]
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    torch.testing.assert_close(ours.eval()(images()), theirs(images()))


def test_resnet18_has_the_published_size():
    assert anatomy.parameters(ResNet()) == 11_173_962
    assert round(anatomy.flops(ResNet()) / 1e6) == 1111
    assert round(anatomy.flops(ResNet(stem="imagenet")) / 1e6) == 74


def test_preactivated_resnet18_is_the_published_one_and_a_last_bn():
    """kuangliu/pytorch-cifar's PreActResNet18 (11,171,146) pools without the BN and ReLU that the paper puts there."""
    model = ResNet(preactivation=True)
    assert [type(layer).__name__ for layer in model.head] == ["BatchNorm2d", "ReLU", "AdaptiveAvgPool2d", "Flatten",
                                                              "Linear"]
    assert anatomy.parameters(model) - anatomy.parameters(model.head[0]) == 11_171_146


@pytest.mark.parametrize("shortcut", ["projection", "pad"])
@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_whose_last_scale_is_zero_does_nothing(kind, shortcut):
    x, block = images(channels=8), lively(BLOCKS[kind](8, 8, shortcut=shortcut))
    nn.init.zeros_(block.bn2.weight), nn.init.zeros_(block.bn2.bias)
    expected = x.relu() if kind == "basic" else x
    assert torch.equal(block(x), expected)
    assert not torch.equal(BLOCKS[kind](8, 8)(x), expected)


@pytest.mark.parametrize("shortcut", ["projection", "pad"])
def test_an_identity_shortcut_has_no_weights_whatever_the_kind(shortcut):
    assert isinstance(BasicBlock(8, 8, 1, shortcut).shortcut, nn.Identity)
    assert BasicBlock(8, 8, 1, None).shortcut is None


def test_padding_takes_every_second_pixel_and_adds_channels_of_zeros():
    x = images(channels=8)
    expected = torch.zeros(4, 16, 16, 16)
    expected[:, :8] = x[:, :, ::2, ::2]
    pad = Pad(8, 2)
    assert torch.equal(pad(x), expected)
    assert torch.equal(pad(x), F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 8)))
    assert not list(pad.parameters())
    assert BasicBlock(8, 16, 2, "pad").shortcut(x).shape == BasicBlock(8, 16, 2, "projection").shortcut(x).shape


def test_a_preactivated_stage_is_its_input_plus_what_its_blocks_add():
    """The branch of a block is what it gives when its shortcut is cut."""
    stage = lively(cifar_resnet(32, preactivation=True)).stage1
    x, added = images(channels=16), torch.zeros(4, 16, 32, 32)
    with torch.no_grad():
        out = x
        for block in stage:
            shortcut, block.shortcut = block.shortcut, None
            branch = block(out)
            block.shortcut = shortcut
            added, out = added + branch, block(out)
    torch.testing.assert_close(out, x + added, rtol=1e-4, atol=1e-4)


def test_first_weights_are_drawn_as_he_proposed():
    torch.manual_seed(0)
    for layer in ResNet().modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] ** 2 * layer.out_channels
            assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


@pytest.mark.parametrize("options", [{}, {"preactivation": True}, {"shortcut": None}, {"shortcut": "pad"},
                                     {"stem": "imagenet"}])
def test_every_parameter_learns(options):
    model = ResNet(width=4, **options)
    F.cross_entropy(model(images()), torch.arange(4)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("depth", [2, 7, 18, 21, 0, -4])
def test_a_depth_that_the_family_lacks_is_refused_in_one_line(depth):
    with pytest.raises(ValueError, match=rf"^depth {depth}: expected 6n \+ 2, as in 20, 32, 44, 56 or 110$"):
        cifar_resnet(depth)


@pytest.mark.parametrize("options", [{"shortcut": "padding"}, {"stem": "mnist"}, {"shortcut": False}])
def test_an_unknown_shortcut_or_stem_is_refused_in_one_line(options):
    (value,) = options.values()
    with pytest.raises(ValueError, match=r"'projection', 'pad' or None, and 'cifar' or 'imagenet'") as caught:
        ResNet(**options)
    assert repr(value) in str(caught.value) and "\n" not in str(caught.value)


def test_an_image_of_the_wrong_size_is_refused_with_the_layer_that_fails():
    with pytest.raises(ValueError, match="ResNet cannot take an image of 1x32x32: layer 'stem.0'"):
        anatomy.layers(ResNet(width=4), (1, 32, 32))
