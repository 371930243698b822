"""The plan of the recorded runs, `notebooks/results/plan.toml`: trained in its order, and admitted to the results."""

import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils import data
from course_utils.author.lessons import LessonError
from course_utils.author.reproduce import reproduce, seconds_per_epoch
from course_utils.author.runner import about
from course_utils.checkpoints import CheckpointError
from course_utils.named_recipes import RECIPES
from course_utils.records import RecordError, Run
from course_utils.show.ledger import RESULTS
from course_utils.training import Diverged

PLAN = RESULTS / "plan.toml"


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

    def is_recorded(self, folder: Path) -> bool:
        """Whether the record in `folder` is of a finished run by these very settings, as far as it knows them."""
        try:
            run = Run.load(folder / f"{self.name}.json")
        except RecordError:
            return False
        return run.finished and all(self.settings.get(name) == value for name, value in run.recipe.items()
                                    if name != "precision")


def load(path: Path = PLAN) -> list[Planned]:
    """The runs of a plan, in order; LessonError, in one line, where it can't be followed."""
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["run"]
        runs = []
        for row in rows:
            for seed in row["seeds"]:  # seed after seed: whatever there is time for has all its recipes
                for recipe in row.get("recipes") or [row["recipe"]]:
                    if recipe not in RECIPES:
                        raise LessonError(f"{path}: there is no recipe {recipe}: see `course reproduce --list`")
                    runs.append(Planned(recipe, row.get("epochs", RECIPES[recipe].recipe.epochs), seed, row["why"]))
        return runs
    except OSError as error:
        raise LessonError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LessonError(f"{path} is not a plan: {type(error).__name__}: {error}") from error


def train_all(runs: Sequence[Planned], dataset: data.Dataset, out: Path, minutes: float | None = None) -> int:
    """Train those of `runs` that neither `out` nor the results have, within `minutes`; how many failed.

    What was begun goes on where it was cut off. A run that wouldn't end in time is passed over with a line that says
    so, and one that fails says why; the next one goes on.
    """
    deadline, failed = time.monotonic() + 60 * (minutes or float("inf")), 0
    open_runs = [run for run in runs if not (run.is_recorded(RESULTS) or run.is_recorded(out))]
    print(f"{len(runs) - len(open_runs)} of {len(runs)} runs are recorded")
    pace = {}
    for number, run in enumerate(open_runs, start=1):
        if run.recipe not in pace:
            pace[run.recipe] = seconds_per_epoch(RECIPES[run.recipe])
        done = epochs_done(out / run.name)
        seconds = pace[run.recipe] * (run.epochs - done)
        begun = f", {done} of {run.epochs} epochs are done" if done else ""
        print(f"[{number}/{len(open_runs)}] {run.name}: {about(seconds)} to go{begun}; {run.why}", flush=True)
        if time.monotonic() + seconds > deadline:
            print("      left out: it would not end within the budget", flush=True)
            continue
        try:
            print(reproduce(run.recipe, dataset, out, run.seed, run.epochs), flush=True)
        except (CheckpointError, Diverged, OSError) as error:
            failed += 1
            print(f"course: {run.name} failed: {error}", file=sys.stderr, flush=True)
    return failed


def epochs_done(folder: Path) -> int:
    """How many epochs of a run that was cut off are kept in its folder."""
    try:
        return len(Run.load(folder / "run.json").curve)
    except RecordError:
        return 0


def admit(out: Path) -> list[str]:
    """Copy the finished records in `out` to the results, and return the names of those that are new there.

    One of the same name, by a recipe that has changed since, is replaced. Raises LessonError for a record that can't be
    read or was made from the stand-in.
    """
    admitted = []
    for path in sorted(out.glob("*.json")):
        try:
            run = Run.load(path)
        except RecordError as error:
            raise LessonError(str(error)) from error
        if run.data.name != "CIFAR-10":
            raise LessonError(f"{path} was made from {run.data.name} data: results are of CIFAR-10 alone; take it away")
        there = RESULTS / path.name
        if run.finished and not (there.exists() and Run.load(there) == run):
            run.save(there)
            admitted.append(path.stem)
    return admitted
