"""Train the tiny network in processes that are killed at chosen calls and started again: `killed.py FOLDER`.

A kill is SIGKILL, sent just before (where the name ends in "+": just after) the N-th call of a function, or with half
of the N-th file written, so that no clock decides when it strikes. Prints what became of each scenario as JSON.
Processes are forked, because importing torch takes longer than all that they do.
"""

import hashlib
import io
import json
import os
import random
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # torch would import it in the first step of every process
from tiny import random_dataset, tiny_net, tiny_recipe
from torch import nn

from course_utils import checkpoints, records, training
from course_utils.machine import this_machine
from course_utils.optimizers import MuonAndSGD
from course_utils.plumbing import files

EPOCHS = 6
TARGETS = {
    "forward": (nn.Conv2d, "forward"), "backward": (torch.Tensor, "backward"), "step": (torch.optim.SGD, "step"),
    "evaluate": (training, "evaluate"), "save": (torch, "save"), "fsync": (os, "fsync"), "replace": (os, "replace"),
    "record": (records.Run, "save"), "unlink": (Path, "unlink"), "tidy": (checkpoints, "_tidy"),
    "load": (torch, "load"),
}
# Each process of a scenario gets one kill, then one without goes on to the end. An epoch has 5 steps and writes two
# files, the checkpoint and the record; the record is written once more at the end.
SCENARIOS: dict[str, list[str]] = {
    "never": [],
    **{f"in step {step}": [f"step {step}"] for step in random.Random(0).sample(range(1, 30), 4)},
    "in forward and backward": ["forward 18", "backward+ 9"],
    "while evaluating": ["evaluate 2", "evaluate+ 3"],
    "while testing": ["evaluate 7", "evaluate 1", "evaluate+ 1"],
    "around torch.save": ["save 3", "save+ 1"],
    "half the first checkpoint": ["write 1"],
    "half a later checkpoint, thrice": ["write 5", "write 1", "write 1"],
    "half a record": ["write 2", "write 4"],
    "around fsync": ["fsync 5", "fsync+ 1"],
    "around a checkpoint's rename": ["replace 5", "replace+ 1"],
    "around a record's rename": ["replace 6", "replace+ 2"],
    "around the last rename": ["replace 13", "replace 1", "replace+ 1"],
    "while dropping old checkpoints": ["unlink 1", "unlink+ 1", "tidy 2"],
    "while resuming": ["step 12", "load 1", "load+ 1"],
    "again and again": ["replace+ 1"] * EPOCHS,
    "after the end": ["record+ 7"],
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(name: str, call: int) -> None:
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call and not after:
            die()
        result = real(*args, **kwargs)
        if calls == call:
            die()
        return result

    class Half(io.FileIO):
        def write(self, content) -> int:
            nonlocal calls
            calls += 1
            if calls == call:
                super().write(bytes(content)[: len(content) // 2])
                die()
            return super().write(content)

    if name == "write":
        files.open = lambda path, mode: Half(path, "w")
        return
    after, (owner, attribute) = name.endswith("+"), TARGETS[name.rstrip("+")]
    real = getattr(owner, attribute)
    setattr(owner, attribute, counted)


def train(folder: Path, precision: str) -> None:
    """To the end, then write down the SHA-256 of all weights and statistics."""
    torch.set_num_threads(1)
    recipe = tiny_recipe(EPOCHS, precision=precision, averaging=0.9, optimizer=MuonAndSGD())
    net = tiny_net(recipe.seed)
    training.fit(net, recipe, random_dataset(), machine=this_machine("cpu", precision), folder=folder)
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    folder.with_suffix(".sha256").write_text(digest.hexdigest())


def process(folder: Path, precision: str, kill: str = "") -> int:
    """Train in a process of its own; the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            if kill:
                arm(kill.split()[0], int(kill.split()[1]))
            train(folder, precision)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def play(folder: Path, precision: str, kills: list[str]) -> dict:
    ends, found = [], []
    for kill in kills:
        ends.append(process(folder, precision, kill))
        found.append(sorted(path.name for path in folder.glob("*")))
    end = process(folder, precision)
    return {"ends": ends, "found": found, "end": end, "left": sorted(path.name for path in folder.glob("*")),
            "weights": folder.with_suffix(".sha256").read_text(),
            "curve": json.loads((folder / "run.json").read_text())["curve"]}


if __name__ == "__main__":
    print(json.dumps({
        f"{name}, {precision}": play(Path(sys.argv[1]) / f"{name}-{precision}", precision, SCENARIOS[name])
        for precision, names in (("float32", SCENARIOS), ("bfloat16", ("never", "around a checkpoint's rename")))
        for name in names
    }))
