"""The loop over an epoch, and the state that it changes. Lesson 2 builds it."""

import copy
import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import schedules
from course_utils.batches import Batches
from course_utils.optimizers import Muon
from course_utils.plumbing.distributed import ALONE, Processes
from course_utils.recipe import Recipe

AVERAGING_INTERVAL = 5  # steps; averaging at each of them costs more and gains nothing (Page, 2019)


class Diverged(Exception):
    """The loss is no longer a number."""


class Trainer:
    """The state that training changes (weights, their average, momentum, loss scale) and the loop over one epoch."""

    def __init__(self, model: nn.Module, recipe: Recipe, batches: Batches, processes: Processes = ALONE) -> None:
        self.model, self.recipe, self.batches, self.machine = model, recipe, batches, batches.machine
        self.processes = processes
        self.called = self.processes.wrap(model)
        self.optimizer, self.muon = _optimizers(model, recipe)
        self.average = copy.deepcopy(model) if recipe.averaging else None
        self.steps = 0
        # float16 gradients underflow unless the loss is scaled up; in the other precisions this does nothing.
        self.scaler = torch.amp.GradScaler(self.machine.device.type, enabled=self.machine.precision == torch.float16)

    @property
    def scored(self) -> nn.Module:
        """The network whose accuracy counts: the average of the weights where there is one."""
        return self.model if self.average is None else self.average

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update of the weights; returns the batch's mean loss and its number of right answers."""
        with self.machine.autocast():
            logits = self.called(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.model.zero_grad()
        self.scaler.scale(loss).backward()
        for optimizer in self._optimizers():
            self.scaler.step(optimizer)
        self.scaler.update()
        self.steps += 1
        if self.average is not None and self.steps % AVERAGING_INTERVAL == 0:
            _move_towards(self.average, self.model, 1 - self.recipe.averaging**AVERAGING_INTERVAL)
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def epoch(self, number: int) -> dict[str, Any]:
        """Train on every batch once; `number` counts from 0. Returns the epoch's row of the curve."""
        self.model.train()
        start, steps = time.perf_counter(), len(self.batches)
        loss_sum, right = torch.zeros((), device=self.machine.device), torch.zeros((), device=self.machine.device)
        for step, (images, labels) in enumerate(self.batches.epoch(number, self.recipe.side_in(number))):
            rate = self._set_rates(number + step / steps)
            loss, correct = self.step(images, labels)
            loss_sum += loss
            right += correct
            # Reading the loss makes a GPU wait, so there it is read once per epoch.
            if self.machine.device.type == "cpu" or step == steps - 1:
                check_finite(loss_sum.item(), number * steps + step + 1, number + 1, rate)
        loss, accuracy = self.processes.mean(loss_sum / steps), self.processes.mean(right / (steps * len(labels)))
        return {"epoch": number + 1, "loss": loss.item(), "accuracy": accuracy.item(), "held_out_loss": None,
                "held_out_accuracy": None, "rate": rate, "seconds": time.perf_counter() - start}

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer] if self.muon is None else [self.optimizer, self.muon]

    def _set_rates(self, epoch: float) -> float:
        """Set every group's learning rate and momentum after so many epochs; returns the recipe's rate."""
        rate = schedules.rate_at(self.recipe.schedule, epoch)
        for group in self.optimizer.param_groups:  # Muon has its own momentum
            group["momentum"] = schedules.rate_at(self.recipe.momentum_knots, epoch)
        for group in (group for optimizer in self._optimizers() for group in optimizer.param_groups):
            if group["epochs"] is None:
                group["lr"] = rate * group["boost"]
            elif epoch < group["epochs"]:
                ahead = epoch * self.recipe.epochs / group["epochs"]
                group["lr"] = schedules.rate_at(self.recipe.schedule, ahead) * group["boost"]
            else:
                group["lr"] = 0.0
                if self.processes.count == 1:  # nothing more is computed for it; several count on every gradient
                    for parameter in group["params"]:
                        parameter.requires_grad_(False).grad = None
        return rate

    def state_dict(self) -> dict[str, Any]:
        generators = {"cpu": torch.get_rng_state()}
        if self.machine.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        average = None if self.average is None else self.average.state_dict()
        return {"model": self.model.state_dict(), "average": average,
                "optimizers": [optimizer.state_dict() for optimizer in self._optimizers()],
                "scaler": self.scaler.state_dict(), "steps": self.steps, "generators": generators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        for optimizer, saved in zip(self._optimizers(), state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["generators"]["cpu"])
        if "cuda" in state["generators"]:
            torch.cuda.set_rng_state(state["generators"]["cuda"])


def _optimizers(model: nn.Module, recipe: Recipe) -> tuple[torch.optim.SGD, Muon | None]:
    """SGD for the parameters that are trained, but for the filters of convolutions where Muon takes them."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    filters = [name for name, p in trained.items() if p.ndim == 4] if recipe.muon is not None else []
    banks = [trained.pop(name) for name in filters]
    sgd = torch.optim.SGD(_groups(trained, recipe), lr=0.0, momentum=recipe.momentum_knots[0][1],
                          dampening=recipe.dampening, nesterov=recipe.nesterov, fused=True)
    if not banks:
        return sgd, None
    return sgd, Muon([{"params": banks, "boost": 1.0, "epochs": None}], lr=0.0, momentum=recipe.muon)


def _groups(trained: dict[str, nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """What SGD updates, with how much faster each group learns (and as much slower decays), and for how long."""
    def kind(name: str) -> tuple[float, float | None]:
        if name == "whiten.bias":
            return recipe.whitening_boost, recipe.whitening_epochs
        if name.startswith("head"):
            return recipe.head_boost, None
        return recipe.bias_boost if name.endswith("bias") else 1.0, None

    groups: dict[tuple[float, float | None], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        groups.setdefault(kind(name), []).append(parameter)
    return [{"params": parameters, "boost": boost, "epochs": epochs, "weight_decay": recipe.weight_decay / boost}
            for (boost, epochs), parameters in groups.items()]


@torch.no_grad()
def _move_towards(average: nn.Module, model: nn.Module, share: float) -> None:
    """Move the weights and running statistics of `average` by `share` of the way to those of `model`."""
    for ours, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, share)


def check_finite(loss: float, step: int, epoch: int, rate: float) -> None:
    """Raise Diverged, naming `step` and `epoch` (both from 1), where the loss is nan or infinite."""
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss} by step {step} (epoch {epoch}) at learning rate {rate:g}; "
                       "lower the learning rate or warm up longer")
