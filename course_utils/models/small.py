"""The small convnet of lesson 2: seconds on one core, and far above any linear model."""

from torch import nn


class Small(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; 24,346 parameters.

    Three blocks of 3x3 convolution, BN, ReLU and 2x2 max-pool, 16, 32 and 64 wide, then a global average. The linear
    head starts at zero: every class is equally likely at first, so the loss starts at exactly ln 10.
    """

    def __init__(self, classes: int = 10) -> None:
        blocks = [_block(3, 16), _block(16, 32), _block(32, 64)]
        head = nn.Linear(64, classes)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def _block(channels: int, width: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)  # BN takes a mean away, and a bias with it
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(2))
