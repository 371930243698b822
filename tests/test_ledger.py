"""The ledger: which runs may stand in it, and what they show together."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from made_runs import make_run

from course_utils.records import RecordError
from course_utils.show.ledger import (
    RESULTS,
    accuracy_interval,
    by_machine,
    by_recipe,
    epoch_seconds,
    gain,
    gain_table,
    load_results,
    mean_interval,
    paired_difference,
    results_table,
)


def test_results_are_finished_runs_on_cifar_10(tmp_path):
    for name in ("b", "a"):
        make_run(name=name).save(tmp_path / f"{name}.json")
    assert [(stem, run.recipe["name"]) for stem, run in load_results(tmp_path).items()] == [("a", "a"), ("b", "b")]
    assert load_results(tmp_path / "empty") == {}


@pytest.mark.parametrize(("run", "word"), [
    (make_run(data="SYNTHETIC"), "SYNTHETIC"), (make_run(4, 2), "finished: False")])
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


def test_seconds_of_two_kinds_of_machine_are_not_mixed():
    slow, fast = make_run(seed=0), make_run(seed=1)
    fast.hardware = replace(fast.hardware, gpu="A GPU")
    fast.curve = [replace(epoch, seconds=epoch.seconds / 10) for epoch in fast.curve]
    row = results_table([slow, fast]).splitlines()[-1]
    assert "| 30 / 3 | A processor, 2 threads, bfloat16 / A GPU, bfloat16 |" in row


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


def test_a_gain_is_the_mean_difference_between_runs_of_one_seed():
    """What a seed does to both recipes cancels: these differ by 0.2 and 0.4 points, whatever the seeds do."""

    def runs(name, accuracies):
        made = [make_run(name=name, seed=seed) for seed in accuracies]
        for run in made:
            run.result = replace(run.result, accuracy=accuracies[run.recipe["seed"]])
        return made

    before, after = runs("a", {0: 0.90, 1: 0.80, 2: 0.5}), runs("b", {1: 0.804, 0: 0.902, 7: 0.1})
    mean, half = gain(after, before)
    assert mean == pytest.approx(0.003)
    assert half == pytest.approx(12.706 * 0.001, rel=1e-3)  # t with one degree of freedom, deviation 0.1414 points


def test_a_gain_table_has_a_column_for_each_step_and_the_second_ones_gain():

    def runs(name, accuracies):
        made = [make_run(name=name, seed=seed) for seed in range(len(accuracies))]
        for run, accuracy in zip(made, accuracies, strict=True):
            run.result = replace(run.result, accuracy=accuracy, accuracy_with_views=accuracy + 0.01)
        return made

    before, after = runs("a", (0.80, 0.82)), runs("b", (0.81, 0.83))
    head, _, one, six = gain_table({"before": before, "after": after}).splitlines()
    assert head == "| recorded: 4 epochs, 2 seeds | before | after | gain (points) |"
    assert one == "| accuracy (%), one view | 81.00 ± 12.71 | 82.00 ± 12.71 | +1.00 ± 0.00 |"
    assert six.startswith("| accuracy (%), six views | 82.00 ± ")
    assert "gain" not in gain_table({"before": before})


def answering(predictions, on="test"):
    run = make_run()
    run.result = replace(run.result, on=on, predictions="".join(map(str, predictions)))
    return run


def test_two_runs_are_compared_on_the_images_that_one_alone_has_right():
    labels = np.zeros(1000, int)
    ours, theirs = labels.copy(), labels.copy()
    ours[:10] = theirs[5:45] = 1  # 5 wrong for ours alone, 35 for theirs alone, 5 for both
    difference, half, p = paired_difference(answering(ours), answering(theirs), labels)
    assert difference == pytest.approx(0.03)
    assert p == pytest.approx(scipy.stats.binomtest(5, 40).pvalue)
    each = (ours == labels).astype(float) - (theirs == labels)
    assert half == pytest.approx(1.96 * each.std() / 1000**0.5)
    assert half < math.hypot(accuracy_interval(0.99, 1000), accuracy_interval(0.96, 1000))


def test_many_differences_are_counted_without_overflow():
    labels = np.zeros(10_000, int)
    ours, theirs = labels.copy(), labels.copy()
    ours[:500] = theirs[500:1100] = 1
    assert paired_difference(answering(ours), answering(theirs), labels)[2] == pytest.approx(
        scipy.stats.binomtest(500, 1100).pvalue)


def test_equal_runs_do_not_differ():
    labels = np.arange(100) % 10
    assert paired_difference(answering(labels), answering(labels), labels) == (0, 0, 1)


@pytest.mark.parametrize("other", [make_run(), answering([0] * 99), answering([0] * 100, on="held_out")])
def test_runs_without_predictions_of_the_same_images_are_not_compared(other):
    with pytest.raises(ValueError, match="expected predictions of the same 100 images"):
        paired_difference(answering([0] * 100), other, [0] * 100)


def test_a_compiled_run_is_another_machine_for_its_seconds():
    eager = make_run()
    compiled = replace(eager, hardware=replace(eager.hardware, compile="reduce-overhead"))
    plain, graphs = by_machine([eager, compiled, eager])
    assert graphs == f"{plain}, compiled"
    assert by_machine([eager, compiled, eager]) == {plain: [eager, eager], graphs: [compiled]}


def test_two_processes_are_another_machine_for_their_seconds():
    alone = make_run()
    both = replace(alone, hardware=replace(alone.hardware, processes=2))
    one, two = by_machine([alone, both])
    assert two == f"2 x {one}"
