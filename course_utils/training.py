"""Training a network from an explicit recipe: a run, an epoch, a step. Lesson 2 builds this loop."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import data, model_size, schedules, yuv
from course_utils.batches import Batches
from course_utils.checkpoints import resume, save_checkpoint
from course_utils.evaluation import VIEWS, evaluate
from course_utils.machine import Machine, hardware, this_machine, versions
from course_utils.plumbing.distributed import ALONE, Processes, processes
from course_utils.plumbing.processor import keep_freed_memory
from course_utils.recipe import Recipe
from course_utils.records import Data, Epoch, Model, Result, Run, Seconds

__all__ = ["Diverged", "Recipe", "Trainer", "fit"]

EVALUATION_BATCH = 500
AVERAGING_INTERVAL = 5  # steps; averaging at each of them costs more and gains nothing (Page, 2019)


class Diverged(Exception):
    """The loss is no longer a number."""


def fit(
    model: nn.Module, recipe: Recipe, dataset: data.Dataset, *, machine: Machine | None = None,
    folder: str | Path | None = None, test: bool = True, on_epoch: Callable[[Run], None] | None = None,
) -> Run:
    """Train `model` by `recipe` and return the record.

    The curve is scored on the images held out of train; `test` scores the test set, once, after the last epoch. In
    `folder` a checkpoint and the record so far are kept after every epoch, and a run that was cut off goes on from
    there. `on_epoch` is called with the record after every epoch. Build the model under
    `torch.manual_seed(recipe.seed)` to have the same seed give the same curve. With `averaging`, the average is left in
    `model`. In processes that `torchrun` started, each takes its share of every batch, and the first alone writes and
    calls `on_epoch`.

    Raises Diverged when the loss is no longer a number, CheckpointError when a checkpoint in `folder` is damaged or
    another run's, ValueError for a recipe that does not fit the data.
    """
    machine = machine or this_machine(precision=recipe.precision)
    precision = machine.precision_name
    if recipe.precision not in (None, precision):
        raise ValueError(f"the recipe asks for {recipe.precision}, the machine for {precision}: make them agree")
    if machine.device.type == "cpu":
        keep_freed_memory()
    recipe, workers = replace(recipe, precision=precision), processes(machine.device)
    is_first = workers.rank == 0
    if dataset.held_out is not None:  # by the caller: the record says how many
        recipe = replace(recipe, held_out=len(dataset.held_out))
    train, held_out, test_set = prepare(recipe, dataset, machine, test, workers)
    model.to(machine.device, memory_format=machine.memory_format)
    run = new_run(model, recipe, dataset, machine, len(train.labels), workers.count)
    trainer = Trainer(model, recipe, train, workers)
    if folder is not None:
        resume(run, trainer.load_state_dict, folder)
    if machine.compile:
        trainer.warm_up()

    try:
        for number in range(len(run.curve), recipe.epochs):
            start = time.perf_counter()
            loss, accuracy, rate, seconds = trainer.epoch(number)
            held_out_loss = held_out_accuracy = None
            if held_out is not None:
                scores = evaluate(trainer.scored, held_out)
                check_finite(scores.loss, trainer.steps, number + 1, rate)
                held_out_loss, held_out_accuracy, run.result = scores.loss, scores.accuracy, scores.result("held_out")
            run.curve.append(Epoch(number + 1, loss, accuracy, held_out_loss, held_out_accuracy, rate, seconds,
                                   wall_seconds=time.perf_counter() - start))
            run.seconds = Seconds.of(run.curve)
            if folder is not None and is_first:
                save_checkpoint(run, trainer.state_dict(), folder)
            if on_epoch and is_first:
                on_epoch(run)
    finally:
        trainer.unfreeze()  # after an interrupt too: the network is handed back with all that it trains

    start = time.perf_counter()
    if trainer.average is not None:
        model.load_state_dict(trainer.average.state_dict())
    on, last = ("test", test_set) if test else ("held_out", held_out)
    if last is not None and (test or recipe.views):
        run.result = final_result(model, recipe, last, on)
        check_finite(run.result.loss, trainer.steps, recipe.epochs, run.curve[-1].rate)
    run.seconds = Seconds.of(run.curve, time.perf_counter() - start)
    run.finished = True
    if folder is not None and is_first:
        run.save(Path(folder) / "run.json")
    return run


def final_result(model: nn.Module, recipe: Recipe, batches: Batches, on: str) -> Result:
    """The scores of a trained network on `batches`, with test-time views too where the recipe has them."""
    with_views = evaluate(model, batches, VIEWS[recipe.views]) if recipe.views else None
    return evaluate(model, batches).result(on, with_views)


class Trainer:
    """The state that training changes (weights, their average, momentum, loss scale), an epoch and a step."""

    def __init__(self, model: nn.Module, recipe: Recipe, batches: Batches, workers: Processes = ALONE) -> None:
        self.model, self.recipe, self.batches, self.machine = model, recipe, batches, batches.machine
        self.workers = workers
        self.network = workers.wrap(model)  # the model itself, where one process trains alone
        self.forward = self.loss_and_right
        if self.machine.compile:
            self.forward = torch.compile(self.loss_and_right, mode=self.machine.compile, dynamic=False)
        self.optimizers = recipe.optimizer.build(model)
        for group in self.groups:
            group["run_steps"] = recipe.epochs * len(batches)
        self.trainable = [p for p in model.parameters() if p.requires_grad]  # an optimizer may hold frozen ones too
        self.average = copy.deepcopy(model) if recipe.averaging else None
        self.steps = 0
        # float16 gradients underflow unless the loss is scaled up; in the other precisions this does nothing.
        self.scaler = torch.amp.GradScaler(self.machine.device.type, enabled=self.machine.precision == torch.float16)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The groups of parameters of all optimizers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @property
    def scored(self) -> nn.Module:
        """The network whose accuracy counts: the average of the weights where there is one."""
        return self.model if self.average is None else self.average

    def epoch(self, number: int) -> tuple[float, float, float, float]:
        """Train on every batch once; `number` counts from 0.

        What dropout draws depends on seed, epoch and process alone, so that a run that was cut off goes on as if it
        had not been. Returns the mean loss and the accuracy on these batches, the last learning rate, and the seconds.
        """
        torch.manual_seed((self.recipe.seed << 30) + (number << 10) + self.workers.rank)
        self.model.train()
        start, steps = time.perf_counter(), len(self.batches)
        loss_sum, right = torch.zeros((), device=self.machine.device), torch.zeros((), device=self.machine.device)
        images_seen = 0  # the last batch may be a short one
        for step, (images, labels) in enumerate(self.batches.epoch(number, self.recipe.side_in(number))):
            rate = self.set_rates(number + step / steps)
            loss, correct = self.step(images, labels)
            loss_sum += loss
            right += correct
            images_seen += len(labels)
            # Reading the loss makes a GPU wait, so there it is read once per epoch.
            if self.machine.device.type == "cpu" or step == steps - 1:
                check_finite(loss_sum.item(), self.steps, number + 1, rate)
        loss, accuracy = self.workers.mean(loss_sum / steps), self.workers.mean(right / images_seen)
        return loss.item(), accuracy.item(), rate, time.perf_counter() - start

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update of the weights; returns the batch's mean loss and its number of right answers."""
        self.model.zero_grad()
        loss, right = self.forward(images, labels)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        self.steps += 1
        if self.average is not None and self.steps % AVERAGING_INTERVAL == 0:
            move_towards(self.average, self.model, 1 - self.recipe.averaging**AVERAGING_INTERVAL)
        return loss.detach(), right

    def loss_and_right(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's mean loss and its number of right answers."""
        with self.machine.autocast():
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        return loss, (logits.argmax(1) == labels).sum()

    def warm_up(self) -> None:
        """Take the steps that have to be compiled for this run, before its clock starts, and put everything back.

        A step is compiled for each size of pictures, and again when a part of the network stops learning. Three in a
        row, since a CUDA graph is first run from beginning to end in the third.
        """
        state, compiled = copy.deepcopy(self.state_dict()), set()
        self.model.train()
        try:
            for epoch in range(self.recipe.epochs):
                for moment in (epoch, epoch + 1 - 1 / len(self.batches)):  # a part may end within an epoch
                    self.set_rates(moment)
                    side, trained = self.recipe.side_in(epoch), sum(p.requires_grad for p in self.model.parameters())
                    if (side, trained) not in compiled:
                        compiled.add((side, trained))
                        batch = next(self.batches.epoch(epoch, side))
                        for _ in range(3):
                            self.step(*batch)
        finally:  # an interrupt too
            self.unfreeze()
            self.load_state_dict(state)

    def set_rates(self, epoch: float) -> float:
        """Set every group's learning rate, and its momentum where the recipe's changes; return the schedule's rate.

        A group's rate after `epoch` epochs is the schedule's times its "boost". One with a "part" goes through the
        whole schedule in that share of the run, and then learns no more.
        """
        recipe = self.recipe
        for group in self.groups:
            part = group.get("part")
            if recipe.momentum is not None:
                group["momentum"] = schedules.value_at(recipe.momentum, epoch)
            if part is not None and epoch >= part * recipe.epochs:
                self.freeze(group)
            else:
                group["lr"] = schedules.value_at(recipe.schedule, epoch / (part or 1)) * group.get("boost", 1.0)
        return schedules.value_at(recipe.schedule, epoch)

    def freeze(self, group: dict[str, Any]) -> None:
        """Train a group no more. A process alone computes no gradient for it; several would wait for one another."""
        group["lr"] = 0.0
        if self.workers.count == 1:
            for parameter in group["params"]:
                parameter.requires_grad_(False).grad = None

    def unfreeze(self) -> None:
        """Let parameters whose part of the run is over be trained again."""
        for parameter in self.trainable:
            parameter.requires_grad_(True)

    def state_dict(self) -> dict[str, Any]:
        average = None if self.average is None else self.average.state_dict()
        return {"model": self.model.state_dict(), "average": average,
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "scaler": self.scaler.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
            for parameter, values in optimizer.state.items():
                for name, value in values.items():  # fused kernels take both to lie alike in memory, and don't look
                    if torch.is_tensor(value) and value.shape == parameter.shape:
                        values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        self.scaler.load_state_dict(state["scaler"])


@torch.no_grad()
def move_towards(average: nn.Module, model: nn.Module, share: float) -> None:
    """Move the weights and running statistics of `average` by `share` of the way to those of `model`."""
    for ours, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, share)


def check_finite(loss: float, step: int, epoch: int, rate: float) -> None:
    """Raise Diverged, naming `step` and `epoch` (both from 1), where the loss is nan or infinite."""
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss} by step {step} (epoch {epoch}) at learning rate {rate:g}; "
                       "lower the learning rate or warm up longer")


