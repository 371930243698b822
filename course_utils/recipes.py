"""The named recipes of the course, and `reproduce`, which runs one and writes its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from course_utils import data
from course_utils.ledger import Run
from course_utils.models import VGG
from course_utils.schedules import step_drops, triangle
from course_utils.training import Recipe, fit


@dataclass(frozen=True)
class Entry:
    """A network and the recipe to train it by."""

    build: Callable[[], nn.Module]
    recipe: Recipe


VGG_VARIANTS = {"": {}, "-no-bn": {"bn": False}, "-no-dropout": {"dropout": False},
                "-plain": {"bn": False, "dropout": False}}


def _vgg(suffix: str, full: bool) -> Entry:
    """VGG of 2015 in one of its four variants, by the recipe of 2015 or by one for five epochs, the same for all four.

    Torch7's SGD damps the gradient by 1 - momentum unless told otherwise, so its learning rate of 1 is 0.1 in the
    sense of PyTorch. Without BN that is too much; those variants take the 0.01 of 2017.
    """
    variant = VGG_VARIANTS[suffix]
    if not full:
        recipe = Recipe(f"vgg-short{suffix}", 5, triangle(0.03, 1, 5), flip="half")
    else:
        rate = 1.0 if variant.get("bn", True) else 0.1
        recipe = Recipe(f"vgg-2015{suffix}", 300, step_drops(rate, 0.5, 25, 300), dampening=0.9, flip="half",
                        colour="yuv", held_out=0)
    return Entry(lambda: VGG(**variant), recipe)


RECIPES: dict[str, Entry] = {
    entry.recipe.name: entry for full in (True, False) for entry in (_vgg(suffix, full) for suffix in VGG_VARIANTS)
}


def reproduce(
    name: str,
    dataset: data.Dataset,
    folder: Path,
    seed: int = 0,
    on_epoch: Callable[[Run], None] | None = None,
) -> Run:
    """Run the recipe `name` with `seed`, going on where an earlier call in `folder` was cut off."""
    entry = RECIPES[name]
    torch.manual_seed(seed)
    return fit(entry.build(), replace(entry.recipe, seed=seed), dataset, folder=folder, on_epoch=on_epoch)
