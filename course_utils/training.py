"""Training a network from an explicit recipe. Lesson 2 builds this loop."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from course_utils import data, model_size, yuv
from course_utils.batches import Batches
from course_utils.checkpoints import resume, save_checkpoint
from course_utils.evaluation import VIEWS, evaluate
from course_utils.machine import Machine, hardware, keep_freed_memory, this_machine, versions
from course_utils.plumbing.distributed import ALONE, Processes, processes
from course_utils.recipe import Recipe
from course_utils.records import Run
from course_utils.trainer import Diverged, Trainer, check_finite

__all__ = ["Diverged", "Recipe", "Trainer", "fit"]

EVALUATION_BATCH = 500


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
    `torch.manual_seed(recipe.seed)` to have the same seed give the same curve. In processes that `torchrun` started,
    each takes its share of every batch, and the first alone writes and calls `on_epoch`.

    Raises Diverged when the loss is no longer a number, CheckpointError when a checkpoint in `folder` is damaged or
    another run's, ValueError for a recipe that does not fit the data.
    """
    machine = machine or this_machine(precision=recipe.precision)
    precision = str(machine.precision).removeprefix("torch.")
    if recipe.precision not in (None, precision):
        raise ValueError(f"the recipe asks for {recipe.precision}, the machine for {precision}: make them agree")
    if machine.device.type == "cpu":
        keep_freed_memory()
    recipe, together = replace(recipe, precision=precision), processes(machine.device)
    train, held_out, test_set = prepare(recipe, dataset, machine, test, together)
    model.to(machine.device, memory_format=machine.memory_format)
    run = new_run(model, recipe, dataset, machine, len(train.labels))
    run.hardware["processes"] = together.count
    trainer = Trainer(model, recipe, train, together)
    torch.manual_seed(recipe.seed + together.rank)
    if folder is not None:
        resume(run, trainer, folder)
    for epoch in range(len(run.curve), recipe.epochs):
        start = time.perf_counter()
        row = trainer.epoch(epoch)
        if held_out:
            scores = evaluate(trainer.scored, held_out)
            check_finite(scores.loss, len(train) * (epoch + 1), epoch + 1, row["rate"])
            row |= {"held_out_loss": scores.loss, "held_out_accuracy": scores.accuracy}
            run.result = scores.result("held_out")
        row["wall_seconds"] = time.perf_counter() - start
        run.curve.append(row)
        run.seconds = {"training": sum(done["seconds"] for done in run.curve),
                       "wall": sum(done["wall_seconds"] for done in run.curve)}
        if folder is not None and together.rank == 0:
            save_checkpoint(run, trainer, folder)
        if on_epoch and together.rank == 0:
            on_epoch(run)
    start = time.perf_counter()
    if trainer.average is not None:
        model.load_state_dict(trainer.average.state_dict())
    if test_set:
        scores = evaluate(model, test_set)
        check_finite(scores.loss, len(train) * recipe.epochs, recipe.epochs, run.curve[-1]["rate"])
        run.result = scores.result("test")
    if recipe.views and (scored := test_set or held_out):
        averaged = evaluate(model, scored, VIEWS[recipe.views])
        run.result |= {"accuracy_with_views": averaged.accuracy, "predictions_with_views": averaged.digits}
    run.seconds["wall"] += time.perf_counter() - start
    run.finished = True
    if folder is not None and together.rank == 0:
        run.save(Path(folder) / "run.json")
    return run


def prepare(
    recipe: Recipe, dataset: data.Dataset, machine: Machine, test: bool, together: Processes = ALONE
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
    train = Batches(splits.pop("train"), recipe.batch_size, machine, recipe.augmentation, recipe.seed,
                    share=together.share(recipe.batch_size))
    scored = {name: Batches(split, EVALUATION_BATCH, machine) for name, split in splits.items()}
    return train, scored.get("held_out"), scored.get("test")


def new_run(model: nn.Module, recipe: Recipe, dataset: data.Dataset, machine: Machine, images: int) -> Run:
    """The record of a run that hasn't begun, of so many `images` to train on."""
    return Run(
        recipe=recipe.to_json(),
        model={"name": type(model).__name__, "parameters": model_size.parameters(model),
               "flops": model_size.flops(model), "layers": repr(model)},
        data={"name": dataset.name, "fingerprint": dataset.fingerprint, "classes": list(dataset.classes),
              "train": images, "held_out": len(dataset.train) - images, "test": len(dataset.test)},
        hardware=hardware(machine), versions=versions(), started=datetime.now(UTC).date().isoformat(),
    )
