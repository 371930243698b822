"""Muon: momentum, orthogonalised, for the filters of convolutions (Jordan et al., 2024). Lesson 9 builds it."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # chosen for steepness at 0: small singular values grow fastest


def orthogonalise(matrix: Tensor, steps: int = 3) -> Tensor:
    """Push the singular values of a matrix (M, N) towards 1 and keep its singular vectors; bfloat16.

    A step of the Newton-Schulz iteration maps every singular value s to a*s + b*s**3 + c*s**5 with matrix products
    alone. Where that settles, values lie between about 0.7 and 1.2; a tiny one needs more steps to get there.
    """
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)  # no singular value above 1
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update of each filter bank, as a matrix (out, in * height * width), is orthogonalised.

    Before each step a bank is scaled to Frobenius norm sqrt(out), that of a matrix with orthonormal rows, so the rate
    is the share of the weights that a step renews; weight decay has nothing to do.
    """

    def __init__(self, banks: Iterable[nn.Parameter] | list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(banks, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        for group in self.param_groups:
            for bank in group["params"]:
                if bank.grad is None:
                    continue
                state = self.state[bank]
                buffer = state.setdefault("momentum_buffer", torch.zeros_like(bank))
                buffer.mul_(group["momentum"]).add_(bank.grad)
                update = bank.grad.add(buffer, alpha=group["momentum"])
                bank.mul_(len(bank) ** 0.5 / bank.norm())
                bank.add_(orthogonalise(update.flatten(1)).view_as(bank), alpha=-group["lr"])
