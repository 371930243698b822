"""VGG with batch normalisation and dropout, as in "92.45% on CIFAR-10 in Torch" (Zagoruyko, 2015)."""

from __future__ import annotations

import math

from torch import nn

from course_utils.models.layers import Dropout

# Each row is a group of 3x3 convolutions that ends in a 2x2 max-pool; after all but the last, the dropout that follows.
GROUPS = (
    ((64, 0.3), (64, 0)),
    ((128, 0.4), (128, 0)),
    ((256, 0.4), (256, 0.4), (256, 0)),
    ((512, 0.4), (512, 0.4), (512, 0)),
    ((512, 0.4), (512, 0.4), (512, 0)),
)


class VGG(nn.Sequential):
    """(N, 3, 32, 32) images to (N, 10) logits; 14,991,946 parameters with both BN and dropout."""

    def __init__(self, bn: bool = True, dropout: bool = True, classes: int = 10) -> None:
        super().__init__()
        channels = 3
        for index, group in enumerate(GROUPS, start=1):
            self.add_module(f"group{index}", _group(channels, group, bn, dropout))
            channels = group[-1][0]
        self.add_module("head", _head(channels, classes, bn, dropout))
        self.apply(msr_init)


def _group(channels: int, group: tuple[tuple[int, float], ...], bn: bool, dropout: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, p in group:
        layers.append(nn.Conv2d(channels, width, 3, padding=1))
        if bn:
            layers.append(nn.BatchNorm2d(width, eps=1e-3))
        layers.append(nn.ReLU(inplace=True))
        if dropout and p:
            layers.append(Dropout(p))
        channels = width
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))


def _head(channels: int, classes: int, bn: bool, dropout: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    if dropout:
        layers.append(Dropout(0.5))
    layers.append(nn.Linear(channels, 512))
    if bn:
        layers.append(nn.BatchNorm1d(512))
    layers.append(nn.ReLU(inplace=True))
    if dropout:
        layers.append(Dropout(0.5))
    return nn.Sequential(*layers, nn.Linear(512, classes))


def msr_init(layer: nn.Module) -> None:
    """He et al. (2015) with the fan of the output: weights N(0, 2 / (k k out)), biases 0; other layers untouched."""
    if isinstance(layer, nn.Conv2d):
        fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(layer.bias)
