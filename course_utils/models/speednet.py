"""The small network of the speedruns: a fixed whitening layer and six convolutions (Jordan, 2024)."""

import torch
from torch import Tensor, nn

from course_utils.models.layers import Scale
from course_utils.models.whitening import whitening_filters


class SpeedNet(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; 1,972,792 parameters, of which 1,971,352 are trained.

    With `whitening`, `set_whitening` fixes the filters of the first layer; else they are learned. With `dirac`, the
    other convolutions start by passing their input channels on. `frozen_scales` keeps BN's scales at 1. With
    `zero_bias` the whitening layer's bias starts at zero, as where Jordan trains by SGD; else at random, as by Muon.
    The head starts with standard deviation 1, its logits divided by its width. With `silu`, which is cheaper, SiLUs
    take the place of all GELUs but the first.
    """

    whitened_images = 5_000

    def __init__(self, width: int = 64, whitening: bool = True, dirac: bool = True, frozen_scales: bool = True,
                 zero_bias: bool = True, silu: bool = False, bn_momentum: float = 0.4, classes: int = 10) -> None:
        activation = nn.SiLU if silu else nn.GELU

        def conv(channels: int, out: int) -> nn.Conv2d:
            layer = nn.Conv2d(channels, out, 3, padding=1, bias=False)
            if dirac:
                nn.init.dirac_(layer.weight.data[:channels])
            return layer

        def norm(channels: int) -> nn.BatchNorm2d:
            # Running averages of the last few batches: a run has a few hundred steps.
            layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=bn_momentum)
            layer.weight.requires_grad_(not frozen_scales)
            return layer

        def group(channels: int, out: int) -> nn.Sequential:
            return nn.Sequential(conv(channels, out), nn.MaxPool2d(2), norm(out), activation(),
                                 conv(out, out), norm(out), activation())

        super().__init__()
        first = nn.Conv2d(3, 24, 2)
        if whitening:
            first.weight.requires_grad_(False)
            if zero_bias:
                nn.init.zeros_(first.bias)
        self.add_module("whiten" if whitening else "first", first)
        self.add_module("gelu", nn.GELU())
        self.add_module("group1", group(24, width))
        self.add_module("group2", group(width, 4 * width))
        self.add_module("group3", group(4 * width, 4 * width))
        self.add_module("head", nn.Sequential(
            nn.MaxPool2d(3), nn.Flatten(), nn.Linear(4 * width, classes, bias=False), Scale(1 / (4 * width))))
        weight = self.head[2].weight.data
        weight /= weight.std()

    def set_whitening(self, images: Tensor) -> None:
        """Set the fixed first layer from normalised images (N, 3, 32, 32), Jordan's `whitened_images`.

        An activation that lets only one sign through loses half of what a filter finds: each comes with its negative.
        """
        filters = whitening_filters(images, 2, eps=5e-4)
        self.whiten.weight.data.copy_(torch.cat([filters, -filters]))
