"""The named recipes, and `course reproduce`, killed and started again."""

import json
import signal
import subprocess
import sys

import pytest

from course_utils.recipes import RECIPES
from course_utils.schedules import rate_at

COURSE = [sys.executable, "-m", "course_utils", "reproduce"]

# A recipe small enough for a test, and a process that kills itself after its first epoch if told to.
TINY = """
import os, signal, sys
from dataclasses import replace
from course_utils import __main__, data, recipes
from course_utils.models import Small
from course_utils.training import Recipe

whole = data.load
data.load = lambda name: replace(whole(name), train=whole(name).train.first(300), test=whole(name).test.first(50))
recipe = Recipe("tiny", 3, ((0, 0.05), (3, 0)), batch_size=50, held_out=50, flip="half")
recipes.RECIPES["tiny"] = recipes.Entry(Small, recipe)
if "--kill" in sys.argv:
    sys.argv.remove("--kill")
    recipes.report.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(__main__.main(sys.argv[1:]))
"""


def reproduce(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", TINY, "reproduce", "tiny", "--dataset", "synthetic", *arguments]
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


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["vgg-2016"], "there is no recipe vgg-2016: choose from vgg-2015"),
    (["vgg-short", "--seed", "-1"], "--seed"),
    (["vgg-short", "--out", __file__], "can't write to"),
])
def test_bad_input_gets_one_line_and_status_2(arguments, complaint, tmp_path):
    outcome = subprocess.run([*COURSE, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert outcome.returncode == 2 and outcome.stderr.count("\n") == 1
    assert complaint in outcome.stderr and list(tmp_path.iterdir()) == []


def test_the_recipe_of_2015():
    recipe = RECIPES["vgg-2015"].recipe
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (300, 128, 5e-4)
    assert (recipe.momentum, recipe.dampening, recipe.flip, recipe.colour) == (0.9, 0.9, "half", "yuv")
    assert [rate_at(recipe.schedule, epoch) for epoch in (0, 24, 25, 60)] == [1, 1, 0.5, 0.25]


def test_the_short_recipes_differ_in_the_network_alone():
    recipes = [RECIPES[f"vgg-short{suffix}"].recipe for suffix in ("", "-no-bn", "-no-dropout", "-plain")]
    assert len({str(recipe).replace(repr(recipe.name), "") for recipe in recipes}) == 1
    sizes = {sum(p.numel() for p in RECIPES[recipe.name].build().parameters()) for recipe in recipes}
    assert len(sizes) == 2  # with BN and without; dropout has no parameters
