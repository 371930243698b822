"""The smallest network and data that can show what training does."""

import numpy as np
import torch
from torch import nn

from course_utils.data import CLASSES, Dataset, Split
from course_utils.machine import Machine
from course_utils.models.layers import Dropout
from course_utils.schedules import constant
from course_utils.training import Recipe

CPU = Machine(torch.device("cpu"), torch.float32)


def random_split(n: int, seed: int = 0, classes: int = 10) -> Split:
    """Noise whose brightness depends a little on the class, equally many images of each."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(n) % classes)
    noise = draw.integers(0, 200, (n, 3, 32, 32), dtype=np.uint8).transpose(0, 2, 3, 1)
    return Split(noise + 5 * labels[:, None, None, None].astype(np.uint8), labels)


def random_dataset(train: int = 240, test: int = 60, seed: int = 0) -> Dataset:
    return Dataset("SYNTHETIC", random_split(train, seed), random_split(test, seed + 1000), f"noise {seed}", CLASSES)


def tiny_net(seed: int = 0) -> nn.Sequential:
    """Convolution, BN, dropout and a head that starts at zero: a thousand parameters."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Dropout(0.3),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10),
    )
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


def tiny_recipe(epochs: int = 2, **changes) -> Recipe:
    settings = {"schedule": constant(0.05), "batch_size": 40, "crop": 4, "held_out": 40, "precision": "float32"}
    return Recipe("tiny", epochs, **(settings | changes))


def same_curve(a: list[dict], b: list[dict]) -> bool:
    """Whether two curves agree in all but the time they took."""
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in a] == [
        {k: v for k, v in row.items() if "seconds" not in k} for row in b]


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
