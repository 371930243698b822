"""GoogLeNet against the paper's table 1, torchvision's version, and a second definition of its module."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import googlenet as torchvision_googlenet

from course_utils.models import GoogLeNet
from course_utils.models.inception import Inception
from course_utils.show import anatomy

# Szegedy et al., "Going deeper with convolutions" (2014), table 1: output channels, side of the maps at 224x224,
# 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection, params in K (1,024), ops (multiply-adds) in M.
TABLE = {
    "3a": (256, 28, 64, 96, 128, 16, 32, 32, 159, 128),
    "3b": (480, 28, 128, 128, 192, 32, 96, 64, 380, 304),
    "4a": (512, 14, 192, 96, 208, 16, 48, 64, 364, 73),
    "4b": (512, 14, 160, 112, 224, 24, 64, 64, 437, 88),
    "4c": (512, 14, 128, 128, 256, 24, 64, 64, 463, 100),
    "4d": (528, 14, 112, 144, 288, 32, 64, 64, 580, 119),
    "4e": (832, 14, 256, 160, 320, 32, 128, 128, 840, 170),
    "5a": (832, 7, 256, 160, 320, 32, 128, 128, 1072, 54),
    "5b": (1024, 7, 384, 192, 384, 48, 128, 128, 1388, 71),
}
# Weights of the modules whose printed params are more than 1% off what the table's own row of channels makes.
OFF_IN_PARAMS = {"4c": 509_440, "4d": 604_672, "5a": 1_042_432, "5b": 1_442_816}
OFF_IN_OPS = {"5a"}


def modules(net: GoogLeNet) -> dict[str, Inception]:
    """The nine modules by the paper's names."""
    return {f"{stage}{'abcde'[place]}": module for stage in (3, 4, 5)
            for place, module in enumerate(getattr(net, f"stage{stage}")) if isinstance(module, Inception)}


def weights(module: nn.Module) -> int:
    """Of the convolutions; the paper's network has no BN."""
    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Conv2d))


def weights_by_hand(channels: int, name: str) -> int:
    a, b, c, d, e, f = TABLE[name][2:8]
    return channels * (a + b + d + f) + 9 * b * c + 25 * d * e


@pytest.fixture(scope="module")
def net() -> GoogLeNet:
    torch.manual_seed(0)
    return GoogLeNet().eval()


def test_the_nine_modules_have_the_papers_channels(net):
    x = torch.zeros(1, 192, 4, 4)
    for name, module in modules(net).items():
        x = module(x)
        assert x.shape[1] == TABLE[name][0], name
    assert list(modules(net)) == list(TABLE)


def test_the_weights_are_those_of_the_papers_table(net):
    channels, kilo = 192, 1024
    for name, module in modules(net).items():
        printed = TABLE[name][8]
        assert weights(module) == weights_by_hand(channels, name), name
        if name in OFF_IN_PARAMS:
            assert weights(module) == OFF_IN_PARAMS[name]
            assert abs(printed * kilo / weights(module) - 1) > 0.01, name
        else:
            assert printed * kilo == pytest.approx(weights(module), rel=0.01), name
        channels = TABLE[name][0]


def test_the_multiply_adds_are_those_of_the_papers_table(net):
    for name, module in modules(net).items():
        mega = weights(module) * TABLE[name][1] ** 2 / 1e6
        assert (abs(mega - TABLE[name][9]) > 1) == (name in OFF_IN_OPS), name
    # The row of 5a is off in both columns alike: its params and its ops speak of the same module.
    assert abs(1072 * 1024 * 7**2 / 1e6 - 54) < 0.5


def test_the_parameters_agree_with_an_independent_count(net):
    channels, convolutions, normalised = 192, 3 * 192 * 9, 192
    for name, (out, _, *widths, _, _) in TABLE.items():
        convolutions += weights_by_hand(channels, name)
        normalised += sum(widths)
        channels = out
    assert convolutions + 2 * normalised + (1024 * 10 + 10) == 5_871_914
    assert anatomy.parameters(net) == 5_871_914


