"""Two processes against one, and what does not divide among them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course_utils.machine import this_machine
from course_utils.plumbing.distributed import Processes, processes

ALONE = [sys.executable]
TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# A run whose batch norm sees each half of a batch by itself: in one process by ghosts, in two by nature.
SCRIPT = """
import json, os, signal, sys
from dataclasses import asdict
import torch
from torch import nn
from tiny import random_dataset
from course_utils.plumbing.distributed import processes
from course_utils.machine import this_machine
from course_utils.batches import Augmentation
from course_utils.models import DavidNet
from course_utils.optimizers import SGD
from course_utils.training import Recipe, fit

def kill(run):
    if "--kill" in sys.argv and len(run.curve) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

machine = this_machine("cpu", "float32")
workers = processes(machine.device)
torch.manual_seed(0)
class Double(nn.Module):
    def forward(self, images):
        return images.double()

# In float64, so that what is left of the order of sums doesn't show: how far float32 drifts depends on the processor.
model = nn.Sequential(Double(), DavidNet(4, ghosts=2 // workers.count)).double()
recipe = Recipe("both", 3, ((0, 0.05), (3, 0)), batch_size=16, optimizer=SGD(nesterov=True), averaging=0.9,
                augmentation=Augmentation("random", crop=4, cutout=8), held_out=40)
run = fit(model, recipe, random_dataset(120), machine=machine, folder=sys.argv[1], test=False, on_epoch=kill)
if workers.rank == 0:
    curve, weights = [asdict(row) for row in run.curve], [p.flatten().tolist() for p in model.parameters()]
    print(json.dumps([curve, weights, run.hardware.processes]))
"""


def train(command: list[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    script = folder.with_suffix(".py")
    script.write_text(SCRIPT)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([*command, str(script), str(folder), *arguments], capture_output=True, text=True,
                          env=environment)


def trained(outcome: subprocess.CompletedProcess) -> tuple[list[dict], torch.Tensor, int]:
    assert outcome.returncode == 0, outcome.stderr
    curve, weights, processes = json.loads(outcome.stdout.strip().splitlines()[-1])
    return curve, torch.cat([torch.tensor(weight) for weight in weights]), processes


def test_two_processes_give_the_curve_of_one_even_when_killed_midway(tmp_path):
    curve, weights, alone = trained(train(ALONE, tmp_path / "one"))
    killed = train(TOGETHER, tmp_path / "two", "--kill")
    assert killed.returncode != 0 and "Signal 9 (SIGKILL)" in killed.stderr + killed.stdout
    both_curve, both_weights, both = trained(train(TOGETHER, tmp_path / "two"))
    assert (alone, both) == (1, 2)
    for ours, theirs in zip(curve, both_curve, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=1e-6)  # an image is 0.0125
        assert ours["held_out_loss"] == pytest.approx(theirs["held_out_loss"], rel=1e-3)
    torch.testing.assert_close(both_weights, weights, atol=1e-6, rtol=1e-5)
    assert curve[0]["loss"] - curve[2]["loss"] > 0.01  # something was learned


def test_shares_cover_a_batch_and_do_not_overlap():
    images = list(range(12))
    shares = [images[Processes(3, rank).share(12)] for rank in range(3)]
    assert sum(shares, []) == images and len({len(share) for share in shares}) == 1
    with pytest.raises(ValueError, match="a batch of 10 does not split over 3 processes: choose a multiple of 3"):
        Processes(3, 0).share(10)


@pytest.mark.parametrize("kind", ["mps", "tpu"])
def test_several_processes_are_refused_where_they_cannot_train_together(monkeypatch, kind):
    device = SimpleNamespace(type=kind)
    assert processes(device) == Processes()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")
    with pytest.raises(ValueError, match=f"several processes cannot train together on {kind}: start one"):
        processes(device)


def test_a_process_without_an_accelerator_of_its_own_says_so_and_waits_for_nobody(monkeypatch):
    def missing(index):
        raise RuntimeError("CUDA error: invalid device ordinal\nmore")

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.accelerator.set_device_index", missing)
    monkeypatch.setattr("course_utils.machine.accelerator", lambda: torch.device("cuda"))
    with pytest.raises(ValueError, match=r"accelerator of its own \(CUDA error: invalid device ordinal\): start"):
        this_machine()


@pytest.mark.parametrize(("kind", "backend"), [("cuda", "nccl"), ("xpu", "xccl"), ("cpu", "gloo")])
def test_each_process_takes_an_accelerator_of_its_own_before_anything_is_made_on_one(monkeypatch, kind, backend):
    taken, joined, device = [], [], torch.device(kind)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.accelerator.set_device_index", taken.append)
    monkeypatch.setattr("torch.distributed.init_process_group", joined.append)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 4)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 3)
    monkeypatch.setattr("torch.empty", lambda *size, device: taken.append(device))
    monkeypatch.setattr("course_utils.machine.fastest_precision", lambda device: torch.float32)
    this_machine(kind)
    assert processes(device) == Processes(4, 3)
    assert (taken, joined) == ([device] if kind == "cpu" else [1, device], [backend])
