"""How much faster the course feeds, trains and runs a network on this machine than usual code does.

Ours and the usual way take turns, so that whatever else the machine does slows both, and medians are compared. Each
measurement has a process of its own: `keep_freed_memory` sets the allocator of a whole process, and memory that one
way has kept would help the others.
"""

import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision import transforms

from course_utils.author.runner import SPINNING
from course_utils.batches import Augmentation, Batches
from course_utils.data import MEAN, STD, Split, stand_in
from course_utils.evaluation import evaluate
from course_utils.machine import Machine, hardware, seconds_per_call, this_machine, versions
from course_utils.models import Small, SpeedNet
from course_utils.models.layers import Dropout
from course_utils.models.vgg import VGG
from course_utils.named_recipes import speedrun
from course_utils.optimizers import Muon
from course_utils.plumbing.processor import keep_freed_memory, usable_cores
from course_utils.schedules import constant
from course_utils.training import Recipe, Trainer

Way = Callable[[Split, int, Machine], Callable[[], object]]  # a split and a batch size: what to time


def run(cases: Sequence[str]) -> dict[str, Any]:
    """Measure the `cases` by name: rows of images per second, and what they were measured on.

    A case whose process fails is in `failed` with its status, and the others go on.
    """
    rows, failed = [], {}
    for case in cases:
        try:
            rows += CASES[case]()
        except subprocess.CalledProcessError as error:
            failed[case] = error.returncode
    return {"rows": rows, "failed": failed, "hardware": asdict(hardware(this_machine())), "versions": versions()}


def row(case: str, ours: float, usual: float) -> dict[str, Any]:
    """Two rates in images per second, and how many times the first is the second."""
    return {"case": case, "ours": round(ours, 1), "usual": round(usual, 1), "unit": "images/s",
            "ratio": round(ours / usual, 2)}


def medians(ways: Sequence[Callable[[], float]], repeats: int) -> list[float]:
    """The median rate of each way, over `repeats` turns in each of which every way is measured once."""
    turns = [[way() for way in ways] for _ in range(repeats)]
    return [statistics.median(rates) for rates in zip(*turns, strict=True)]


def in_processes(
    case: str, batch_size: int, steps: int, repeats: int = 3, rivals: Sequence[tuple[str, str, int, int]] = ()
) -> list[dict[str, Any]]:
    """Measure a case in each of its `WAYS`: ours against the usual one, then each change against the way before it.

    Last come `rivals`, a case's way with its batch size and steps, against which ours is measured in the same turns.
    """
    ways = list(WAYS[case])
    measured = [*((case, way, batch_size, steps) for way in ways), *rivals]
    rates = medians([partial(in_a_process, *each) for each in measured], repeats)
    changes = zip(ways[1:], rates[1:], rates, strict=False) if len(ways) > 2 else ()
    ours, others = rates[len(ways) - 1], zip(rivals, rates[len(ways) :], strict=True)
    return [row(case, ours, rates[0]), *(row(f"{case}: {way}", after, before) for way, after, before in changes),
            *(row(f"{case}: ours, not {rival}, {way}", ours, rate) for (rival, way, *_), rate in others)]


def beside_the_published() -> list[dict[str, Any]]:
    """The speedrun in its `WAYS`, and beside the published step.

    A processor without instructions for float16 takes tens of seconds for 500 images in it, so there it is fewer.
    """
    float16 = (125, 1) if this_machine().device.type == "cpu" else (500, 6)
    rivals = (("published", "float16", *float16), ("published", "bfloat16", 500, 6))
    return in_processes("speedrun", 500, 6, rivals=rivals)


def beside_others(repeats: int = 3) -> list[dict[str, Any]]:
    """`Small` trained alone and beside busy processes, by threads that soon sleep at a barrier or, as usual, spin."""
    name, turns = SPINNING
    usual = {key: value for key, value in os.environ.items() if key != name}
    environments = (usual, usual | {name: turns})
    ways = [partial(in_a_process, "neighbour", "Small", 128, 16, each) for each in environments]
    rows = []
    for count, beside in enumerate(("alone", "one busy process", "two busy processes")):
        with busy(count):
            spinning, sleeping = medians(ways, repeats)
        rows.append(row(f"neighbour: {beside}", sleeping, spinning))
    return rows


