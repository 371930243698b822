"""The ledger: what is written comes back, and nothing gets in that must not."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from made_runs import make_run
from tiny import CPU, random_dataset, tiny_net, tiny_recipe

from course_utils.plumbing.files import write_atomically
from course_utils.records import (
    RecordError,
    Run,
    accuracy_interval,
    by_recipe,
    epoch_seconds,
    load_results,
    mean_interval,
    results_table,
)
from course_utils.training import fit

RESULTS = Path(__file__).parents[1] / "notebooks" / "results"


def test_a_run_comes_back_as_it_was(tmp_path):
    run = fit(tiny_net(), tiny_recipe(1), random_dataset(), machine=CPU)
    assert Run.load(run.save(tmp_path / "deep" / "run.json")) == run
    assert json.loads((tmp_path / "deep" / "run.json").read_text())["schema"] == "course-run/1"


def record(**changes) -> dict:
    return json.loads(json.dumps(asdict(make_run()))) | changes


BROKEN = {
    "nothing": "", "not JSON": "{", "a list": "[]", "another schema": record(schema="course-run/2"),
    "a field too many": record(extra=1), "a field too few": {k: v for k, v in record().items() if k != "seconds"},
    "a recipe that is text": record(recipe="vgg"), "a curve that is not a list": record(curve={}),
    "a row without a rate": record(curve=[{k: v for k, v in record()["curve"][0].items() if k != "rate"}]),
    "data without a name": record(data={"train": 1}), "finished without a curve": record(curve=[]),
    "a result without accuracy": record(result={"on": "test"}), "an accuracy of text": record(
        result=record()["result"] | {"accuracy": "91%"}),
    "an accuracy in percent": record(result=record()["result"] | {"accuracy": 91.0}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_record_is_refused(tmp_path, kind):
    path, content = tmp_path / "run.json", BROKEN[kind]
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RecordError, match="run.json: not a.*record the run again") as refusal:
        Run.load(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_record_is_a_clear_error(tmp_path):
    with pytest.raises(RecordError, match="no.json"):
        Run.load(tmp_path / "no.json")


def test_a_loss_that_is_not_a_number_is_not_written(tmp_path):
    path = make_run().save(tmp_path / "run.json")
    before = path.read_text()
    with pytest.raises(ValueError):
        make_run(loss=math.nan).save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_results_are_finished_runs_on_cifar_10(tmp_path):
    for name in ("b", "a"):
        make_run(name=name).save(tmp_path / f"{name}.json")
    assert [(stem, run.recipe["name"]) for stem, run in load_results(tmp_path).items()] == [("a", "a"), ("b", "b")]
    assert load_results(tmp_path / "empty") == {}


@pytest.mark.parametrize(("run", "word"), [(make_run(data="SYNTHETIC"), "SYNTHETIC"), (make_run(4, 2), "unfinished")])
def test_a_result_on_the_stand_in_or_unfinished_is_refused(tmp_path, run, word):
    make_run().save(tmp_path / "good.json")
    run.save(tmp_path / "bad.json")
    with pytest.raises(RecordError, match=f"bad.*{word}"):
        load_results(tmp_path)


def test_the_results_of_the_course_load():
    for run in load_results(RESULTS).values():
        assert len(run.curve) == run.recipe["epochs"]
        assert run.result.on == "test"
        assert sum(map(sum, run.result.confusion)) == run.data.test == 10_000


def test_the_table_of_results_has_a_row_for_each_recipe_with_its_interval():
    seeds = [make_run(name="b", seed=seed) for seed in (0, 1)]
    seeds[0].result = replace(seeds[0].result, accuracy=0.93)
    lines = results_table([make_run(), *seeds, make_run(data="SYNTHETIC", name="c")]).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 5
    row = "| vgg | VGG | 4 | 1 | 91.00% ± 1.77 | CIFAR-10 test | 14.99 M | 627 | 30 | A processor, 2 threads, "
    assert any(line.startswith(row) for line in lines)  # 1.96 * sqrt(0.91 * 0.09 / 1000)
    assert "| b | VGG | 4 | 2 | 92.00% ± 12.71 |" in lines[3]  # the mean of 91 and 93: std sqrt(2), t 12.706
    assert "SYNTHETIC test" in lines[4]


@pytest.mark.parametrize("count", [2, 3, 10, 31, 32, 100, 1000])
def test_the_interval_of_a_mean_is_students(count):
    values = np.random.default_rng(count).normal(0.94, 0.0015, count)
    mean, half = mean_interval(list(values))
    low, high = scipy.stats.t.interval(0.95, count - 1, values.mean(), scipy.stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=2e-6 * count**-0.5)


def test_one_value_has_no_interval_over_seeds():
    mean, half = mean_interval([0.94])
    assert mean == 0.94 and math.isnan(half)


def test_the_interval_of_one_accuracy_holds_the_truth_95_times_in_100():
    right = np.random.default_rng(0).binomial(10_000, 0.94, 2000) / 10_000
    covered = [abs(accuracy - 0.94) <= accuracy_interval(accuracy, 10_000) for accuracy in right]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_the_seeds_of_a_recipe_are_grouped():
    runs = [make_run(name="a", seed=0), make_run(name="b"), make_run(name="a", seed=1)]
    assert by_recipe(runs) == {"a": [runs[0], runs[2]], "b": [runs[1]]}


def test_writing_replaces_a_file_whole(tmp_path):
    path = write_atomically(tmp_path / "a", b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(TypeError):
        write_atomically(path, "text")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_seconds_of_an_epoch_are_the_medians_of_each_size_of_picture():
    """One disturbed epoch changes little, and small pictures don't stand in for whole ones."""
    run = make_run()
    seconds = [40, 41, 90, 40, 40, 60, 61]
    run.curve = [replace(run.curve[0], epoch=at + 1, seconds=value) for at, value in enumerate(seconds)]
    assert epoch_seconds([run]) == 41
    run.recipe["side"] = [[0.0, 28], [5.0, 28], [5.0, 32]]
    assert epoch_seconds([run]) == pytest.approx((5 * 40 + 2 * 60.5) / 7)
    run.recipe["side"] = 28
    assert epoch_seconds([run, run]) == 41
