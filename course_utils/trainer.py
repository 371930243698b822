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
from course_utils.recipe import Recipe

AVERAGING_INTERVAL = 5  # steps; averaging at each of them costs more and gains nothing (Page, 2019)


class Diverged(Exception):
    """The loss is no longer a number."""


class Trainer:
    """The state that training changes (weights, their average, momentum, loss scale) and the loop over one epoch."""

    def __init__(self, model: nn.Module, recipe: Recipe, batches: Batches) -> None:
        self.model, self.recipe, self.batches, self.machine = model, recipe, batches, batches.machine
        self.optimizer = torch.optim.SGD(
            _groups(model, recipe), lr=0.0, momentum=recipe.momentum_knots[0][1], dampening=recipe.dampening,
            nesterov=recipe.nesterov, fused=True)
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
            logits = self.model(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
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
        for step, (images, labels) in enumerate(self.batches.epoch(number)):
            rate = schedules.rate_at(self.recipe.schedule, number + step / steps)
            momentum = schedules.rate_at(self.recipe.momentum_knots, number + step / steps)
            for group in self.optimizer.param_groups:
                group["lr"], group["momentum"] = rate * group["boost"], momentum
            loss, correct = self.step(images, labels)
            loss_sum += loss
            right += correct
            # Reading the loss makes a GPU wait, so there it is read once per epoch.
            if self.machine.device.type == "cpu" or step == steps - 1:
                check_finite(loss_sum.item(), number * steps + step + 1, number + 1, rate)
        return {"epoch": number + 1, "loss": loss_sum.item() / steps,
                "accuracy": right.item() / (steps * self.recipe.batch_size), "held_out_loss": None,
                "held_out_accuracy": None, "rate": rate, "seconds": time.perf_counter() - start}

    def state_dict(self) -> dict[str, Any]:
        generators = {"cpu": torch.get_rng_state()}
        if self.machine.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        average = None if self.average is None else self.average.state_dict()
        return {"model": self.model.state_dict(), "average": average,
                "optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict(), "steps": self.steps,
                "generators": generators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["generators"]["cpu"])
        if "cuda" in state["generators"]:
            torch.cuda.set_rng_state(state["generators"]["cuda"])


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The trained parameters for the optimizer: all alike, or the biases in a group of their own."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if recipe.bias_boost == 1:
        return [{"params": list(trained.values()), "boost": 1.0, "weight_decay": recipe.weight_decay}]
    biases = [p for name, p in trained.items() if name.endswith("bias")]
    rest = [p for name, p in trained.items() if not name.endswith("bias")]
    boost = recipe.bias_boost
    return [{"params": rest, "boost": 1.0, "weight_decay": recipe.weight_decay},
            {"params": biases, "boost": boost, "weight_decay": recipe.weight_decay / boost}]


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
