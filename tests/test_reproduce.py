"""The named recipes, and `course reproduce`, killed and started again."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import pytest
from tiny import random_dataset
from torch import nn

from course_utils import data
from course_utils.author import reproduce as reproducing
from course_utils.author.cli import main
from course_utils.author.lessons import LessonError
from course_utils.batches import Augmentation
from course_utils.models import Small
from course_utils.named_recipes import ENTRIES, RECIPES, Entry
from course_utils.optimizers import SGD
from course_utils.recipe import Recipe
from course_utils.records import Run
from course_utils.schedules import as_knots, one_cycle, value_at
from course_utils.training import Diverged

COURSE = [sys.executable, "-m", "course_utils", "reproduce"]

# A recipe small enough for a test, and a process that kills itself after its first epoch with --kill.
TINY = """
import os, signal, sys
from dataclasses import replace
from course_utils import data, named_recipes
from course_utils.author import cli, reproduce
from course_utils.models import Small
from course_utils.training import Recipe

whole = data.load
data.load = lambda name: replace(whole(name), train=whole(name).train.first(300), test=whole(name).test.first(50))
recipe = Recipe("tiny", 3, ((0, 0.05), (3, 0)), batch_size=50, held_out=50)
named_recipes.RECIPES["tiny"] = named_recipes.Entry(Small, recipe)
if "--kill" in sys.argv:
    sys.argv.remove("--kill")
    reproduce.report.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
reproduce.estimated_epoch_seconds = lambda *_: SECONDS
sys.exit(cli.main(sys.argv[1:]))
"""


HOLD = """import sys, time
from course_utils.plumbing.files import alone_in
with alone_in(sys.argv[1], None):
    print("held", flush=True)
    time.sleep(60)
