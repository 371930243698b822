"""How large a network is: its parameters, and the arithmetic of one image."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(model: nn.Module) -> int:
    """Number of parameters, trained and frozen, each once. Running statistics are not parameters."""
    return sum(p.numel() for p in model.parameters())


def flops(model: nn.Module, input_size: tuple[int, int, int] = (3, 32, 32)) -> int:
    """Operations of one forward pass of one image; a multiply-add is two (convolution and linear only)."""
    weight = next(model.parameters(), torch.empty(0))
    with torch.no_grad(), evaluating(model), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *input_size, device=weight.device, dtype=weight.dtype))
    return counter.get_total_flops()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
