"""Anatomy against PyTorch's own counter, arithmetic by hand, and gradients."""

import pytest
import torch
import torch.nn.functional as F
from tiny import NETWORKS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils.show import anatomy


class Shortcut(nn.Module):
    """A residual block between two convolutions; the sum and an activation are not modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.short = nn.Conv2d(4, 6, 1, stride=2)
        self.last = nn.Conv2d(6, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y = self.second(F.relu(self.norm(self.first(x))))
        y += self.short(x)
        return self.last(F.relu(y, inplace=True))


class PaddedShortcut(nn.Module):
    """A shortcut without parameters: every other pixel, channels filled up with zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.last = nn.Conv2d(6, 5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)))


class Branches(nn.Module):
    """Parallel branches with fields that reach differently far to either side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, stride=2)
        self.wide = nn.Conv2d(4, 4, 5, padding=2)
        self.dilated = nn.Conv2d(4, 4, 2, dilation=5, padding=(0, 0))
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.last = nn.Conv2d(12, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([self.wide(x)[:, :, 5:, 5:], self.dilated(x), self.pool(x)[:, :, :-5, :-5]], dim=1)
        return self.last(x)


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2, padding=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, dilation=3, padding=1),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Conv2d(4, 4, 2, bias=False),
        nn.AvgPool2d(2, stride=3, ceil_mode=True),
        nn.Conv2d(4, 5, 3, padding=1),
    )


def field_by_gradient(model: nn.Module, size: int) -> tuple[int, int]:
    """(side of the square with a gradient, distance of two units' squares), from the middle of the output.

    With positive weights and positive inputs no activation is cut off and no two paths cancel. The largest
    pixel of a max-pool takes the whole gradient, so the support is the union over many random images.
    """
    for p in model.parameters():
        nn.init.uniform_(p, 0.5, 1.5)
    model.eval()
    supports = []
    for offset in (0, 1):
        images = torch.rand(64, 3, size, size, requires_grad=True)
        output = model(images)
        output[:, :, output.shape[2] // 2 + offset, output.shape[3] // 2].sum().backward()
        supports.append(images.grad.sum((0, 1, 3)).nonzero().flatten().tolist())
    assert supports[0][0] > 0 and supports[1][-1] < size - 1, "the field is cut off by the border: enlarge"
    return supports[0][-1] - supports[0][0] + 1, supports[1][0] - supports[0][0]


@pytest.mark.parametrize(("build", "field", "stride"), [
    (chain, None, 12), (Shortcut, 3 + 2 + 4 + 4, 2), (PaddedShortcut, 3 + 2, 2), (Branches, None, 2),
])
def test_receptive_field_is_where_the_gradient_is(build, field, stride):
    torch.manual_seed(0)
    model, size = build(), 127
    last = anatomy.layers(model, (3, size, size))[-1]
    assert (last.receptive_field, last.stride) == field_by_gradient(model, size)
    assert last.stride == stride
    assert field in (None, last.receptive_field)


def test_receptive_field_of_a_flattened_image_is_the_whole_image():
    model = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(768, 7), nn.ReLU(), nn.Linear(7, 2))
    assert [layer.receptive_field for layer in anatomy.layers(model)] == [2, 32, 32, 32, 32]
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1))
    assert [layer.receptive_field for layer in anatomy.layers(pooled)] == [3, 34]  # 32 with a rim of padding


def test_receptive_field_is_not_invented_behind_unknown_geometry():
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3))
    assert [layer.receptive_field for layer in anatomy.layers(model)] == [3, None, None]
    assert anatomy.table(model).count(" -\n") == 2


@pytest.mark.parametrize("build", [chain, Shortcut, Branches, *NETWORKS])
def test_totals_agree_with_pytorch(build):
    model = build().eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 32, 32))
    rows = anatomy.layers(model)
    assert sum(row.flops for row in rows) == anatomy.flops(model) == counter.get_total_flops()
    assert sum(row.parameters for row in rows) == anatomy.parameters(model)
    assert anatomy.parameters(model) == sum(p.numel() for p in model.parameters())


def test_rows_agree_with_arithmetic_by_hand():
    shared = nn.Conv2d(8, 8, 1)
    first, last = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Linear(2048, 10)
    model = nn.Sequential(first, shared, shared, nn.Flatten(), last)
    rows = anatomy.layers(model)
    assert [row.output_shape for row in rows] == [(8, 16, 16)] * 3 + [(2048,), (10,)]
    assert [row.parameters for row in rows] == [8 * 27 + 8, 72, 0, 0, 20490]
    assert [row.flops for row in rows] == [2 * 27 * 8 * 256, 2 * 64 * 256, 2 * 64 * 256, 0, 2 * 20480]
    assert [row.name for row in rows] == ["0", "1", "1", "3", "4"]


def test_the_table_has_a_row_for_each_layer_and_a_total():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    assert anatomy.table(model).splitlines() == [
        "layer  kind          output  parameters    FLOPs  field  stride",
        "---------------------------------------------------------------",
        "0      Conv2d       8x32x32         224  442,368      3       1",
        "1      BatchNorm2d  8x32x32          16        0      3       1",
        "3      MaxPool2d    8x16x16           0        0      4       2",
        "---------------------------------------------------------------",
        "total                               240  442,368",
        "not shown, as they change neither shape nor field: ReLU",
    ]


def test_the_model_is_left_as_it_was():
    model = chain().train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draws = torch.get_rng_state()
    anatomy.table(model)
    with pytest.raises(ValueError):
        anatomy.layers(model, (1, 32, 32))
    assert [m.training for m in model] == [True, False] + [True] * 6
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(draws, torch.get_rng_state())


def test_an_image_of_the_wrong_size_is_refused_in_one_line():
    with pytest.raises(ValueError) as caught:
        anatomy.layers(nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), (3, 16, 16))
    message = str(caught.value)
    assert message.startswith("Sequential cannot take an image of 3x16x16: layer '1': mat1 and mat2 shapes")
    assert "\n" not in message