"""


def reproduce(*arguments: str, seconds: int = 12) -> subprocess.CompletedProcess:
    script = f"SECONDS = {seconds}\n{TINY}"
    command = [sys.executable, "-c", script, "reproduce", "tiny", "--dataset", "synthetic", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_recipe_that_was_killed_goes_on_and_ends_like_one_that_was_not(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert reproduce("--out", str(killed), "--kill").returncode == -signal.SIGKILL
    assert not (killed / "tiny-seed0.json").exists()
    again, once = reproduce("--out", str(killed)), reproduce("--out", str(whole))
    assert (again.returncode, once.returncode) == (0, 0), again.stderr + once.stderr
    records = [json.loads((folder / "tiny-seed0.json").read_text()) for folder in (killed, whole)]
    losses = [[row["loss"] for row in record["curve"]] for record in records]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    assert records[0]["result"] == records[1]["result"] and records[0]["result"]["on"] == "test"
    assert "SYNTHETIC" in (whole / "tiny-seed0" / "report.html").read_text()


def test_seeds_and_epochs_are_in_the_records_names(tmp_path):
    outcome = reproduce("--out", str(tmp_path), "--epochs", "2", "--seed", "3", "--seeds", "2")
    assert outcome.returncode == 0, outcome.stderr
    records = [json.loads((tmp_path / f"tiny-2-epochs-seed{seed}.json").read_text()) for seed in (3, 4)]
    assert [len(record["curve"]) for record in records] == [2, 2]
    assert [record["recipe"]["seed"] for record in records] == [3, 4]
    assert records[0]["recipe"]["schedule"] == [[0, 0.05], [2, 0]]
    assert records[0]["curve"] != records[1]["curve"]


def test_a_budget_becomes_epochs_and_a_run_cut_off_keeps_its_own_if_they_fit(tmp_path, monkeypatch):
    # 12 s an epoch: one minute for two seeds is two epochs each
    outcome = reproduce("--out", str(tmp_path), "--budget", "1", "--seeds", "2")
    assert outcome.returncode == 0 and "epochs that fit into 1 min: 2" in outcome.stdout
    assert (tmp_path / "tiny-2-epochs-seed1.json").exists()
    assert reproduce("--out", str(tmp_path / "cut"), "--epochs", "1", "--kill").returncode == -signal.SIGKILL
    again = reproduce("--out", str(tmp_path / "cut"), "--budget", "60")
    assert again.returncode == 0 and (tmp_path / "cut" / "tiny-1-epochs-seed0.json").exists()
    monkeypatch.setattr(reproducing, "estimated_epoch_seconds", lambda *_: 60.0)
    assert reproducing.epochs_within(10**6, "step-0-sgd", tmp_path, 1) == 4  # never more than the recipe's
    assert reproducing.epochs_within(3, "step-0-sgd", tmp_path, 1) == 3
    (tmp_path / "whole" / "step-0-sgd-seed0").mkdir(parents=True)
    assert reproducing.epochs_within(3, "step-0-sgd", tmp_path / "whole", 1) == 4  # cut off, and nearly fits
    assert reproducing.epochs_within(2, "step-0-sgd", tmp_path / "whole", 1) == 2


@pytest.fixture
def tiny(monkeypatch):
    """A recipe of an instant, and the data for it."""
    recipe = Recipe("tiny", 1, ((0, 0.05), (1, 0.0)), batch_size=40, held_out=40, precision="float32")
    monkeypatch.setitem(RECIPES, "tiny", Entry(Small, recipe))
    monkeypatch.setattr(data, "load", lambda name: random_dataset(120, 20))


def test_a_report_that_cannot_be_written_costs_neither_the_run_nor_its_record(tiny, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reproducing.report, "write", full)
    path = reproducing.reproduce("tiny", data.load("cifar10"), tmp_path)
    assert Run.load(path).finished
    assert "tiny-seed0 has no report, OSError: [Errno 28] No space left on device" in capsys.readouterr().err


def test_a_seed_that_fails_is_named_and_the_next_goes_on(tiny, tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny-seed1").mkdir()
    (tmp_path / "tiny-seed1" / "checkpoint-0001.pt").write_bytes(b"damaged")
    assert main(["reproduce", "tiny", "--seeds", "3", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("course: seed 1: ") and "not a readable checkpoint" in said
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["tiny-seed0.json", "tiny-seed2.json"]


def test_beside_other_processes_of_one_run_a_failure_ends_all(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reproducing, "fit", Mock(side_effect=Diverged("the loss became nan")))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")
    assert main(["reproduce", "tiny", "--seeds", "3", "--out", str(tmp_path)]) == 1
    assert reproducing.fit.call_count == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such lock")
def test_a_folder_in_which_another_process_trains_is_left_to_it(tiny, tmp_path):
    (tmp_path / "tiny-seed0").mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "tiny-seed0")], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        with pytest.raises(LessonError, match="another process trains in .*tiny-seed0: wait for it, or choose"):
            reproducing.reproduce("tiny", data.load("cifar10"), tmp_path)
    finally:
        holder.kill()
        holder.wait()
    assert reproducing.reproduce("tiny", data.load("cifar10"), tmp_path).exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such lock")
def test_a_new_folder_is_held_while_a_run_trains_there(tiny, tmp_path, monkeypatch):
    train = reproducing.fit

    def watched(*args, **kwargs):
        holder = subprocess.run([sys.executable, "-c", HOLD.replace("None", "lambda: sys.exit(7)"),
                                 str(tmp_path / "tiny-seed0")])
        assert holder.returncode == 7
        return train(*args, **kwargs)

    monkeypatch.setattr(reproducing, "fit", watched)
    assert reproducing.reproduce("tiny", data.load("cifar10"), tmp_path).exists()


@pytest.mark.parametrize(("seeds", "takes"), [(6, "12 s here, and there are 6 seeds"), (1, "37 min here")])
def test_a_budget_in_which_not_one_epoch_fits_trains_nothing(tmp_path, seeds, takes):
    out, seconds = tmp_path / "out", 12 if seeds > 1 else 2220
    outcome = reproduce("--out", str(out), "--budget", "1", "--seeds", str(seeds), seconds=seconds)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == f"course: not one epoch fits: one takes about {takes}\n" and not out.exists()


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["vgg-2016"], "there is no recipe vgg-2016: choose from vgg-2015"),
    ([], "one of the arguments NAME --list --all --admit is required"),
    (["step-0-sgd", "--all"], "not allowed with"), (["--list", "--admit"], "not allowed with"),
    (["--all", "--epochs", "1"], "go with the NAME of a recipe"), (["--admit", "--seed", "0"], "go with the NAME"),
    (["--list", "--budget", "5"], "go with the NAME of a recipe or --all"),
    (["--admit", "--dataset", "synthetic"], "go with the NAME of a recipe or --all"),
    (["--admit", "--out", "reprodced"], "there is no folder reprodced"),
    (["step-0-sgd", "--epochs", "0"], "--epochs"),
    (["step-0-sgd", "--seeds", "none"], "--seeds"),
    (["step-0-sgd", "--budget", "1.5"], "--budget"),
    (["step-0-sgd", "--budget", "5", "--epochs", "2"], "not allowed with"),
    (["step-0-sgd", "--seed", "-1"], "--seed"),
    (["step-0-sgd", "--out", __file__], "can't write to"),
])
def test_bad_input_is_refused_in_one_line_with_status_2(arguments, complaint, tmp_path):
    outcome = subprocess.run([*COURSE, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert outcome.returncode == 2 and outcome.stderr.count("\n") == 1
    assert complaint in outcome.stderr and list(tmp_path.iterdir()) == []


def test_the_vgg_recipe_is_that_of_2015():
    recipe = RECIPES["vgg-2015"].recipe
    assert (recipe.epochs, recipe.batch_size, recipe.colour) == (300, 128, "yuv")
    assert recipe.optimizer == SGD(weight_decay=5e-4, momentum=0.9, dampening=0.9)
    assert recipe.augmentation == Augmentation("half")
    assert [value_at(recipe.schedule, epoch) for epoch in (0, 24, 25, 60)] == [1, 1, 0.5, 0.25]


def test_the_modern_recipes_of_vgg_differ_in_the_network_and_the_peak_alone():
    recipes = [RECIPES[f"vgg-modern{suffix}"].recipe for suffix in ("", "-no-bn", "-no-dropout", "-plain")]
    first = recipes[0]
    assert {replace(recipe, name=first.name, schedule=first.schedule) for recipe in recipes} == {first}
    assert {tuple((epoch, rate > 0) for epoch, rate in recipe.schedule) for recipe in recipes} == {
        ((0, False), (10, True), (50, False))}
    sizes = {sum(p.numel() for p in RECIPES[recipe.name].build().parameters()) for recipe in recipes}
    assert len(sizes) == 2  # with BN and without; dropout has no parameters


def test_the_list_names_every_recipe_and_measures_a_network_once(monkeypatch, capsys):
    from course_utils.author import cli

    measured = []
    monkeypatch.setattr(reproducing, "estimated_epoch_seconds", lambda entry: measured.append(entry) or 60.0)
    assert cli.main(["reproduce", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(RECIPES)
    row = next(line for line in lines if line.startswith("davidnet "))
    assert row.split()[1:6] == ["DavidNet", "24", "512", "24", "min"] and row.endswith("94.08% (Page 2018)")
    assert len(measured) < len(RECIPES)


def test_an_epoch_is_timed_by_real_steps():
    assert 0 < reproducing.estimated_epoch_seconds(RECIPES["narrow-0-baseline"]) < 600


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_a_network_that_can_be_built(name):
    entry = RECIPES[name]
    kinds = [type(module).__name__ for module in entry.build().modules()]
    assert "Conv2d" in kinds
    if name.endswith(("no-bn", "plain")):
        assert not any(kind.startswith("BatchNorm") for kind in kinds)


def test_no_two_recipes_have_the_same_name():
    assert len(RECIPES) == len(ENTRIES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_stretched_recipe_keeps_its_shape(name):
    recipe = RECIPES[name].recipe
    twice = recipe.stretched(2 * recipe.epochs)
    assert twice.epochs == 2 * recipe.epochs and twice.name == f"{name}-{twice.epochs}-epochs"
    for quantity in ("schedule", "side"):
        knots, longer = as_knots(getattr(recipe, quantity)), as_knots(getattr(twice, quantity))
        assert longer == tuple((2 * epoch, value) for epoch, value in knots)
    assert twice.optimizer == recipe.optimizer  # its parts are shares of the run


@pytest.mark.parametrize("name", ["onecycle-vgg", "onecycle-resnet", "onecycle-inception"])
def test_the_one_cycle_recipes_have_the_published_cycle_with_cool_down(name):
    recipe = RECIPES[name].recipe
    assert (recipe.schedule, recipe.epochs) == (one_cycle(0.008, 0.12, 40, 10, 0.0008), 50)


def test_the_ladder_adds_one_rung_at_a_time():
    rungs = [entry.recipe for name, entry in RECIPES.items() if name.startswith("narrow-")]
    names = ("name", "schedule")
    fields = [{key: value for key, value in rung.to_json().items() if key not in names} for rung in rungs]
    changes = [{key for key in after if after[key] != before[key]}
               for before, after in zip(fields, fields[1:], strict=False)]
    assert changes == [set(), {"label_smoothing"}, set(), set(), {"bias_boost"}, {"cutout"}, {"averaging"},
                       {"views", "cutout"}]
    whole = [entry.recipe.epochs for name, entry in RECIPES.items() if re.match(r"davidnet-\d", name)]
    assert whole == [25, 23, 20, 18, 17, 14, 13, 10]


def test_whitening_sets_the_fixed_layer_from_the_images_trained_on():
    train = data.stand_in(train=200, test=10).train
    model = RECIPES["narrow-6-whitening"].build()
    before = model.whiten.weight.clone()
    reproducing.whiten(model, train)
    assert not model.whiten.weight.equal(before) and not model.whiten.weight.requires_grad
    plain = nn.Conv2d(3, 3, 1)
    weights = plain.weight.clone()
    reproducing.whiten(plain, train)  # a network without such a layer is left as it is
    assert plain.weight.equal(weights)
