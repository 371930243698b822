"""Lesson 12: what its functions make of records and mistakes, and that its table is the ledger's."""

import ast
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nbformat
import pytest
import torch
from made_runs import make_run

from course_utils.author import lessons
from course_utils.records import Run
from course_utils.show import ledger

NOTEBOOK = nbformat.read(lessons.NOTEBOOKS / "12_comparison.ipynb", as_version=4)


def of_the_lesson(*names: str) -> list[Callable[..., Any]]:
    """Functions as the lesson's cells define them."""
    trees = [ast.parse(cell.source) for cell in NOTEBOOK.cells if cell.cell_type == "code"]
    found = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    scope = {"ledger": ledger, "statistics": statistics, "torch": torch}
    exec(compile(ast.Module([found[name] for name in names], []), "12_comparison", "exec"), scope)
    return [scope[name] for name in names]


def run_with(name: str, *held_out: float | None, seconds: tuple[float, ...] = (10, 10, 200, 10)) -> Run:
    run = make_run(epochs=len(held_out), name=name)
    run.curve = [replace(row, held_out_accuracy=accuracy, seconds=took)
                 for row, accuracy, took in zip(run.curve, held_out, seconds, strict=False)]
    return run


def test_the_seconds_to_an_accuracy_are_epochs_at_the_median_pace():
    *_, seconds_to = of_the_lesson("mean_curve", "seconds_to")
    run = run_with("run", 0.5, 0.6, 0.58, 0.7)  # its third epoch waited
    assert seconds_to([run], 0.6) == 20
    assert seconds_to([run], 0.65) == 40
    assert seconds_to([run], 0.71) is None


def test_the_race_is_one_of_recipes_by_the_mean_over_their_seeds():
    *_, seconds_to = of_the_lesson("mean_curve", "seconds_to")
    seeds = [run_with("run", 0.5, 0.7), run_with("run", 0.7, 0.9)]
    assert seconds_to(seeds, 0.6) == 10
    assert seconds_to(seeds, 0.7) == 20


def test_the_race_lists_the_fastest_first_and_says_who_never_arrived():
    *_, race_table = of_the_lesson("kind", "mean_curve", "seconds_to", "race_table")
    recipes = {"never": [run_with("never", 0.3, 0.4)], "late": [run_with("late", 0.5, 0.8)],
               "soon": [run_with("soon", 0.8, 0.8), run_with("soon", 0.7, 0.9)]}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in race_table(recipes, 0.7).splitlines()[2:]]
    assert [(row[0], row[3], row[4], row[5]) for row in rows] == [
        ("soon", "2", "10 s", "85.0%"), ("late", "1", "20 s", "80.0%"), ("never", "1", "not reached", "40.0%")]


def test_independent_mistakes_are_distinguished_from_shared_ones():
    all_wrong, times_chance = of_the_lesson("all_wrong", "times_chance")
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40_000) % 2
    rates = torch.tensor([0.2, 0.6])[labels]  # class 1 is harder for every network
    wrong = torch.rand(3, len(labels), generator=generator) < rates
    measured, independent, by_class = all_wrong(wrong, labels)
    assert independent == pytest.approx(0.4**3, abs=0.005)
    assert measured == pytest.approx((0.2**3 + 0.6**3) / 2, abs=0.005)
    assert by_class == pytest.approx(measured, abs=0.005)
    easy = wrong[:, labels == 0]
    assert times_chance(easy[0], easy[1]) == pytest.approx(1, abs=0.05)
    assert times_chance(easy[0], easy[0]) == pytest.approx(1 / 0.2, rel=0.05)


def test_the_committed_table_shows_the_recipes_that_the_lesson_chose_as_the_ledger_has_them():
    tables = [output.data["text/markdown"] for cell in NOTEBOOK.cells if cell.cell_type == "code"
              for output in cell.outputs if "text/markdown" in output.get("data", {})]
    trees = [ast.parse(cell.source) for cell in NOTEBOOK.cells if cell.cell_type == "code"]
    names, = [ast.literal_eval(node.value) for tree in trees for node in tree.body
              if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WHOLE"]
    recorded = ledger.by_recipe(ledger.load_results(lessons.NOTEBOOKS / "results").values())
    runs = [run for name in names for run in recorded.get(name, ())]
    assert ledger.results_table(runs) in tables, (
        "run `python -m course_utils.author.gate execute notebooks/12_comparison.ipynb`")
