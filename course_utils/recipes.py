"""The named recipes of the course, and `reproduce`, which runs one and writes its record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from course_utils import data, report
from course_utils.ledger import Run
from course_utils.models import VGG
from course_utils.progress import Progress
from course_utils.schedules import step_drops, triangle
from course_utils.training import Recipe, fit


@dataclass(frozen=True)
class Entry:
    """A network and the recipe to train it by."""

    build: Callable[[], nn.Module]
    recipe: Recipe


VGG_VARIANTS = {"": {}, "-no-bn": {"bn": False}, "-no-dropout": {"dropout": False},
                "-plain": {"bn": False, "dropout": False}}


def _vgg_2015(suffix: str) -> Entry:
    """VGG of 2015 in one of its four variants, by the recipe of 2015.

    Torch7's SGD damps the gradient by 1 - momentum unless told otherwise, so its learning rate of 1 is 0.1 in the
    sense of PyTorch. The variants without BN take the 0.01 of 2017.
    """
    variant = VGG_VARIANTS[suffix]
    rate = 1.0 if variant.get("bn", True) else 0.1
    return Entry(lambda: VGG(**variant), Recipe(
        f"vgg-2015{suffix}", 300, step_drops(rate, 0.5, 25, 300), dampening=0.9, flip="half", colour="yuv", held_out=0))


def _vgg_short(suffix: str, epochs: int, name: str = "vgg-short") -> Entry:
    """One of the four variants in a few epochs; the recipe is the same for all, so that one thing changes at a time."""
    variant = VGG_VARIANTS[suffix]
    return Entry(lambda: VGG(**variant), Recipe(f"{name}{suffix}", epochs, triangle(0.03, 1, epochs), flip="half"))


ENTRIES = (
    *map(_vgg_2015, VGG_VARIANTS),
    *(_vgg_short(suffix, 5) for suffix in VGG_VARIANTS),
    _vgg_short("", 8, "vgg-eight"),  # do training and evaluation agree better after eight epochs than after five?
)
RECIPES: dict[str, Entry] = {entry.recipe.name: entry for entry in ENTRIES}


def reproduce(name: str, dataset: data.Dataset, out: Path, seed: int = 0) -> Path:
    """Train by the recipe `name` with `seed` and return the path of the record, `out/NAME-seedS.json`.

    Checkpoints and a report stand in the folder `out/NAME-seedS`; a run that was cut off goes on from there.
    """
    entry = RECIPES[name]
    recipe = replace(entry.recipe, seed=seed)
    folder = out / f"{name}-seed{seed}"
    progress = Progress(folder.name)
    scored = data.split(dataset.train, recipe.held_out)[1].images if recipe.held_out else None

    def on_epoch(run: Run) -> None:
        progress(run)
        report.write(run, folder / "report.html", scored)

    torch.manual_seed(seed)
    run = fit(entry.build(), recipe, dataset, folder=folder, on_epoch=on_epoch)
    report.write(run, folder / "report.html", dataset.test.images)
    return run.save(folder.with_suffix(".json"))
