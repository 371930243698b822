"""Residual networks for 32x32 images: He et al., "Deep residual learning" and "Identity mappings" (2015, 2016)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ResNet(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; as it stands, ResNet-18: 11,173,962 parameters.

    `blocks` is the number of blocks of each stage; a stage halves the map, from the second on, and doubles `width`.
    `shortcut` is "projection" (a 1x1 convolution where the shape changes), "pad" (zeros for the new channels, no
    parameters; the CIFAR networks of the paper) or None: a plain network. `stem` is "cifar", a 3x3 convolution, or
    "imagenet", 7x7 with stride 2 and a max-pool, which hands on 8x8 maps of a 32x32 image. With `preactivation`,
    BN and ReLU come before each convolution and nothing stands in the shortcut's way.
    """

    def __init__(self, blocks: Sequence[int] = (2, 2, 2, 2), width: int = 64, shortcut: str | None = "projection",
                 preactivation: bool = False, stem: str = "cifar", classes: int = 10) -> None:
        super().__init__()
        if shortcut not in ("projection", "pad", None) or stem not in ("cifar", "imagenet"):
            raise ValueError(f"shortcut {shortcut!r}, stem {stem!r}: choose 'projection', 'pad' or None, and 'cifar' "
                             "or 'imagenet'")
        self.add_module("stem", _stem(width, stem, preactivation))
        block = PreActivationBlock if preactivation else BasicBlock
        channels = width
        for stage, count in enumerate(blocks):
            layers = nn.Sequential()
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                layers.append(block(channels, width * 2**stage, stride, shortcut))
                channels = width * 2**stage
            self.add_module(f"stage{stage + 1}", layers)
        head = nn.Sequential()
        if preactivation:
            head.extend([nn.BatchNorm2d(channels), nn.ReLU(inplace=True)])
        self.add_module("head", head.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")


def cifar_resnet(depth: int, shortcut: str | None = "pad", preactivation: bool = False, width: int = 16) -> ResNet:
    """The paper's networks for CIFAR-10, 6n + 2 layers deep: 20 (0.27 M parameters), 32 (0.46 M), 44, 56, 110."""
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth {depth}: expected 6n + 2, as in 20, 32, 44, 56 or 110")
    return ResNet([(depth - 2) // 6] * 3, width, shortcut, preactivation)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BN; what came in is added before the last ReLU."""

    def __init__(self, channels: int, width: int, stride: int = 1, shortcut: str | None = "projection") -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3(channels, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.shortcut = _shortcut(channels, width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out if self.shortcut is None else out + self.shortcut(x))


class PreActivationBlock(nn.Module):
    """BN, ReLU and convolution, twice; what came in is added at the end, and nothing follows.

    Where the shape changes, a projection takes the activated input and has no BN of its own.
    """

    def __init__(self, channels: int, width: int, stride: int = 1, shortcut: str | None = "projection") -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), _conv3(channels, width, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), _conv3(width, width)
        self.shortcut = _shortcut(channels, width, stride, shortcut, norm=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(active))))
        if self.shortcut is None:
            return out
        return out + self.shortcut(active if isinstance(self.shortcut, nn.Sequential) else x)


class Pad(nn.Module):
    """A shortcut without parameters: every `stride`-th pixel, and zeros for the channels that are missing."""

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = missing, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


def _stem(width: int, kind: str, preactivation: bool) -> nn.Sequential:
    first = _conv3(3, width) if kind == "cifar" else nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
    layers = nn.Sequential(first)
    if not preactivation:
        layers.extend([nn.BatchNorm2d(width), nn.ReLU(inplace=True)])
    if kind == "imagenet":
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return layers


def _conv3(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)


def _shortcut(channels: int, width: int, stride: int, kind: str | None, norm: bool = True) -> nn.Module | None:
    if kind is None:
        return None
    if channels == width and stride == 1:
        return nn.Identity()
    if kind == "pad":
        return Pad(width - channels, stride)
    projection = nn.Sequential(nn.Conv2d(channels, width, 1, stride=stride, bias=False))
    if norm:
        projection.append(nn.BatchNorm2d(width))
    return projection
