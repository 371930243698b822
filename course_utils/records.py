"""A run as data: what was trained on what, where, with which curve and result. One JSON file per run.

Schema ``course-run/1``; the fields are those of `Run`. Accuracies are fractions, losses nats per image, times seconds.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from course_utils.plumbing.files import write_atomically
from course_utils.schedules import as_knots, rate_at

SCHEMA = "course-run/1"
RESULTS = Path(__file__).resolve().parent.parent / "notebooks" / "results"  # the recorded runs of the course
# 97.5% quantiles of Student's t for 1, 2, ... degrees of freedom.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
             2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)
# What every record holds, besides what its kind of run adds.
REQUIRED = {
    "recipe": {"name", "epochs"}, "model": {"name", "parameters", "flops", "layers"},
    "data": {"name", "fingerprint", "classes", "train", "held_out", "test"},
    "hardware": {"device", "gpu", "processor", "threads", "precision"}, "seconds": {"training", "wall"},
    "curve": {"epoch", "loss", "accuracy", "held_out_loss", "held_out_accuracy", "rate", "seconds", "wall_seconds"},
    "result": {"on", "loss", "accuracy", "accuracy_with_views", "confusion", "mistakes"},
}


class RecordError(Exception):
    """A run record that cannot be read or must not be kept."""


@dataclass
class Run:
    """The record of one training run.

    recipe    every field of `training.Recipe`, precision resolved
    model     name, parameters, flops (one forward image, a multiply-add is 2), layers (the module as text)
    data      name ("CIFAR-10" or "SYNTHETIC"), fingerprint, classes, images in train, held_out and test
    hardware  device, gpu (None without one), processor, processor_flags (instruction sets that matter to training),
              cores, threads, precision
    versions  python, torch, system
    curve     per epoch: epoch (from 1), loss and accuracy on the batches trained on, held_out_loss and
              held_out_accuracy (None if nothing is held out), rate (learning rate at its end), seconds (training
              alone), wall_seconds (with the evaluation)
    result    at the end: on ("test" or "held_out"), loss, accuracy, accuracy_with_views (None without test-time
              views), confusion (rows true, columns predicted), mistakes (the most confident ones: index, label,
              predicted, confidence), predictions and predictions_with_views (the predicted class of every image, a
              digit each; older records have none)
    seconds   training and wall, summed over the epochs; wall includes the scoring at the end
    """

    recipe: dict[str, Any]
    model: dict[str, Any]
    data: dict[str, Any]
    hardware: dict[str, Any]
    versions: dict[str, str]
    started: str
    curve: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=lambda: {"training": 0.0, "wall": 0.0})
    finished: bool = False
    schema: str = SCHEMA

    def save(self, path: str | Path) -> Path:
        """Write the record as JSON, whole or not at all."""
        text = json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"
        return write_atomically(path, text.encode())

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Read a record; RecordError if it isn't one."""
        try:
            record = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: not a readable run record ({error}); record the run again") from None
        names = {f.name for f in fields(cls)}
        if not isinstance(record, dict) or record.get("schema") != SCHEMA or set(record) != names:
            raise RecordError(f"{path}: not a run record of schema {SCHEMA}; record the run again")
        run = cls(**record)
        if wrong := _wrong(run):
            raise RecordError(f"{path}: not a sound run record ({wrong}); record the run again")
        return run


def _wrong(run: Run) -> str | None:
    """What a reader of the record would stumble over, if anything."""
    rows = run.curve if isinstance(run.curve, list) else [run.curve]
    parts = [(name, getattr(run, name)) for name in ("recipe", "model", "data", "hardware", "seconds")]
    parts += [("curve", row) for row in rows] + [("result", run.result)] * (run.result is not None)
    for name, part in parts:
        if not isinstance(part, dict) or not REQUIRED[name] <= part.keys():
            return f"{name} lacks one of {', '.join(sorted(REQUIRED[name]))}"
        accuracy = part.get("accuracy", 0)
        if not isinstance(accuracy, (int, float)) or not 0 <= accuracy <= 1:
            return f"an accuracy in {name} is {accuracy!r}, not a fraction"
    return "finished, and no epoch in the curve" if run.finished and not run.curve else None


