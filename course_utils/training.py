"""Training a network from an explicit recipe. Lesson 2 builds this loop."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import anatomy, data, schedules, yuv
from course_utils.batches import Augmentation, Batches
from course_utils.checkpoints import resume, save_checkpoint
from course_utils.evaluation import evaluate
from course_utils.ledger import Run
from course_utils.machine import Machine, hardware, keep_freed_memory, this_machine, versions

EVALUATION_BATCH = 500


class Diverged(Exception):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides the network and the data; plain values, stored in the record.

    `schedule` holds (epoch, learning rate) knots; `dampening` scales the gradient's share in the momentum buffer by
    1 - dampening; `flip`, `crop` and `cutout` are those of `Augmentation`; `colour` is "rgb" or "yuv" (the
    preprocessing of 2015); `held_out` images of train are kept for the curves (0: a final run on all of train);
    `precision` None leaves the choice to the machine.
    """

    name: str
    epochs: int
    schedule: schedules.Knots
    batch_size: int = 128
    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    flip: str | None = "random"
    crop: int = 0
    cutout: int = 0
    colour: str = "rgb"
    held_out: int = 5000
    precision: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"{self.epochs} epochs: a run needs at least 1")
        if self.colour not in ("rgb", "yuv"):
            raise ValueError(f"colour {self.colour!r} is unknown: choose 'rgb' or 'yuv'")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label smoothing {self.label_smoothing} is not in [0, 1)")
        if self.held_out < 0:
            raise ValueError(f"{self.held_out} images held out: choose 0 or more")
        schedules.check(self.schedule)
        Augmentation(self.flip, self.crop, self.cutout)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.flip, self.crop, self.cutout)


def fit(
    model: nn.Module,
    recipe: Recipe,
    dataset: data.Dataset,
    *,
    machine: Machine | None = None,
    folder: str | Path | None = None,
    test: bool = True,
    on_epoch: Callable[[Run], None] | None = None,
) -> Run:
    """Train `model` by `recipe` and return the record.

    The curve is scored on the images held out of train; `test` scores the test set, once, after the last epoch.
    With a `folder`, a checkpoint and the record so far are kept there after every epoch, and a run that was cut off
    goes on from its last checkpoint. `on_epoch` is called with the record after every epoch. Build the model under
    `torch.manual_seed(recipe.seed)` to have the same seed give the same curve.

    Raises Diverged when the loss is no longer a number, CheckpointError when a checkpoint in `folder` is damaged or
    another run's, ValueError for a recipe that does not fit the data.
    """
    machine = machine or this_machine(precision=recipe.precision)
    precision = str(machine.precision).removeprefix("torch.")
    if recipe.precision not in (None, precision):
        raise ValueError(f"the recipe asks for {recipe.precision}, the machine for {precision}: make them agree")
    if machine.device.type == "cpu":
        keep_freed_memory()
    recipe = replace(recipe, precision=precision)
    train, held_out, test_set = prepare(recipe, dataset, machine, test)
    model.to(machine.device, memory_format=machine.memory_format)
    run = new_run(model, recipe, dataset, machine, len(train.labels))
    trainer = Trainer(model, recipe, train)
    torch.manual_seed(recipe.seed)
    if folder is not None:
        resume(run, trainer, folder)
    for epoch in range(len(run.curve), recipe.epochs):
        start = time.perf_counter()
        row = trainer.epoch(epoch)
        if held_out:
            scores = evaluate(model, held_out)
            check_finite(scores.loss, len(train) * (epoch + 1), epoch + 1, row["rate"])
            row |= {"held_out_loss": scores.loss, "held_out_accuracy": scores.accuracy}
            run.result = scores.result("held_out")
        row["wall_seconds"] = time.perf_counter() - start
        run.curve.append(row)
        run.seconds = {"training": sum(done["seconds"] for done in run.curve),
                       "wall": sum(done["wall_seconds"] for done in run.curve)}
        if folder is not None:
            save_checkpoint(run, trainer, folder)
        if on_epoch:
            on_epoch(run)
    start = time.perf_counter()
    if test_set:
        scores = evaluate(model, test_set)
        check_finite(scores.loss, len(train) * recipe.epochs, recipe.epochs, run.curve[-1]["rate"])
        run.result = scores.result("test")
    run.seconds["wall"] += time.perf_counter() - start
    run.finished = True
    if folder is not None:
        run.save(Path(folder) / "run.json")
    return run


