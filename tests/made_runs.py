"""A made-up record of a run, as `fit` would write it, for the tests of tables, figures and reports."""

import math
from typing import Any

from course_utils.data import CLASSES
from course_utils.records import Data, Epoch, Hardware, Mistake, Model, Result, Run, Seconds


def make_run(
    epochs: int = 4,
    done: int | None = None,
    data: str = "CIFAR-10",
    held_out: bool = True,
    loss: float = 0.5,
    **recipe: Any,
) -> Run:
    """A run with `done` epochs behind it (all of them by default); `loss` is the train loss of the last one."""
    done = epochs if done is None else done
    curve = []
    for epoch in range(1, done + 1):
        accuracy = 0.9 - 0.8 * math.exp(-epoch / 2)
        curve.append(Epoch(
            epoch=epoch, loss=loss if epoch == done else 2.3 * math.exp(-epoch / 2), accuracy=accuracy,
            held_out_loss=2.5 * math.exp(-epoch / 3) if held_out else None,
            held_out_accuracy=accuracy - 0.02 if held_out else None,
            rate=0.1 * (1 - epoch / epochs), seconds=30.5, wall_seconds=33.0))
    confusion = [[91 if row == column else 1 for column in range(10)] for row in range(10)]
    mistakes = [Mistake(7 * i, i % 10, (i + 1) % 10, 0.99) for i in range(12)]
    settings = {"name": "vgg", "epochs": epochs, "batch_size": 128, "schedule": [[0, 0.1], [epochs, 0]],
                "momentum": 0.9, "weight_decay": 5e-4, "flip": "half", "held_out": 5000, "precision": "bfloat16",
                "seed": 0}
    return Run(
        recipe=settings | recipe,
        model=Model("VGG", 14_991_946, 626_927_616, "VGG(\n  (0): Conv2d(3, 64)\n)"),
        data=Data(data, "e36a4592", list(CLASSES), 45000 if held_out else 50000, 5000 if held_out else 0, 10000),
        hardware=Hardware("cpu", None, "A processor", ["amx_bf16"], 2, 2, "bfloat16"),
        versions={"python": "3.11.9", "torch": "2.14.1", "system": "Linux"},
        started="2026-08-05",
        curve=curve,
        result=Result("test", 0.3, 0.91, None, confusion, mistakes) if done == epochs else None,
        seconds=Seconds(30.5 * done, 33.0 * done),
        finished=done == epochs,
    )
