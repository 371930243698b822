"""Recorded runs without a notebook: train by a named recipe, go on where it stopped, keep the record."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils import data
from course_utils.author.lessons import LessonError
from course_utils.author.runner import about
from course_utils.batches import SIDE, Batches
from course_utils.machine import seconds_per_call, this_machine
from course_utils.named_recipes import RECIPES, Entry
from course_utils.plumbing.distributed import under_torchrun
from course_utils.plumbing.files import alone_in
from course_utils.plumbing.processor import keep_freed_memory
from course_utils.records import Run
from course_utils.show import report
from course_utils.show.progress import Progress
from course_utils.training import Trainer, fit

TRAIN_IMAGES = 50_000


def reproduce(
    name: str, dataset: data.Dataset, out: Path, seed: int = 0, epochs: int | None = None, compile: str | None = None
) -> Path:
    """Train by the recipe `name` with `seed` and return the path of the record, `out/NAME-seedS.json`.

    Other `epochs` than the recipe's stretch its schedule and appear in the record's name. Checkpoints and a report
    lie in the folder of the same name; a run that was cut off goes on from there. `compile` is as in `Machine`.
    """
    entry = RECIPES[name]
    recipe = replace(entry.recipe.stretched(epochs or entry.recipe.epochs), seed=seed)
    folder = out / f"{recipe.name}-seed{seed}"
    progress = Progress(folder.name)
    dataset = data.hold_out(dataset, recipe.held_out)

    def write_report(run: Run, images: np.ndarray | None) -> None:
        try:
            report.write(run, folder / "report.html", images)
        except Exception as error:  # a page less is no reason to lose the run
            print(f"course: {folder.name} has no report, {type(error).__name__}: {error}", file=sys.stderr)

    def on_epoch(run: Run) -> None:
        progress(run)
        write_report(run, dataset.held_out.images if dataset.held_out else None)

    def refuse() -> None:
        raise LessonError(f"another process trains in {folder}: wait for it, or choose another --out")

    torch.manual_seed(seed)
    model = entry.build()
    machine = this_machine(precision=recipe.precision, compile=compile)
    whiten(model, dataset.train)
    first = not under_torchrun() or os.environ.get("RANK", "0") == "0"
    if first:
        with contextlib.suppress(OSError):  # `fit` says why it can't be made
            folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, refuse) if first else contextlib.nullcontext():
        run = fit(model, recipe, dataset, machine=machine, folder=folder, on_epoch=on_epoch)
        path = folder.with_suffix(".json")
        if first:
            run.save(path)
            write_report(run, dataset.test.images)
    return path


def whiten(model: nn.Module, train: data.Split) -> None:
    """Set a network's whitening layer, if it has one, from as many balanced images of `train` as its source took."""
    if hasattr(model, "whiten"):
        images = model.whitened_images
        batches = Batches(train.first(images), images, this_machine(precision="float32"))
        model.set_whitening(next(iter(batches))[0])


def estimated_epoch_seconds(entry: Entry, compile: str | None = None) -> float:
    """How long an epoch of an entry's training takes here on average, from two steps after a first one, or after three
    where they are compiled.

    The steps take whole pictures; smaller ones are taken to cost as much less as they have fewer pixels.
    """
    machine, recipe = this_machine(precision=entry.recipe.precision, compile=compile), entry.recipe
    split = data.stand_in(train=recipe.batch_size, test=10).train
    if machine.device.type == "cpu":
        keep_freed_memory()
    model = entry.build().to(machine.device, memory_format=machine.memory_format)
    trainer = Trainer(model, recipe, Batches(split, recipe.batch_size, machine, recipe.augmentation))
    step = seconds_per_call(lambda: trainer.step(*next(trainer.batches.epoch(0))), calls=2,
                            warmup=3 if compile else 1)  # a CUDA graph is first run from beginning to end in the third
    whole = step * (TRAIN_IMAGES - recipe.held_out) / recipe.batch_size
    return whole * sum(recipe.side_in(epoch) ** 2 for epoch in range(recipe.epochs)) / (recipe.epochs * SIDE**2)


def estimates() -> Iterator[tuple[str, Entry, float]]:
    """Name, entry and estimated minutes on this machine of every recipe, as they are measured; each network once."""
    measured: dict[tuple, float] = {}
    for name, entry in RECIPES.items():
        recipe = entry.recipe
        what = (entry.network, repr(entry.options), recipe.batch_size, recipe.side, recipe.held_out)
        if what not in measured:
            measured[what] = estimated_epoch_seconds(entry)
        yield name, entry, measured[what] * entry.recipe.epochs / 60


def epochs_within(minutes: float, name: str, out: Path, seeds: int, compile: str | None = None) -> int:
    """How many epochs fit, for each of so many seeds.

    As many as those of a run in `out` that was cut off, where they fit too; up to half as long again counts as fitting,
    since no two measurements of the pace are alike. Raises LessonError where not one epoch fits.
    """
    entry = RECIPES[name]
    seconds = estimated_epoch_seconds(entry, compile)
    for folder in sorted(out.glob(f"{name}-*seed*")):
        begun = re.fullmatch(rf"{re.escape(name)}-(?:(\d+)-epochs-)?seed\d+", folder.name)
        if begun and folder.is_dir() and not folder.with_suffix(".json").exists():
            epochs = int(begun[1] or entry.recipe.epochs)
            if epochs * seeds * seconds <= 1.5 * 60 * minutes:
                return epochs
    if 60 * minutes < seconds * seeds:
        each = f", and there are {seeds} seeds" if seeds > 1 else ""
        raise LessonError(f"not one epoch fits: one takes {about(seconds)} here{each}")
    return min(int(60 * minutes / seeds / seconds), entry.recipe.epochs)
