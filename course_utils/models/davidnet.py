"""DavidNet, the ResNet-9 that David Page trained to 94% in 79 seconds (DAWNBench, 2018), and his later improvements."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.models.layers import Scale
from course_utils.models.whitening import whitening_filters


class DavidNet(nn.Sequential):
    """(N, 3, 32, 32) images to (N, classes) logits; 6,573,120 parameters.

    Page's "bag of tricks", in his order: `pool_first` (the max-pool before BN, not after ReLU), `celu` (its alpha;
    None: ReLU), `ghosts` (a batch is normalised in so many parts), `frozen_scales` (BN's scales stay at 1), `whitening`
    (a fixed 3x3 convolution that `set_whitening` sets, then a trained 1x1). The logits are multiplied by `scale`.
    """

    whitened_images = 10_000

    def __init__(self, width: int = 64, pool_first: bool = False, celu: float | None = None, ghosts: int = 1,
                 frozen_scales: bool = False, whitening: bool = False, scale: float = 0.125, classes: int = 10) -> None:

        def block(channels: int, out: int, kernel: int = 3, pool: bool = False) -> nn.Sequential:
            conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
            norm = GhostBatchNorm(out, ghosts) if ghosts > 1 else nn.BatchNorm2d(out)
            norm.weight.requires_grad_(not frozen_scales)
            layers = [conv, norm, nn.ReLU() if celu is None else nn.CELU(celu)]
            if pool:
                layers.insert(1 if pool_first else 3, nn.MaxPool2d(2))
            return nn.Sequential(*layers)

        def residual(channels: int) -> nn.Module:
            return Residual(block(channels, channels), block(channels, channels))

        super().__init__()
        if whitening:
            self.add_module("whiten", nn.Conv2d(3, 27, 3, padding=1, bias=False).requires_grad_(False))
        self.add_module("prep", block(27, width, kernel=1) if whitening else block(3, width))
        self.add_module("layer1", nn.Sequential(block(width, 2 * width, pool=True), residual(2 * width)))
        self.add_module("layer2", block(2 * width, 4 * width, pool=True))
        self.add_module("layer3", nn.Sequential(block(4 * width, 8 * width, pool=True), residual(8 * width)))
        self.add_module("head", nn.Sequential(
            nn.MaxPool2d(4), nn.Flatten(), nn.Linear(8 * width, classes, bias=False), Scale(scale)))

    def set_whitening(self, images: Tensor) -> None:
        """Set the fixed first layer from normalised images (N, 3, 32, 32), Page's `whitened_images`."""
        self.whiten.weight.data.copy_(whitening_filters(images, 3, eps=1e-2))


class Residual(nn.Sequential):
    """x + f(x); the sum comes after the last activation of f."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class GhostBatchNorm(nn.BatchNorm2d):
    """Batch norm that normalises `ghosts` equal parts of a batch separately (Hoffer et al., 2017)."""

    def __init__(self, channels: int, ghosts: int) -> None:
        super().__init__(channels)
        self.ghosts = ghosts

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if len(x) % self.ghosts:
            raise ValueError(f"a batch of {len(x)} does not split into {self.ghosts} ghost batches: "
                             f"choose a multiple of {self.ghosts}")
        # Each part moves the running averages by its share of the momentum.
        return torch.cat([
            F.batch_norm(part, self.running_mean, self.running_var, self.weight, self.bias, True,
                         self.momentum / self.ghosts, self.eps)
            for part in x.chunk(self.ghosts)])
