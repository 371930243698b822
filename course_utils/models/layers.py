"""Layers that several networks share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero each activation with probability `p` and scale up the rest, like `nn.Dropout`.

    On a processor `nn.Dropout` draws a number per activation on a single core, which can take longer than the
    convolution before it (lesson 3 measures both). Here one 64-bit draw decides for eight activations, a byte each, so
    `p` is rounded to a multiple of 1/256. Accelerators draw in parallel, by torch's own.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = round(p * 256)
        if not 0 <= self.dropped < 256:
            raise ValueError(f"dropout probability {p} is not between 0 and 255/256")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.dropped / 256)
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        keep = draws.view(torch.uint8)[: x.numel()] >= self.dropped
        mask = torch.empty_like(x, requires_grad=False)
        mask.as_strided((x.numel(),), (1,)).copy_(keep).mul_(256 / (256 - self.dropped))
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.dropped / 256:.3g}"


class Scale(nn.Module):
    """Multiply by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"
