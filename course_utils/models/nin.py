"""Network in Network, as in "92.45% on CIFAR-10 in Torch" (Zagoruyko, 2015), after Lin, Chen and Yan (2013)."""

from torch import nn

from course_utils.models.layers import Dropout


class NIN(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; 969,822 parameters with BN.

    Every spatial convolution is followed by two of 1x1, a small network on each position's channels. The last one
    draws a map per class and the average of a map is the logit; with `average` off, a linear layer on the 192 maps
    before it takes their place. `width` counts the channels of the widest layers.
    """

    def __init__(self, bn: bool = True, average: bool = True, width: int = 192, classes: int = 10) -> None:
        middle, narrow = width * 5 // 6, width // 2
        group1 = [*_conv(3, width, 5, bn), *_conv(width, middle, 1, bn), *_conv(middle, narrow, 1, bn)]
        group2 = [*_conv(narrow, width, 5, bn), *_conv(width, width, 1, bn), *_conv(width, width, 1, bn)]
        group3 = [*_conv(width, width, 3, bn), *_conv(width, width, 1, bn)]
        if average:
            head = [*_conv(width, classes, 1, bn), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        else:
            head = [nn.Flatten(), nn.Linear(width * 8 * 8, classes)]
        super().__init__()
        self.add_module("group1", nn.Sequential(*group1, nn.MaxPool2d(3, 2, ceil_mode=True), Dropout(0.5)))
        self.add_module("group2", nn.Sequential(*group2, nn.AvgPool2d(3, 2, ceil_mode=True), Dropout(0.5)))
        self.add_module("group3", nn.Sequential(*group3))
        self.add_module("head", nn.Sequential(*head))
        self.apply(_initialise)


def _conv(channels: int, width: int, kernel: int, bn: bool) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, kernel, padding=kernel // 2)]
    if bn:
        layers.append(nn.BatchNorm2d(width, eps=1e-3))
    layers.append(nn.ReLU(inplace=True))
    return layers


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(layer.weight, std=0.05)
        nn.init.zeros_(layer.bias)
