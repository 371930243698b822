"""Checkpoints: killed for real, cut, flipped, hostile, foreign, and with the disk full."""

import errno
import hashlib
import io
import json
import os
import pickle
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest
import torch
from killed import SCENARIOS
from tiny import CPU, random_dataset, same_curve, same_weights, tiny_net, tiny_recipe
from torch import nn

from course_utils import checkpoints, machine, records, training
from course_utils.checkpoints import CheckpointError
from course_utils.machine import Machine
from course_utils.models.layers import Dropout
from course_utils.plumbing import files
from course_utils.schedules import triangle
from course_utils.training import fit

DATASET = random_dataset()


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> dict[str, dict]:
    """What `killed.py` saw, by scenario and precision."""
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, script, tmp_path_factory.mktemp("killed")], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("scenario", [*(f"{name}, float32" for name in SCENARIOS if name != "never"),
                                      "around a checkpoint's rename, bfloat16"])
def test_a_run_killed_at_any_moment_ends_as_one_never_killed(killed, scenario):
    name, _, precision = scenario.rpartition(", ")
    never, run = killed[f"never, {precision}"], killed[scenario]
    assert run["ends"] == [SIGKILL] * len(SCENARIOS[name]), "a kill did not strike"
    assert run["end"] == never["end"] == 0
    assert run["weights"] == never["weights"]
    assert same_curve(*([records.Epoch(**row) for row in each["curve"]] for each in (run, never)))
    assert run["left"] == ["checkpoint-0005.pt", "checkpoint-0006.pt", "run.json"]