def load_results(folder: str | Path = RESULTS) -> dict[str, Run]:
    """The recorded runs in `folder` by file stem, in order of name. Only finished runs on CIFAR-10 may stand there."""
    runs = {path.stem: Run.load(path) for path in sorted(Path(folder).glob("*.json"))}
    for name, run in runs.items():
        if run.data["name"] != "CIFAR-10" or not run.finished:
            raise RecordError(f"{name}: a result must be a finished run on CIFAR-10; this is {run.data['name']}, "
                              f"{'finished' if run.finished else 'unfinished'}; take it out of {folder}")
    return runs


def by_recipe(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each recipe, those that differ in their seed alone together."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.recipe["name"], []).append(run)
    return groups


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95% interval (Student's t); the half-width of a single value is nan."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan
    degrees = len(values) - 1
    # Beyond the table, the first terms of the Cornish-Fisher expansion are right to four digits.
    t = STUDENT_T[degrees - 1] if degrees <= len(STUDENT_T) else 1.95996 + 2.3723 / degrees + 2.8225 / degrees**2
    return mean, t * statistics.stdev(values) / math.sqrt(len(values))


def accuracy_interval(accuracy: float, images: int) -> float:
    """Half-width of the 95% interval of one network's accuracy, measured on so many images (normal approximation).

    It tells how far the images drawn could mislead; that another seed gives another network is not in it.
    """
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)


def scored(runs: Sequence[Run], measure: str = "accuracy") -> tuple[float, float]:
    """A recipe's `accuracy` or `accuracy_with_views` and its 95% interval: over seeds, or over one run's images."""
    accuracies = [run.result[measure] for run in runs]
    if len(runs) > 1:
        return mean_interval(accuracies)
    images = sum(map(sum, runs[0].result["confusion"]))
    return accuracies[0], accuracy_interval(accuracies[0], images)


def epoch_seconds(runs: Sequence[Run]) -> float:
    """Seconds of training per epoch: the median of those on pictures of one size, and the mean over these medians."""
    by_side = defaultdict(list)
    for run in runs:
        sides = as_knots(run.recipe.get("side", 32))  # older records say nothing
        for row in run.curve:
            by_side[rate_at(sides, row["epoch"] - 0.5)].append(row["seconds"])
    groups = by_side.values()
    return sum(len(seconds) * statistics.median(seconds) for seconds in groups) / sum(map(len, groups))


def results_table(runs: Iterable[Run]) -> str:
    """Finished runs as a Markdown table, a row per recipe: what, how long, where, and the accuracy it reached."""
    rows = ["| recipe | network | epochs | seeds | accuracy, 95% interval | scored on | parameters | MFLOPs | "
            "s/epoch | hardware |", "|---|---|--:|--:|--:|---|--:|--:|--:|---|"]
    for name, group in by_recipe(runs).items():
        run, (accuracy, interval) = group[0], scored(group)
        text = f"{accuracy:.2%} ± {100 * interval:.2f}"
        if run.result["accuracy_with_views"] is not None:
            accuracy, interval = scored(group, "accuracy_with_views")
            text += f"; with views {accuracy:.2%} ± {100 * interval:.2f}"
        rows.append(f"| {name} | {run.model['name']} | {run.recipe['epochs']} | {len(group)} | {text} | "
                    f"{run.data['name']} {run.result['on']} | "
                    f"{run.model['parameters'] / 1e6:.2f} M | {run.model['flops'] / 1e6:,.0f} | "
                    f"{epoch_seconds(group):.0f} | {run.hardware['gpu'] or run.hardware['processor']}, "
                    f"{run.hardware['threads']} threads, {run.hardware['precision']} |")
    return "\n".join(rows)
