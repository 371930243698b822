"""What updates the weights: a recipe's `optimizer` is one of these, or a reader's own frozen dataclass with `build`.

The loop sets the learning rate of every group before each step, multiplied by the group's "boost" where it has one,
and tells each group how many steps the run has ("run_steps").
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # chosen for steepness at 0: small singular values grow fastest


class Optimizer(Protocol):
    """How a model is updated. A record keeps a reader's own by its `repr`, in which a dataclass shows its settings."""

    def build(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        """PyTorch's optimizers for the parameters of `model` that are trained."""


@dataclass(frozen=True)
class SGD:
    """SGD with momentum and weight decay, whose groups may learn at rates of their own.

    `dampening` scales the gradient's share in the momentum buffer by 1 - dampening. Biases learn `bias_boost` times
    faster and decay as much slower, linear layers `head_boost` times. The bias of a whitening layer (a convolution
    whose filters are fixed) learns `whitening_boost` times faster, and for the share `whitening_part` of the run only
    (None: all of it), its rate going through the whole schedule in that time.
    """

    weight_decay: float = 5e-4
    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    bias_boost: float = 1.0
    head_boost: float = 1.0
    whitening_boost: float = 1.0
    whitening_part: float | None = None

    def __post_init__(self) -> None:
        if min(self.bias_boost, self.head_boost, self.whitening_boost) <= 0:
            raise ValueError(f"{self}: expected boosts above 0; requires_grad_(False) keeps a parameter as it is")

    def build(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        return [self.over(trained(model))]

    def over(self, parameters: dict[nn.Parameter, nn.Module]) -> torch.optim.SGD:
        """SGD over `parameters`, each with the layer that it belongs to, in one group per boost and part."""
        groups: dict[tuple[float, float | None], list[nn.Parameter]] = {}
        for parameter, layer in parameters.items():
            groups.setdefault(self.boost_and_part(parameter, layer), []).append(parameter)
        rows = [{"params": group, "boost": boost, "part": part, "weight_decay": self.weight_decay / boost}
                for (boost, part), group in groups.items()]
        return torch.optim.SGD(rows, lr=0.0, momentum=self.momentum, dampening=self.dampening,
                               nesterov=self.nesterov, fused=True)

    def boost_and_part(self, parameter: nn.Parameter, layer: nn.Module) -> tuple[float, float | None]:
        """How much faster a parameter learns, and for what share of the run (None: all of it)."""
        if isinstance(layer, nn.Linear):
            return self.head_boost, None
        if parameter is not getattr(layer, "bias", None):
            return 1.0, None
        if isinstance(layer, nn.Conv2d) and not layer.weight.requires_grad:
            return self.whitening_boost, self.whitening_part
        return self.bias_boost, None


@dataclass(frozen=True)
class MuonAndSGD(SGD):
    """Muon, of momentum `muon`, for the filters of convolutions; SGD for the rest."""

    muon: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.muon < 1:
            raise ValueError(f"muon's momentum {self.muon} is not in [0, 1)")

    def build(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        parameters = trained(model)
        banks = [parameter for parameter in parameters if parameter.ndim == 4]
        rest = {parameter: layer for parameter, layer in parameters.items() if parameter.ndim != 4}
        if not banks:
            raise ValueError(f"{type(model).__name__} has no convolution for Muon to update: choose SGD()")
        sgd = [self.over(rest)] if rest else []
        return [*sgd, self.muon_over(banks)]

    def muon_over(self, banks: list[nn.Parameter]) -> "Muon":
        return Muon(banks, lr=0.0, momentum=self.muon)


@dataclass(frozen=True)
class SparingMuonAndSGD(MuonAndSGD):
    """The same by `SparingMuon`, which scales ever more rarely over the share `sparing_part` of the run."""

    muon_decay: float = 0.0
    sparing_part: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sparing_part <= 1 or self.muon_decay < 0:
            raise ValueError(f"{self}: expected a sparing_part in (0, 1] and a muon_decay from 0")

    def muon_over(self, banks: list[nn.Parameter]) -> "Muon":
        return SparingMuon(banks, 0.0, self.muon, self.muon_decay, self.sparing_part)


def trained(model: nn.Module) -> dict[nn.Parameter, nn.Module]:
    """The parameters of `model` that are trained, in their order, each with the layer that it belongs to."""
    return {parameter: layer for layer in model.modules() for parameter in layer.parameters(recurse=False)
            if parameter.requires_grad}


def orthogonalise(
    matrices: Tensor, steps: int = 3, coefficients: tuple[float, float, float] = COEFFICIENTS
) -> Tensor:
    """Push the singular values of matrices (..., M, N) towards 1 and keep their singular vectors; bfloat16.

    A step of the Newton-Schulz iteration maps every singular value s to a*s + b*s**3 + c*s**5 with matrix products
    alone. Where that settles, values lie between about 0.7 and 1.2; a tiny one needs more steps to get there.
    """
    a, b, c = coefficients
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value above 1
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update of each filter bank, as a matrix (out, in * height * width), is orthogonalised.

    Jordan et al., 2024; PyTorch's own Muon takes matrices only. Before each step a bank is scaled to Frobenius norm
    sqrt(out), that of a matrix with orthonormal rows, so the rate is the share of the weights that a step renews;
    weight decay has nothing to do. Banks of one shape are orthogonalised together: a GPU then starts fewer programs.
    """

    coefficients = COEFFICIENTS

    def __init__(self, banks: Iterable[nn.Parameter] | list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(banks, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for bank, update in self.updates(group):
                self.scale(bank)
                bank.add_(update, alpha=-group["lr"])

    @staticmethod
    def scale(bank: Tensor) -> None:
        """Scale filters to Frobenius norm sqrt(out); zeros stay zeros."""
        bank.mul_(len(bank) ** 0.5 / bank.norm().clamp_min(1e-7))

    def updates(self, group: dict[str, Any]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Every bank that has a gradient, and its orthogonalised update."""
        alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}  # banks and their updates, by shape
        for bank in group["params"]:
            if bank.grad is not None:
                state = self.state[bank]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(bank)
                buffer = state["momentum_buffer"]
                buffer.mul_(group["momentum"]).add_(bank.grad)
                update = bank.grad.add(buffer, alpha=group["momentum"])
                alike.setdefault(bank.shape, []).append((bank, update.flatten(1)))
        for pairs in alike.values():
            updates = orthogonalise(torch.stack([update for _, update in pairs]), coefficients=self.coefficients)
            for (bank, _), update in zip(pairs, updates, strict=True):
                yield bank, update.view_as(bank)


class SparingMuon(Muon):
    """Muon that scales its banks in every second step at first and, by and by, in every 17th (Hiverge, 2025).

    It has coefficients of its own, and its filters decay: between two scalings a bank's size may change.
    """

    coefficients = (3.4576, -4.7391, 2.0843)

    def __init__(
        self, banks: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float, sparing_part: float
    ) -> None:
        super().__init__(banks, lr, momentum)
        self.param_groups[0] |= {"weight_decay": weight_decay, "sparing_part": sparing_part, "step": 0, "scaled_in": 0}

    @torch.no_grad()
    def step(self) -> None:
        group = self.param_groups[0]
        group["step"] += 1
        sparing_steps = max(1, round(group["sparing_part"] * group["run_steps"]))
        scales = group["step"] - group["scaled_in"] >= 2 + 15 * group["step"] // sparing_steps
        if scales:
            group["scaled_in"] = group["step"]
        for bank, update in self.updates(group):
            if scales:
                self.scale(bank)
            bank.add_(update, alpha=-group["lr"])
            bank.mul_(1 - group["lr"] * group["weight_decay"])