def test_the_kills_strike_with_files_half_written(killed):
    halves = [[name for name in found if name.startswith(files.PARTIAL)]
              for run in killed.values() for found in run["found"]]
    assert sum(map(bool, halves)) >= 10
    assert max(map(len, halves)) == 1, "what an earlier kill left is still there"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two epochs of three, as a kill would leave them."""
    class Stop(Exception):
        pass

    def stop(run) -> None:
        if len(run.curve) == 2:
            raise Stop

    with pytest.raises(Stop):
        fit(tiny_net(), tiny_recipe(3), DATASET, machine=CPU, folder=tmp_path, on_epoch=stop)
    return tmp_path


def resume(folder: Path, **changes):
    return fit(changes.pop("model", None) or tiny_net(), changes.pop("recipe", tiny_recipe(3)),
               changes.pop("dataset", DATASET), machine=changes.pop("machine", CPU), folder=folder)


def refused(folder: Path, match: str, **changes) -> str:
    with pytest.raises(CheckpointError, match=match) as refusal:
        resume(folder, **changes)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_only_the_last_two_are_kept_and_plain_torch_reads_them(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-0001.pt", "checkpoint-0002.pt", "run.json"]
    resume(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-0002.pt", "checkpoint-0003.pt", "run.json"]
    state = torch.load(folder / "checkpoint-0003.pt", weights_only=True)
    net = tiny_net()
    net.load_state_dict(state["model"])


def test_a_resumed_run_goes_on_and_a_finished_one_is_only_scored_again(folder):
    epochs, net = [], tiny_net()
    run = fit(net, tiny_recipe(3), DATASET, machine=CPU, folder=folder,
              on_epoch=lambda run: epochs.append(run.curve[-1].epoch))
    assert epochs == [3]
    again = tiny_net()
    scored = fit(again, tiny_recipe(3), DATASET, machine=CPU, folder=folder)
    assert (scored.result, scored.started) == (run.result, run.started)
    assert same_weights(net, again)
    assert records.Run.load(folder / "run.json").finished


@pytest.mark.parametrize("keep", [0, 1, 31, 32, 100, 0.5, -1, -32, -33])
def test_a_truncated_checkpoint_is_refused_and_left_alone(folder, keep):
    path = folder / "checkpoint-0002.pt"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    cut = path.read_bytes()
    message = refused(folder, "not a readable checkpoint")
    assert str(path) in message
    assert "delete it to go on from the one before" in message
    assert path.read_bytes() == cut
    path.unlink()
    assert len(resume(folder).curve) == 3  # as the message says


def test_a_flipped_bit_anywhere_is_noticed(folder):
    """Even in a weight, which `torch.load` alone does not see."""
    path = folder / "checkpoint-0002.pt"
    content = path.read_bytes()
    weight = content.index(torch.load(path, weights_only=True)["model"]["6.weight"].numpy().tobytes())
    for place in (0, weight + 2, len(content) // 2, len(content) - 40, len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        refused(folder, "checksum")
    flipped = bytearray(content)
    flipped[weight + 2] ^= 1
    path.write_bytes(flipped)
    torch.load(path, weights_only=True)  # why there is a checksum


class Hostile:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def hostile_files(victim: Path) -> dict[str, bytes]:
    zipped, whole = io.BytesIO(), io.BytesIO()
    torch.save({"model": Hostile(victim)}, zipped)
    torch.save(Hostile(victim), whole, _use_new_zipfile_serialization=False)
    plain = pickle.dumps(Hostile(victim), protocol=2)
    files = {"zip": zipped.getvalue(), "legacy": whole.getvalue(), "pickle": plain}
    return files | {f"{name} with checksum": content + hashlib.sha256(content).digest()
                    for name, content in files.items()}


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "zip with checksum", "legacy with checksum",
                                  "pickle with checksum"])
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(folder, tmp_path_factory, kind):
    victim = tmp_path_factory.mktemp("victim") / "made"
    content = hostile_files(victim)[kind]
    (folder / "checkpoint-0002.pt").write_bytes(content)
    refused(folder, "not a readable checkpoint")
    assert not victim.exists()
    if kind == "pickle":
        pickle.loads(content).close()
        assert victim.exists(), "the pickle is harmless"


def test_a_checkpoint_of_another_program_is_refused(folder):
    path = folder / "checkpoint-0002.pt"
    torch.save({"epoch": 3, "state_dict": tiny_net().state_dict()}, path)
    refused(folder, "not a readable checkpoint.*what `fit` wrote")
    content = path.read_bytes()
    path.write_bytes(content + hashlib.sha256(content).digest())
    refused(folder, "not a readable checkpoint.*KeyError")
    path.write_text("hello")
    refused(folder, "not a readable checkpoint")


def other_net() -> nn.Module:
    net = tiny_net()
    net[3] = Dropout(0.5)
    return net


@pytest.mark.parametrize(("changes", "names"), [
    ({"recipe": tiny_recipe(3, weight_decay=0.1)}, r"run whose recipe differs \(weight_decay 0.0005, here 0.1\)"),
    ({"recipe": tiny_recipe(4, seed=1)}, r"run whose recipe differs \(epochs 3, here 4, seed 0, here 1\)"),
    ({"recipe": tiny_recipe(3, precision=None), "machine": Machine(torch.device("cpu"), torch.bfloat16)},
     r"run whose recipe differs \(precision 'float32', here 'bfloat16'\)"),
    ({"model": other_net()}, r"model differs \(layers"),
    ({"dataset": random_dataset(seed=1)}, r"data differs \(fingerprint 'noise 0', here 'noise 1'\)"),
    ({"dataset": replace(DATASET, name="CIFAR-10")}, r"data differs \(name 'SYNTHETIC', here 'CIFAR-10'\)"),
])
def test_a_checkpoint_of_another_run_is_refused_and_says_what_differs(folder, changes, names):
    refused(folder, names, **changes)
    assert len(list(folder.glob("checkpoint-*"))) == 2


def test_a_run_that_other_hardware_began_goes_on_with_a_warning(folder, monkeypatch):
    here = training.hardware
    monkeypatch.setattr(training, "hardware", lambda *of: replace(here(*of), processor="Another processor"))
    with pytest.warns(UserWarning, match="made on other hardware .*'Another processor'.* seconds are of both"):
        assert resume(folder).finished


def test_a_run_goes_on_where_the_memory_format_is_another_one(folder, monkeypatch):
    """As from a GPU, channels last, to a device that is not: the momentum lies in memory as the weights do."""
    expected = tiny_net()
    fit(expected, tiny_recipe(3), DATASET, machine=CPU)
    monkeypatch.setattr(machine, "KERNELS", ())
    net = tiny_net()
    fit(net, tiny_recipe(3), DATASET, machine=CPU, folder=folder)
    for ours, theirs in zip(net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_numbers_of_numpy_in_a_recipe_are_kept_as_plain_ones(tmp_path):
    recipe = tiny_recipe(2, schedule=triangle(np.float64(0.05), 1, 2), weight_decay=np.float32(5e-4))
    run = fit(tiny_net(), recipe, DATASET, machine=CPU, folder=tmp_path)
    again = fit(tiny_net(), recipe, DATASET, machine=CPU, folder=tmp_path)
    assert again.result == run.result
    assert records.Run.load(tmp_path / "run.json").recipe["weight_decay"] == pytest.approx(5e-4)


def test_an_old_checkpoint_that_cannot_be_deleted_does_not_end_the_training(folder, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(13, "open in another program", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "_tidy", lambda folder: None)  # at the start, before any file is open elsewhere
        run = resume(folder, recipe=tiny_recipe(3))
    assert len(run.curve) == 3
    monkeypatch.setattr(Path, "unlink", refuse)
    checkpoints.save_checkpoint(run, {"model": {}}, folder)


def test_files_of_a_reader_s_own_are_left_alone(folder):
    for name in ("checkpoint-best.pt", "checkpoint-last.pt", "checkpoint-vgg.pt"):
        (folder / name).write_text("mine")
    assert len(resume(folder).curve) == 3
    assert len(list(folder.glob("checkpoint-[a-z]*.pt"))) == 3


def test_the_ten_thousandth_epoch_is_the_latest(tmp_path):
    for number in (9999, 10000, 10001):
        (tmp_path / f"checkpoint-{number:04d}.pt").touch()
    checkpoints._tidy(tmp_path)
    assert [path.name for path in checkpoints._by_epoch(tmp_path)] == ["checkpoint-10000.pt", "checkpoint-10001.pt"]


def full_disk(folder: Path, monkeypatch, room: int) -> None:
    """Every file has room for so many bytes."""
    class Full(io.FileIO):
        def write(self, content) -> int:
            if len(content) > room:
                super().write(bytes(content)[:room])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(content)

    monkeypatch.setattr(files, "open", lambda path, mode: Full(path, "w"), raising=False)


@pytest.mark.parametrize("room", [0, 4096])
def test_a_full_disk_is_a_clear_error_and_the_run_can_go_on(folder, monkeypatch, room):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    full_disk(folder, monkeypatch, room)
    message = refused(folder, "No space left on device")
    assert "checkpoint-0003.pt" in message
    assert "make room" in message
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.undo()
    never = tiny_net()
    fit(never, tiny_recipe(3), DATASET, machine=CPU)
    net = tiny_net()
    resume(folder, model=net)
    assert same_weights(net, never)


def test_a_limit_on_file_sizes_is_a_clear_error_too_and_the_run_can_go_on(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
    try:
        refused(folder, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="choose another folder"):
        fit(tiny_net(), tiny_recipe(), DATASET, machine=CPU, folder=tmp_path / "file" / "run",
            on_epoch=lambda run: pytest.fail("trained"))


def test_files_have_the_usual_permissions(folder):
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~umask}
