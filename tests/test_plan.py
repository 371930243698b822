"""The plan of recorded runs: followed in order, within its time, and past what fails."""

import errno
from dataclasses import replace

import pytest
from tiny import random_dataset

from course_utils import named_recipes
from course_utils.author import plan
from course_utils.author.cli import main
from course_utils.author.lessons import LessonError
from course_utils.models import Small
from course_utils.named_recipes import RECIPES, Entry
from course_utils.recipe import Recipe
from course_utils.records import Run
from course_utils.show import ledger

DATA = random_dataset(120, 20)
ROW = '[[run]]\nrecipes = ["tiny-a", "tiny-b"]\nepochs = {epochs}\nseeds = [0, 1]\nwhy = "It shows."\n'


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A plan of two tiny recipes with two seeds each; an epoch is taken to last a minute."""
    for name in ("tiny-a", "tiny-b"):
        recipe = Recipe(name, 1, ((0, 0.05), (1, 0.0)), batch_size=40, held_out=40, precision="float32")
        monkeypatch.setitem(RECIPES, name, Entry(Small, recipe))
    monkeypatch.setattr(plan, "estimated_epoch_seconds", lambda *_: 60.0)
    monkeypatch.setattr(plan, "RESULTS", tmp_path / "results")
    path = tmp_path / "plan.toml"
    path.write_text(ROW.format(epochs=2))
    return plan.load(path)


def test_a_plan_trains_each_seed_of_every_recipe_before_the_next_seed(runs):
    assert [run.name for run in runs] == [
        f"tiny-{letter}-2-epochs-seed{seed}" for seed in (0, 1) for letter in ("a", "b")]


def test_all_runs_are_trained_and_a_second_call_finds_them_recorded(runs, tmp_path, capsys):
    assert plan.train_all(runs, DATA, tmp_path) == 0
    assert all(Run.load(tmp_path / f"{run.name}.json").finished for run in runs)
    before = (tmp_path / f"{runs[0].name}.json").read_bytes()
    capsys.readouterr()
    assert plan.train_all(runs, DATA, tmp_path) == 0
    assert capsys.readouterr().out == "4 of 4 runs are recorded\n"
    assert (tmp_path / f"{runs[0].name}.json").read_bytes() == before


def test_a_record_by_other_settings_does_not_count(runs, tmp_path, monkeypatch):
    plan.train_all(runs[:1], DATA, tmp_path)
    assert runs[0].has_record(tmp_path, DATA.fingerprint)
    entry = RECIPES["tiny-a"]
    changed = replace(entry.recipe, label_smoothing=0.1)
    monkeypatch.setitem(named_recipes.RECIPES, "tiny-a", replace(entry, recipe=changed))
    assert not runs[0].has_record(tmp_path, DATA.fingerprint)


def test_what_would_not_end_within_the_budget_is_not_begun(runs, tmp_path, capsys):
    assert plan.train_all(runs, DATA, tmp_path, minutes=1) == 0
    said = capsys.readouterr().out
    assert said.count("left out: it would not end within the budget") == 4 and "2 min to go" in said
    assert not list(tmp_path.glob("tiny-*"))


def test_a_run_that_was_cut_off_goes_on_and_needs_only_the_rest(runs, tmp_path, monkeypatch, capsys):
    def cut(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("course_utils.show.report.write", cut)
        plan.train_all(runs[:1], DATA, tmp_path)
    assert plan.epochs_done(tmp_path / runs[0].name) == 1
    capsys.readouterr()
    assert plan.train_all(runs[:1], DATA, tmp_path, minutes=1.5) == 0  # two epochs would take two minutes
    assert "1 of 2 epochs are done" in capsys.readouterr().out
    assert runs[0].has_record(tmp_path, DATA.fingerprint)


def test_a_record_from_other_data_does_not_count(runs, tmp_path):
    plan.train_all(runs[:1], DATA, tmp_path)
    assert not runs[0].has_record(tmp_path, "CIFAR-10's")


@pytest.mark.parametrize(("error", "why"), [
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    (RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB"), "out of memory."),
])
def test_a_failed_run_says_why_in_a_line_and_the_next_goes_on(runs, tmp_path, monkeypatch, capsys, error, why):
    (tmp_path / runs[0].name).mkdir()
    (tmp_path / runs[0].name / "checkpoint-0001.pt").write_bytes(b"damaged")
    train = plan.reproduce

    def fail(recipe, *rest):
        if recipe == "tiny-b":
            raise error
        return train(recipe, *rest)

    monkeypatch.setattr(plan, "reproduce", fail)
    assert plan.train_all(runs[:3], DATA, tmp_path) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "not a readable checkpoint" in said[0] and said[1].endswith(why)
    assert runs[2].has_record(tmp_path, DATA.fingerprint)


@pytest.mark.parametrize(("text", "complaint"), [
    ("[[run]", "not a plan"), ("", "KeyError"), (b"\xff", "UnicodeDecodeError"),
    ('[[run]]\nrecipes = ["vgg-2015"]\nwhy = ""', "missing 1 required positional argument: 'seeds'"),
    ('[[run]]\nrecipes = ["vgg-2051"]\nseeds = [0]\nwhy = ""', "there is no recipe vgg-2051: see"),
    ('[[run]]\nrecipes = "vgg-2015"\nseeds = [0]\nwhy = ""', "expected a list of each"),
    ('[[run]]\nrecipes = ["vgg-2015"]\nseeds = "01"\nwhy = ""', "expected a list of each"),
    ('[[run]]\nrecipes = ["vgg-2015"]\nseeds = [0.5]\nwhy = ""', "expected whole numbers"),
    ('[[run]]\nrecipes = ["vgg-2015"]\nseeds = [0]\nepochs = 0\nwhy = ""', "expected whole numbers, epochs from 1"),
    ('[[run]]\nrecipes = ["vgg-2015"]\nseeds = [0]\nepochs = 2.5\nwhy = ""', "expected whole numbers"),
    ('[[run]]\nrecipes = ["vgg-2015"]\nseeds = [0]\nepoch = 5\nwhy = ""', "unexpected keyword argument 'epoch'"),
])
def test_a_plan_that_cannot_be_followed_is_refused_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "plan.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LessonError, match=complaint) as refusal:
        plan.load(path)
    assert "\n" not in str(refusal.value) and str(path) in str(refusal.value)


def test_finished_records_are_admitted_once_and_replace_those_of_the_same_name(runs, tmp_path, monkeypatch):
    real = replace(DATA, name="CIFAR-10")
    plan.train_all(runs[:1], real, tmp_path / "out")
    assert plan.admit(tmp_path / "out") == [runs[0].name]
    assert plan.admit(tmp_path / "out") == []
    path = tmp_path / "results" / f"{runs[0].name}.json"
    old = Run.load(path)
    old.started = "2015-07-30"
    old.save(path)
    assert plan.admit(tmp_path / "out") == [runs[0].name] and Run.load(path).started != "2015-07-30"
    later = Run.load(path)
    later.started = "2999-12-31"
    later.save(path)
    assert plan.admit(tmp_path / "out") == [] and Run.load(path).started == "2999-12-31"
    path.write_text("damaged")
    assert plan.admit(tmp_path / "out") == [runs[0].name]


def test_another_run_of_the_same_day_takes_the_place_of_the_one_before(runs, tmp_path):
    plan.train_all(runs[:1], replace(DATA, name="CIFAR-10"), tmp_path / "out")
    plan.admit(tmp_path / "out")
    path = tmp_path / "out" / f"{runs[0].name}.json"
    again = Run.load(path)
    again.curve[0] = replace(again.curve[0], seconds=1234.5)
    again.save(path)
    assert plan.admit(tmp_path / "out") == [runs[0].name]


def test_what_a_killed_process_or_a_mac_left_is_no_record(runs, tmp_path):
    plan.train_all(runs[:1], replace(DATA, name="CIFAR-10"), tmp_path / "out")
    for hidden in (".partial-ab12cd34-davidnet-seed0.json", "._davidnet-seed0.json"):
        (tmp_path / "out" / hidden).write_text("{")
    assert plan.admit(tmp_path / "out") == [runs[0].name]
    (tmp_path / "results" / ".partial-ab12cd34-davidnet-seed0.json").write_text("{")
    assert list(ledger.load_results(tmp_path / "results")) == [runs[0].name]


@pytest.mark.parametrize("change", [
    {"finished": False}, {"result": None}, {"recipe": {"name": "gone-2-epochs", "epochs": 2}},
])
def test_what_is_unfinished_unscored_or_of_no_recipe_is_not_admitted(runs, tmp_path, change):
    plan.train_all(runs[:1], replace(DATA, name="CIFAR-10"), tmp_path / "out")
    path = tmp_path / "out" / f"{runs[0].name}.json"
    replace(Run.load(path), **change).save(path)
    assert plan.admit(tmp_path / "out") == [] and not (tmp_path / "results").exists()


def test_nothing_is_admitted_where_one_record_is_refused(runs, tmp_path):
    plan.train_all(runs[:1], replace(DATA, name="CIFAR-10"), tmp_path / "out")
    (tmp_path / "out" / "zzz-seed0.json").write_text("{}")
    (tmp_path / "out" / "bench.json").write_text("{}")  # not a run's: no matter
    with pytest.raises(LessonError, match="zzz-seed0.json: not a sound run record"):
        plan.admit(tmp_path / "out")
    assert not (tmp_path / "results").exists()


def test_nothing_made_from_the_stand_in_is_admitted(runs, tmp_path):
    plan.train_all(runs[:1], DATA, tmp_path / "out")
    with pytest.raises(LessonError, match="made from SYNTHETIC data: results are of CIFAR-10 alone"):
        plan.admit(tmp_path / "out")
    assert not (tmp_path / "results").exists()


def test_the_plan_of_the_course_can_be_followed():
    runs = plan.load()
    assert len({run.name for run in runs}) == len(runs)


def test_the_command_trains_the_plan_and_admits_what_finished(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "load", lambda: runs[:2])
    monkeypatch.setattr("course_utils.data.load", lambda name: replace(DATA, name="CIFAR-10"))
    monkeypatch.setattr("course_utils.author.tables.generated", lambda: {})
    monkeypatch.setattr("course_utils.author.tables.write", lambda: print("tables"))
    assert main(["reproduce", "--all", "--budget", "30", "--out", str(tmp_path / "out")]) == 0
    assert "0 of 2 runs are recorded" in capsys.readouterr().out
    assert main(["reproduce", "--admit", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"admitted: {runs[0].name}, {runs[1].name}\ntables\n"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["reproduce", "--all", "--out", str(tmp_path / "file" / "out")]) == 2
    said = capsys.readouterr().err
    assert "can't write to" in said and said.count("\n") == 1