def in_a_process(
    case: str, way: str, batch_size: int, steps: int, environment: Mapping[str, str] | None = None
) -> float:
    """`images_per_second` in a new process, with an environment of its own if one is given."""
    command = [sys.executable, "-m", "course_utils.author.bench", case, way, str(batch_size), str(steps)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


BUSY = """import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word
while True: pass"""


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many other processes that want a core each, all the time."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def images_per_second(case: str, way: str, batch_size: int, steps: int) -> float:
    """Of `steps` batches, after as many to warm up."""
    split = stand_in(train=batch_size * steps, test=10).train
    return len(split) / seconds_per_call(WAYS[case][way](split, batch_size, this_machine()), calls=1)


class Pictures(torch.utils.data.Dataset):
    """One image and its label at a time, as torchvision's data sets hand them out."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.split.images[index])), int(self.split.labels[index])


def usual_loader(split: Split, batch_size: int, augmented: bool = True) -> torch.utils.data.DataLoader:
    """A worker for every core, kept between epochs: starting them doesn't count."""
    augmentation = [transforms.RandomCrop(32, 4, padding_mode="reflect"), transforms.RandomHorizontalFlip()]
    transform = transforms.Compose([*(augmentation if augmented else []), transforms.ToTensor(),
                                    transforms.Normalize(MEAN, STD)])
    return torch.utils.data.DataLoader(Pictures(split, transform), batch_size, shuffle=augmented, drop_last=augmented,
                                       num_workers=usable_cores(), persistent_workers=True)


def epoch_of(
    batches: Iterable, step: Callable, machine: Machine, memory_format: torch.memory_format = torch.preserve_format
) -> Callable[[], None]:
    """What takes a step on each of the batches, once it is on the machine."""

    def an_epoch() -> None:
        for images, labels in batches:
            step(images.to(machine.device, memory_format=memory_format), labels.to(machine.device))

    return an_epoch


def usual_input(split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    """Flipped, cropped and normalised batches, by torchvision's transforms in a DataLoader."""
    return epoch_of(usual_loader(split, batch_size), lambda images, labels: None, machine)


def our_input(split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    batches = Batches(split, batch_size, machine, Augmentation("random", crop=4))
    return epoch_of(batches, lambda images, labels: None, machine)


def our_training(
    split: Split, batch_size: int, machine: Machine, build: Callable[[], nn.Module] = VGG
) -> Callable[[], object]:
    """A network, VGG with BN and dropout unless told otherwise, as `fit` trains it; making the batches counts."""
    keep_freed_memory()
    recipe = Recipe("bench", 1, constant(0.01), batch_size)
    model = build().to(machine.device, memory_format=machine.memory_format)
    trainer = Trainer(model, recipe, Batches(split, batch_size, machine, recipe.augmentation))
    return lambda: trainer.epoch(0)


def usual_training(split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    """VGG in float32, eager, with torch's dropout, on batches that are ready: only the training is compared."""
    model = with_torch_dropout(VGG()).to(machine.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    batches = Batches(split, batch_size, Machine(machine.device, torch.float32))

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return epoch_of([(images.contiguous(), labels) for images, labels in batches], step, machine)


def with_torch_dropout(model: nn.Module) -> nn.Module:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.dropped / 256))
    return model


def speedrun_with(changes: int, split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    """The speedrun's steps with the first so many of CHANGES; with none, float32 and a DataLoader."""
    machine = machine if changes >= 3 else Machine(machine.device, torch.float32)
    memory_format = torch.channels_last if changes >= 2 else torch.contiguous_format
    if changes >= 4:
        keep_freed_memory()
    recipe = speedrun("bench", 1, batch_size, 0.12)
    model = SpeedNet().to(machine.device, memory_format=memory_format)
    trainer = Trainer(model, recipe, Batches(split, batch_size, machine, recipe.augmentation))
    batches = trainer.batches if changes else usual_loader(split, batch_size)
    return epoch_of(batches, trainer.step, machine, memory_format)


def published_training(precision: torch.dtype, split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    """Jordan's script of 2024 without its `torch.compile`, on batches that are ready.

    Its weights are in `precision`; published is float16.
    """
    model = SpeedNet(zero_bias=False).to(machine.device, precision, memory_format=torch.channels_last)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.float()
    batches = [(images.to(precision), labels) for images, labels in Batches(split, batch_size, machine)]
    return epoch_of(batches, published_step(model, batch_size), machine, torch.channels_last)


def published_step(model: nn.Module, batch_size: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Its first step: no autocast, the loss summed over the batch, each bank of filters orthogonalised by itself."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = ((0.053, [parameter for parameter in trained if parameter.ndim == 1]),
              (0.67, [parameter for parameter in trained if parameter.ndim == 2]))
    rows = [{"params": group, "lr": rate, "weight_decay": 2e-6 * batch_size / rate} for rate, group in groups]
    optimizers = [torch.optim.SGD(rows, lr=0.0, momentum=0.85, nesterov=True, fused=True),
                  *(Muon([bank], lr=0.24, momentum=0.6) for bank in trained if bank.ndim == 4)]

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        F.cross_entropy(model(images), labels, label_smoothing=0.2, reduction="sum").backward()
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad()

    return step


def our_inference(split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    keep_freed_memory()
    model = SpeedNet().to(machine.device, memory_format=machine.memory_format)
    return lambda: evaluate(model, Batches(split, batch_size, machine))


def usual_inference(split: Split, batch_size: int, machine: Machine) -> Callable[[], object]:
    """Float32, eager, in evaluation mode and without gradients, with images from a DataLoader."""
    model, loader = SpeedNet().to(machine.device).eval(), usual_loader(split, batch_size, augmented=False)
    return torch.no_grad()(epoch_of(loader, lambda images, _: model(images).argmax(1).cpu(), machine))


CHANGES = ("usual", "batches at once", "channels last", "low precision", "memory kept")
WAYS: dict[str, dict[str, Way]] = {  # from the usual way to ours; "published" has rivals of the speedrun's
    "input": {"usual": usual_input, "ours": our_input},
    "train": {"usual": usual_training, "ours": our_training},
    "speedrun": {change: partial(speedrun_with, number) for number, change in enumerate(CHANGES)},
    "published": {"float16": partial(published_training, torch.float16),
                  "bfloat16": partial(published_training, torch.bfloat16)},
    "infer": {"usual": usual_inference, "ours": our_inference},
    # On the processor, whatever else is there: it is the processor's threads that have neighbours.
    "neighbour": {"Small": lambda split, size, _: our_training(split, size, this_machine("cpu"), Small)},
}
CASES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "input": partial(in_processes, "input", 128, 78),
    "train": partial(in_processes, "train", 128, 4),
    "speedrun": beside_the_published,
    "infer": partial(in_processes, "infer", 500, 10),
    "neighbour": beside_others,
}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches the command too, which says so
    print(images_per_second(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