def module_by_definition(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """An Inception module in evaluation mode, from its weights alone."""

    def conv(x: Tensor, name: str) -> Tensor:
        weight = state[f"{name}.0.weight"]
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, var, scale, shift = (state[f"{name}.1.{key}"] for key in keys)
        size = weight.shape[-1]
        patches = F.unfold(x, size, padding=size // 2)  # (N, channels * size * size, positions)
        y = (weight.flatten(1) @ patches).view(len(x), -1, *x.shape[2:])
        y = (y - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        return (y * scale[:, None, None] + shift[:, None, None]).clamp(min=0)

    padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
    pooled = padded.unfold(2, 3, 1).unfold(3, 3, 1).amax((4, 5))
    return torch.cat([conv(x, "branch1"), conv(conv(x, "branch3.0"), "branch3.1"),
                      conv(conv(x, "branch5.0"), "branch5.1"), conv(pooled, "pool.1")], 1)


@pytest.mark.parametrize("side", [7, 8])
def test_a_module_computes_what_its_definition_says(side):
    torch.manual_seed(0)
    module = Inception(12, 3, 4, 5, 2, 6, 7).double().eval()
    for name, buffer in module.named_buffers():
        if "running" in name:
            nn.init.uniform_(buffer, 0.5, 2)
    for p in module.parameters():
        if p.dim() == 1:
            nn.init.uniform_(p, 0.5, 2)
    x = torch.randn(3, 12, side, side, dtype=torch.float64)
    out = module(x)
    assert out.shape == (3, 3 + 5 + 6 + 7, side, side)
    torch.testing.assert_close(out, module_by_definition(x, module.state_dict()))


def test_the_branches_have_the_channels_of_torchvisions(net):
    """The same channels everywhere; the paper's 5x5 is a 3x3 in torchvision, a bug known as pytorch/vision #906."""
    theirs = torchvision_googlenet(weights=None, aux_logits=False, init_weights=False)
    for name, ours in modules(net).items():
        other = getattr(theirs, f"inception{name}")
        pairs = {"branch1": other.branch1, "branch3": other.branch2, "branch5": other.branch3, "pool": other.branch4}
        for branch, their_branch in pairs.items():
            convolutions = [[layer for layer in each.modules() if isinstance(layer, nn.Conv2d)]
                            for each in (getattr(ours, branch), their_branch)]
            shapes = [[(layer.in_channels, layer.out_channels) for layer in each] for each in convolutions]
            kernels = [[layer.kernel_size[0] for layer in each] for each in convolutions]
            assert shapes[0] == shapes[1], (name, branch)
            if branch == "branch5":
                assert kernels == [[1, 5], [1, 3]], name
            else:
                assert kernels[0] == kernels[1], (name, branch)


def test_the_maps_halve_twice_after_a_stem_at_full_resolution(net):
    sides = []
    for _, part in net.named_children():
        part.register_forward_hook(lambda part, inputs, output: sides.append(output.shape[-1]))
    net(torch.zeros(1, 3, 32, 32))
    for part in net.children():
        part._forward_hooks.clear()
    assert sides == [32, 16, 8, 8, 10]  # each stage ends in its pool; the last number is the classes


@pytest.mark.parametrize(("width", "early_pool"), [(1.0, False), (0.5, True), (0.25, True)])
def test_the_flops_agree_with_those_by_hand_and_by_pytorch(width, early_pool):
    net = GoogLeNet(width, early_pool).eval()
    channels = round(192 * width)
    total, side = 3 * channels * 9 * 32**2, 16 if early_pool else 32
    for name, (_, _, *widths, _, _) in TABLE.items():
        if name in ("4a", "5a"):
            side //= 2
        a, b, c, d, e, f = (round(n * width) for n in widths)
        total += (channels * (a + b + d + f) + 9 * b * c + 25 * d * e) * side**2
        channels = a + c + e + f
    total += channels * 10
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 32, 32))
    assert 2 * total == counter.get_total_flops() == anatomy.flops(net)


def test_half_the_width_quarters_the_weights_and_an_early_pool_the_flops():
    size, cost = anatomy.parameters(GoogLeNet()), anatomy.flops(GoogLeNet())
    assert cost == 2_894_483_456
    stem = 2 * 3 * 192 * 9 * 32**2  # works at full resolution in any case
    pooled = GoogLeNet(early_pool=True)
    assert anatomy.parameters(pooled) == size
    assert anatomy.flops(pooled) - stem == pytest.approx((cost - stem) / 4, rel=1e-4)
    half = GoogLeNet(0.5)
    assert anatomy.parameters(half) == 1_475_418
    assert weights(half) == pytest.approx(weights(GoogLeNet()) / 4, rel=1e-3)
    assert anatomy.flops(GoogLeNet(0.5, True)) == pytest.approx(cost / 16, rel=0.03)


def test_the_receptive_field_is_that_of_the_path_through_every_5x5():
    fields = {layer.name: layer.receptive_field for layer in anatomy.layers(GoogLeNet(0.125))}
    stem, pools, steps = 3, 2 * 1 + 2 * 2, 4 * (2 * 1 + 5 * 2 + 2 * 4)  # two modules at stride 1, five at 2, two at 4
    assert fields["stage5.1.branch5.1.0"] == stem + pools + steps == 89
    assert fields["stage5.1.branch1.0"] == 89 - 16  # the last module's 5x5 adds four positions of stride 4


def test_the_number_of_classes_can_be_chosen():
    assert GoogLeNet(0.125, True, classes=100)(torch.zeros(2, 3, 32, 32)).shape == (2, 100)
