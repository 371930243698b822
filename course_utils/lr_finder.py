"""The range test of Smith, "Cyclical learning rates for training neural networks" (2015). Lesson 7 builds it."""

import copy
import itertools
import math
from dataclasses import replace

import torch
from torch import nn

from course_utils.batches import Batches
from course_utils.data import Split
from course_utils.machine import this_machine
from course_utils.recipe import Recipe
from course_utils.training import Trainer

EXPLODED = 4.0  # times the lowest loss so far


def range_test(
    model: nn.Module, recipe: Recipe, split: Split, low: float = 1e-4, high: float = 10.0, steps: int = 100
) -> list[tuple[float, float]]:
    """(rate, loss) of up to `steps` batches of `split`, the rate rising from `low` to `high` by one factor a step.

    The loss is the batch's own, before the step at that rate. The test ends, with that pair as the last, where the
    loss is no longer finite or above four times the lowest. Optimizer, augmentation and loss are the recipe's; its
    schedules, averaging and colours, and the parts of the run in which groups learn, play no role. A copy is trained:
    the model and the random generators are left as they were.

    Raises ValueError for rates that do not rise from above 0, fewer than 2 steps, and a batch larger than the split.
    """
    if not 0 < low < high < math.inf or steps < 2:
        raise ValueError(f"{steps} steps from {low:g} to {high:g}: expected at least 2, and rates 0 < low < high")
    machine = this_machine(precision=recipe.precision)
    batches = Batches(split, recipe.batch_size, machine, recipe.augmentation, recipe.seed)
    trained = copy.deepcopy(model).to(machine.device, memory_format=machine.memory_format).train()
    trainer = Trainer(trained, replace(recipe, averaging=0.0), batches)
    stream = itertools.chain.from_iterable(map(batches.epoch, itertools.count()))
    measured, lowest, device = [], math.inf, machine.device
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        torch.manual_seed(recipe.seed)
        for step, (images, labels) in enumerate(itertools.islice(stream, steps)):
            rate = low * (high / low) ** (step / (steps - 1))
            for group in trainer.groups:
                group["lr"] = rate * group.get("boost", 1.0)
            loss = trainer.step(images, labels)[0].item()
            measured.append((rate, loss))
            lowest = min(lowest, loss)
            if not math.isfinite(loss) or loss > EXPLODED * lowest:
                break
    return measured
