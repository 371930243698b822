"""The plan of the recorded runs, `notebooks/results/plan.toml`: trained in its order, and admitted to the results."""

import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils import data
from course_utils.author.lessons import LessonError
from course_utils.author.reproduce import estimated_epoch_seconds, reproduce
from course_utils.author.runner import about
from course_utils.checkpoints import CheckpointError
from course_utils.named_recipes import RECIPES
from course_utils.plumbing.distributed import under_torchrun
from course_utils.records import RecordError, Run
from course_utils.show.ledger import RESULTS
from course_utils.training import Diverged

PLAN = RESULTS / "plan.toml"
FAILURES = (CheckpointError, Diverged, OSError, RuntimeError, ValueError)  # of one run; the next goes on


@dataclass(frozen=True)
class Planned:
    """One run of the plan: a recipe in `epochs` epochs with a seed, and what it must show."""

    recipe: str
    epochs: int
    seed: int
    why: str

    @property
    def settings(self) -> dict[str, Any]:
        """Those of its recipe, as a record has them."""
        return replace(RECIPES[self.recipe].recipe.stretched(self.epochs), seed=self.seed).to_json()

    @property
    def name(self) -> str:
        """That of its record."""
        return f"{self.settings['name']}-seed{self.seed}"

    def has_record(self, folder: Path, fingerprint: str) -> bool:
        """Whether `folder` has its record, on the data of that fingerprint."""
        run = record(folder / f"{self.name}.json")
        return run is not None and self.is_of(run) and run.data.fingerprint == fingerprint

    def is_of(self, run: Run) -> bool:
        """Whether a run is finished, scored on the test set, and by these very settings, as far as it knows them."""
        tested = run.finished and run.result is not None and run.result.on == "test"
        return tested and all(self.settings.get(name) == value for name, value in run.recipe.items()
                              if name != "precision")


def record(path: Path) -> Run | None:
    """The record in a file, None if there is none that can be read."""
    try:
        return Run.load(path)
    except RecordError:
        return None


def load(path: Path = PLAN) -> list[Planned]:
    """The runs of a plan, in order; LessonError, in one line, where it can't be followed."""
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["run"]
        return [run for row in rows for run in _runs(**row)]
    except LessonError as error:
        raise LessonError(f"{path}: {error}") from None
    except OSError as error:
        raise LessonError(f"{path} can't be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise LessonError(f"{path} is not a plan: {type(error).__name__}: {error}") from error


def _runs(why: str, seeds: list[int], recipes: list[str], epochs: int | None = None) -> Iterator[Planned]:
    """The runs of a row, seed after seed: whatever there is time for has all its recipes."""
    if not isinstance(recipes, list) or not isinstance(seeds, list):
        raise LessonError(f"recipes = {recipes!r}, seeds = {seeds!r}: expected a list of each")
    for number in (*seeds, 1 if epochs is None else epochs):
        if type(number) is not int or number < 0 or epochs == 0:
            raise LessonError(f"seeds = {seeds}, epochs = {epochs!r}: expected whole numbers, epochs from 1")
    for recipe in recipes:
        if recipe not in RECIPES:
            raise LessonError(f"there is no recipe {recipe}: see `course reproduce --list`")
    for seed in seeds:
        yield from (Planned(recipe, epochs or RECIPES[recipe].recipe.epochs, seed, why) for recipe in recipes)


def train_all(
    runs: Sequence[Planned], dataset: data.Dataset, out: Path, minutes: float | None = None, compile: str | None = None
) -> int:
    """Train those of `runs` that neither `out` nor the results have, within `minutes`; how many failed.

    What was begun goes on where it was cut off. A run that wouldn't end in time is passed over with a line that says
    so, and one that fails says why; the next one goes on.
    """
    deadline, failed, data_is = time.monotonic() + 60 * (minutes or float("inf")), 0, dataset.fingerprint
    open_runs = [run for run in runs if not (run.has_record(RESULTS, data_is) or run.has_record(out, data_is))]
    print(f"{len(runs) - len(open_runs)} of {len(runs)} runs are recorded")
    pace = {}
    for number, run in enumerate(open_runs, start=1):
        try:
            if run.recipe not in pace:
                pace[run.recipe] = estimated_epoch_seconds(RECIPES[run.recipe], compile)
            done = epochs_done(out / run.name)
            seconds = pace[run.recipe] * (run.epochs - done)
            begun = f", {done} of {run.epochs} epochs are done" if done else ""
            print(f"[{number}/{len(open_runs)}] {run.name}: {about(seconds)} to go{begun}; {run.why}", flush=True)
            if time.monotonic() + seconds > deadline:
                print("      left out: it would not end within the budget", flush=True)
                continue
            print(reproduce(run.recipe, dataset, out, run.seed, run.epochs, compile), flush=True)
        except FAILURES as error:
            failed += 1
            print(f"course: {run.name} failed: {first_line(error)}", file=sys.stderr, flush=True)
            if under_torchrun():  # the others wait in this run: end, and torchrun ends them
                break
    return failed


def first_line(error: Exception) -> str:
    """What went wrong, without the pages that PyTorch adds when memory is short or a compiler is missing."""
    return str(error).strip().partition("\n")[0]


def epochs_done(folder: Path) -> int:
    """How many epochs of a run that was cut off are kept in its folder."""
    begun = record(folder / "run.json")
    return len(begun.curve) if begun else 0


def admit(out: Path) -> list[str]:
    """Copy what is good of the records in `out` to the results, and return the names of those that are new there.

    Good are finished runs by a recipe as it is today, scored on the test set; one that is there already is replaced by
    another of that day or a later one. Raises LessonError, and copies nothing, where there is no such folder, or a
    record can't be read or was made from the stand-in.
    """
    if not out.is_dir():
        raise LessonError(f"there is no folder {out}: name the one with the records by --out")
    admitted = {}
    for path in sorted(out.glob("[!.]*-seed*.json")):
        try:
            run = Run.load(path)
        except RecordError as error:
            raise LessonError(str(error)) from error
        if run.data.name != "CIFAR-10":
            raise LessonError(f"{path} was made from {run.data.name} data: results are of CIFAR-10 alone; take it away")
        there = record(RESULTS / path.name)
        if _is_by_a_recipe(run) and not (there and _is_by_a_recipe(there) and newer(there, run)):
            admitted[path.stem] = run
    for name, run in admitted.items():
        run.save(RESULTS / f"{name}.json")
    return list(admitted)


def newer(there: Run, run: Run) -> bool:
    """Whether the record that is there already is `run`, or of a later day."""
    return there == run or there.started > run.started


def _is_by_a_recipe(run: Run) -> bool:
    """Whether a finished run is by the recipe of its name as that is today."""
    epochs = run.recipe["epochs"]
    name = run.recipe["name"].removesuffix(f"-{epochs}-epochs")
    return name in RECIPES and Planned(name, epochs, run.recipe.get("seed", 0), why="").is_of(run)
