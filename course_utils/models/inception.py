"""GoogLeNet for 32x32 images, after Szegedy et al., "Going deeper with convolutions" (2014)."""

import torch
from torch import Tensor, nn

# Channels of each module (ones, reduce3, threes, reduce5, fives, pooled), stage by stage; a pool between stages.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
     (256, 160, 320, 32, 128, 128)),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class Inception(nn.Module):
    """Four branches side by side, joined along the channels: (N, channels, H, W) to (N, out_channels, H, W).

    The branches end in `ones`, `threes`, `fives` and `pooled` channels: a 1x1 convolution; a 1x1 to `reduce3` channels,
    then a 3x3; a 1x1 to `reduce5`, then a 5x5; and a 3x3 max-pool, then a 1x1.
    """

    def __init__(self, channels: int, ones: int, reduce3: int, threes: int, reduce5: int, fives: int,
                 pooled: int) -> None:
        super().__init__()
        self.out_channels = ones + threes + fives + pooled
        self.branch1 = conv(channels, ones, 1)
        self.branch3 = nn.Sequential(conv(channels, reduce3, 1), conv(reduce3, threes, 3))
        self.branch5 = nn.Sequential(conv(channels, reduce5, 1), conv(reduce5, fives, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.pool(x)], dim=1)


class GoogLeNet(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; 5,871,914 parameters at full width.

    The nine modules are the paper's. The stem is one 3x3 convolution at full resolution in place of three layers that
    divide the side by 8; every convolution has BN; there are no auxiliary classifiers and no dropout. `width` scales
    every channel count; with `early_pool` the stem halves the maps, which leaves a quarter of the arithmetic.
    """

    def __init__(self, width: float = 1.0, early_pool: bool = False, classes: int = 10) -> None:
        super().__init__()
        channels = round(192 * width)
        stem = nn.Sequential(conv(3, channels, 3))
        if early_pool:
            stem.append(nn.MaxPool2d(2))
        self.add_module("stem", stem)
        for number, stage in enumerate(STAGES, start=3):  # the paper counts its stages from 3
            modules: list[nn.Module] = []
            for row in stage:
                module = Inception(channels, *(round(n * width) for n in row))
                modules.append(module)
                channels = module.out_channels
            if number < 5:
                modules.append(nn.MaxPool2d(3, stride=2, padding=1))
            self.add_module(f"stage{number}", nn.Sequential(*modules))
        self.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)))


def conv(channels: int, width: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the map's size, BN and ReLU."""
    layer = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