def prepare(
    recipe: Recipe, dataset: data.Dataset, machine: Machine, test: bool, workers: Processes = ALONE
) -> tuple[Batches, Batches | None, Batches | None]:
    """Batches to train on, the held-out ones that score the curve (None if nothing is held out), and the test set's."""
    dataset = data.hold_out(dataset, recipe.held_out)
    splits = {"train": dataset.train, "held_out": dataset.held_out, "test": dataset.test if test else None}
    splits = {name: split for name, split in splits.items() if split is not None}
    if recipe.colour == "yuv":
        splits = dict(zip(splits, yuv.preprocess(*splits.values()), strict=True))
    train = Batches(splits.pop("train"), recipe.batch_size, machine, recipe.augmentation, recipe.seed,
                    share=workers.share(recipe.batch_size))
    others = {name: Batches(split, EVALUATION_BATCH, machine) for name, split in splits.items()}
    return train, others.get("held_out"), others.get("test")


def new_run(
    model: nn.Module, recipe: Recipe, dataset: data.Dataset, machine: Machine, images: int, workers: int = 1
) -> Run:
    """The record of a run that hasn't begun, on `images` images of train, in `workers` processes."""
    total = len(dataset.train) + (len(dataset.held_out) if dataset.held_out else 0)
    return Run(
        recipe=recipe.to_json(),
        model=Model(type(model).__name__, model_size.parameters(model), model_size.flops(model), repr(model)),
        data=Data(dataset.name, dataset.fingerprint, list(dataset.classes), images, total - images, len(dataset.test)),
        hardware=hardware(machine, workers), versions=versions(), started=datetime.now(UTC).date().isoformat(),
    )