def prepare(
    recipe: Recipe, dataset: data.Dataset, machine: Machine, test: bool
) -> tuple[Batches, Batches | None, Batches | None]:
    """Batches to train on, the held-out ones that score the curve (None if nothing is held out), and the test set's."""
    if recipe.held_out >= len(dataset.train):
        raise ValueError(f"{recipe.held_out} images held out of {len(dataset.train)}: nothing is left to train on")
    splits = {"train": dataset.train}
    if recipe.held_out:
        splits["train"], splits["held_out"] = data.split(dataset.train, recipe.held_out)
    if test:
        splits["test"] = dataset.test
    if recipe.colour == "yuv":
        splits = dict(zip(splits, yuv.preprocess(*splits.values()), strict=True))
    train = Batches(splits.pop("train"), recipe.batch_size, machine, recipe.augmentation, recipe.seed)
    scored = {name: Batches(split, EVALUATION_BATCH, machine) for name, split in splits.items()}
    return train, scored.get("held_out"), scored.get("test")


def new_run(model: nn.Module, recipe: Recipe, dataset: data.Dataset, machine: Machine, images: int) -> Run:
    """The record of a run that hasn't begun, of so many `images` to train on."""
    return Run(
        recipe=asdict(recipe) | {"schedule": [list(knot) for knot in recipe.schedule]},
        model={"name": type(model).__name__, "parameters": anatomy.parameters(model), "flops": anatomy.flops(model),
               "layers": repr(model)},
        data={"name": dataset.name, "fingerprint": dataset.fingerprint, "classes": list(dataset.classes),
              "train": images, "held_out": len(dataset.train) - images, "test": len(dataset.test)},
        hardware=hardware(machine), versions=versions(), started=datetime.now(UTC).date().isoformat(),
    )


class Trainer:
    """The state that training changes (weights, momentum, loss scale) and the loop over one epoch."""

    def __init__(self, model: nn.Module, recipe: Recipe, batches: Batches) -> None:
        self.model, self.recipe, self.batches, self.machine = model, recipe, batches, batches.machine
        self.optimizer = torch.optim.SGD(
            model.parameters(), lr=0.0, momentum=recipe.momentum, dampening=recipe.dampening,
            nesterov=recipe.nesterov, weight_decay=recipe.weight_decay, fused=True)
        # float16 gradients underflow unless the loss is scaled up; in the other precisions this does nothing.
        self.scaler = torch.amp.GradScaler(self.machine.device.type, enabled=self.machine.precision == torch.float16)

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update of the weights; returns the batch's mean loss and its number of right answers."""
        with self.machine.autocast():
            logits = self.model(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def epoch(self, number: int) -> dict[str, Any]:
        """Train on every batch once; `number` counts from 0. Returns the epoch's row of the curve."""
        self.model.train()
        start, steps = time.perf_counter(), len(self.batches)
        loss_sum, right = torch.zeros((), device=self.machine.device), torch.zeros((), device=self.machine.device)
        for step, (images, labels) in enumerate(self.batches.epoch(number)):
            rate = schedules.rate_at(self.recipe.schedule, number + step / steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
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
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(), "generators": generators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["generators"]["cpu"])
        if "cuda" in state["generators"]:
            torch.cuda.set_rng_state(state["generators"]["cuda"])


def check_finite(loss: float, step: int, epoch: int, rate: float) -> None:
    """Raise Diverged, naming `step` and `epoch` (both from 1), where the loss is nan or infinite."""
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss} by step {step} (epoch {epoch}) at learning rate {rate:g}; "
                       "lower the learning rate or warm up longer")
