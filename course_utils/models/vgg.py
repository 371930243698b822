"""VGG with batch normalisation and dropout, as in "92.45% on CIFAR-10 in Torch" (Zagoruyko, 2015)."""

import math

from torch import nn

from course_utils.models.layers import Dropout

# Each row is a group of 3x3 convolutions, (width in units of the first one's, dropout after it), ending in a max-pool.
GROUPS = (
    ((1, 0.3), (1, 0)),
    ((2, 0.4), (2, 0)),
    ((4, 0.4), (4, 0.4), (4, 0)),
    ((8, 0.4), (8, 0.4), (8, 0)),
    ((8, 0.4), (8, 0.4), (8, 0)),
)


class VGG(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; 14,991,946 parameters with both BN and dropout at full width."""

    def __init__(self, bn: bool = True, dropout: bool = True, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        channels = 3
        for index, group in enumerate(GROUPS, start=1):
            self.add_module(f"group{index}", _group(channels, group, width, bn, dropout))
            channels = group[-1][0] * width
        self.add_module("head", _head(channels, classes, bn, dropout))
        self.apply(msr_init)


def _group(channels: int, group: tuple[tuple[int, float], ...], width: int, bn: bool, dropout: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for multiple, p in group:
        layers.append(nn.Conv2d(channels, multiple * width, 3, padding=1))
        if bn:
            layers.append(nn.BatchNorm2d(multiple * width, eps=1e-3))
        layers.append(nn.ReLU(inplace=True))
        if dropout and p:
            layers.append(Dropout(p))
        channels = multiple * width
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))


def _head(channels: int, classes: int, bn: bool, dropout: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    if dropout:
        layers.append(Dropout(0.5))
    layers.append(nn.Linear(channels, channels))
    if bn:
        layers.append(nn.BatchNorm1d(channels))
    layers.append(nn.ReLU(inplace=True))
    if dropout:
        layers.append(Dropout(0.5))
    layers.append(nn.Linear(channels, classes))
    return nn.Sequential(*layers)


def msr_init(layer: nn.Module) -> None:
    """He et al. (2015) with the fan of the output: weights N(0, 2 / (k k out)), biases 0; other layers untouched."""
    if isinstance(layer, nn.Conv2d):
        fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(layer.bias)
