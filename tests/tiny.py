"""A network of a thousand parameters, its recipe and a few noisy images: all that a test of training needs."""

from dataclasses import fields, replace

import numpy as np
import torch
from torch import nn

from course_utils.batches import Augmentation
from course_utils.data import CLASSES, MEAN, STD, Dataset, Split
from course_utils.machine import Machine
from course_utils.models import NIN, VGG, DavidNet, GoogLeNet, ResNet, Small, SpeedNet
from course_utils.models.layers import Dropout
from course_utils.optimizers import SGD
from course_utils.records import Epoch
from course_utils.schedules import Knots, constant
from course_utils.training import Recipe

CPU = Machine(torch.device("cpu"), torch.float32)
NETWORKS = (NIN, VGG, DavidNet, GoogLeNet, ResNet, Small, SpeedNet)


def pixel_values(images: torch.Tensor) -> torch.Tensor:
    """Normalised images (N, 3, H, W) as pixel values of 0 to 255 again; what cutout set to zero stays so."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    return torch.where(images == 0, 0.0, 255 * (images * std + mean))


def random_split(n: int, seed: int = 0, classes: int = 10) -> Split:
    """Noise whose brightness hints at the class, with equally many images of each."""
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


def recipe_of(name: str, epochs: int, schedule: Knots, batch_size: int = 128, **settings) -> Recipe:
    """A recipe from settings of its own, of `SGD` and of `Augmentation`, whichever has a field of that name."""
    parts = {"optimizer": SGD(), "augmentation": Augmentation("random")}
    for part, value in parts.items():
        own = {field.name for field in fields(value) if not isinstance(settings.get(field.name), tuple)}
        own &= settings.keys()  # a schedule of the momentum is the recipe's own
        parts[part] = settings.pop(part, replace(value, **{name: settings.pop(name) for name in own}))
    return Recipe(name, epochs, schedule, batch_size, **parts, **settings)


def tiny_recipe(epochs: int = 2, **changes) -> Recipe:
    settings = {"schedule": constant(0.05), "batch_size": 40, "crop": 4, "held_out": 40, "precision": "float32"}
    return recipe_of("tiny", epochs, **(settings | changes))


def same_curve(a: list[Epoch], b: list[Epoch]) -> bool:
    """Whether two curves agree in all but the time they took."""
    return [replace(row, seconds=0, wall_seconds=0) for row in a] == [
        replace(row, seconds=0, wall_seconds=0) for row in b]


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
