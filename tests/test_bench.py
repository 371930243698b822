"""The benchmark: what it reports, at sizes that say nothing of speed."""

import copy
import json
import subprocess
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_utils.author import bench
from course_utils.author.cli import main
from course_utils.batches import Batches
from course_utils.data import stand_in
from course_utils.machine import Machine
from course_utils.models import VGG, SpeedNet
from course_utils.models.layers import Dropout
from course_utils.named_recipes import speedrun
from course_utils.training import Trainer

KEYS = ["case", "ours", "usual", "unit", "ratio"]


def test_ways_take_turns_and_medians_are_compared():
    turns, rates = [], {"usual": iter([2.0, 3.0, 50.0]), "ours": iter([8.0, 100.0, 9.0])}

    def way(name: str):
        return lambda: (turns.append(name), next(rates[name]))[1]

    usual, ours = bench.medians([way("usual"), way("ours")], 3)
    assert bench.row("case", ours, usual) == {
        "case": "case", "ours": 9.0, "usual": 3.0, "unit": "images/s", "ratio": 3.0}
    assert turns == ["usual", "ours"] * 3


@pytest.mark.parametrize("case", bench.WAYS)
def test_rows_are_measured(case):
    rows = bench.in_processes(case, batch_size=2, steps=1, repeats=1)
    assert rows[0]["case"] == case
    for row in rows:
        assert list(row) == KEYS
        assert row["ours"] > 0 < row["usual"]
        # The ratio is that of the rates before they were rounded to a tenth.
        least, most = (row["ours"] - 0.05) / (row["usual"] + 0.05), (row["ours"] + 0.05) / (row["usual"] - 0.05)
        assert least - 0.006 <= row["ratio"] <= most + 0.006


def test_each_change_is_compared_with_the_way_before_it(monkeypatch):
    rates = {"usual": 100.0, "batches at once": 110.0, "channels last": 220.0, "low precision": 330.0,
             "memory kept": 660.0, "float16": 6.0}

    def answer(command, **_):
        return SimpleNamespace(stdout=str(rates[command[4]]))

    monkeypatch.setattr(bench.subprocess, "run", answer)
    rows = bench.in_processes("speedrun", batch_size=2, steps=1, rivals=[("published", "float16", 1, 1)])
    assert [(row["case"], row["ours"], row["usual"], row["ratio"]) for row in rows] == [
        ("speedrun", 660.0, 100.0, 6.6),
        ("speedrun: batches at once", 110.0, 100.0, 1.1),
        ("speedrun: channels last", 220.0, 110.0, 2.0),
        ("speedrun: low precision", 330.0, 220.0, 1.5),
        ("speedrun: memory kept", 660.0, 330.0, 2.0),
        ("speedrun: ours, not published, float16", 660.0, 6.0, 110.0),
    ]


def test_the_published_step_moves_the_weights_as_ours_does():
    """Of the summed loss, at the published rates; filters by their direction, for small singular values are noise."""
    machine, split = Machine(torch.device("cpu"), torch.float32), stand_in(train=200, test=10).train
    torch.manual_seed(0)
    before = SpeedNet(zero_bias=False)
    ours, published = copy.deepcopy(before), copy.deepcopy(before)
    recipe = speedrun("speedrun", 8, 200, 0.24)
    trainer = Trainer(ours, recipe, Batches(split, 200, machine, recipe.augmentation))
    trainer.set_rates(0)
    batch = next(iter(Batches(split, 200, machine)))
    trainer.step(*batch)
    bench.published_step(published, 200)(*batch)
    for was, one, other in zip(before.parameters(), ours.parameters(), published.parameters(), strict=True):
        if was.ndim == 4 and was.requires_grad:
            assert torch.cosine_similarity((one - was).flatten(), (other - was).flatten(), dim=0) > 0.99
        else:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_spinning_and_sleeping_threads_are_measured_beside_the_same_neighbours(monkeypatch):
    others, measured, name = [], [], bench.SPINNING[0]
    monkeypatch.setenv(name, "7")  # the user's own value is neither of the two
    popen = bench.subprocess.Popen
    monkeypatch.setattr(bench.subprocess, "Popen", lambda command: others.append(popen(command)) or others[-1])

    def answer(command, env, **_):
        measured.append((sum(other.poll() is None for other in others), env.get(name)))
        return SimpleNamespace(stdout="100.0" if name in env else "50.0")

    monkeypatch.setattr(bench.subprocess, "run", answer)
    rows = bench.beside_others(repeats=1)
    assert measured == [(count, turns) for count in range(3) for turns in (None, bench.SPINNING[1])]
    assert [row["ratio"] for row in rows] == [2.0] * 3
    assert [other.poll() is None for other in others] == [False] * 3  # none is left running


def test_the_usual_network_is_the_same_but_for_its_dropout():
    torch.manual_seed(0)
    ours = VGG()
    torch.manual_seed(0)
    usual = bench.with_torch_dropout(VGG())
    assert ours.state_dict().keys() == usual.state_dict().keys()
    rates = [[getattr(m, "p", None) or m.dropped / 256 for m in net.modules() if isinstance(m, Dropout | nn.Dropout)]
             for net in (ours, usual)]
    assert rates[0] == rates[1]
    assert len(rates[1]) == 10
    assert not any(isinstance(module, Dropout) for module in usual.modules())


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys, monkeypatch):
    row = {"case": "input", "ours": 90.0, "usual": 9.0, "unit": "images/s", "ratio": 10.0}
    monkeypatch.setattr(bench, "CASES", {"input": lambda: [row], "train": lambda: [row | {"case": "train"}]})
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(["bench", "all", "--json", str(tmp_path / "bench.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == KEYS
    assert lines[1].split() == ["input", "90.0", "9.0", "images/s", "10.0"]
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["case"] for row in written["rows"]] == ["input", "train"]
    assert written["hardware"]["processor"]
    assert written["versions"]["torch"] == torch.__version__


def test_a_measurement_that_fails_is_named_and_the_others_are_kept(tmp_path, capsys, monkeypatch):
    row = {"case": "input", "ours": 90.0, "usual": 9.0, "unit": "images/s", "ratio": 10.0}

    def killed():
        raise subprocess.CalledProcessError(-9, "measure")

    monkeypatch.setattr(bench, "CASES", {"train": killed, "input": lambda: [row]})
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(["bench", "all", "--json", str(tmp_path / "bench.json")]) == 1
    said = capsys.readouterr()
    assert said.err == "course: train: the measurement ended with status -9; too little memory gives -9\n"
    assert "input" in said.out and json.loads((tmp_path / "bench.json").read_text())["rows"] == [row]
