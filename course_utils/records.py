"""A run as data: what was trained on what, where, with which curve and result. One JSON file per run.

Schema ``course-run/1``; the fields are those of `Run`. Accuracies are fractions, losses nats per image, times seconds.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from course_utils.plumbing.files import write_atomically
from course_utils.schedules import as_knots, value_at

SCHEMA = "course-run/1"
RESULTS = Path(__file__).resolve().parent.parent / "notebooks" / "results"  # the recorded runs of the course
# 97.5% quantiles of Student's t for 1 to 10 degrees of freedom, and their expansion in 1 / degrees beyond (Cornish and
# Fisher), right to four digits there.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
EXPANSION = (1.95996, 2.3723, 2.8225, 2.5559, 1.5896)


class RecordError(Exception):
    """A run record that cannot be read or must not be kept."""


@dataclass(frozen=True)
class Model:
    """The network: its class, its parameters, operations of one forward image (a multiply-add is 2), layers as text."""

    name: str
    parameters: int
    flops: int
    layers: str


@dataclass(frozen=True)
class Data:
    """`name` is "CIFAR-10" or "SYNTHETIC"; `train`, `held_out` and `test` count images."""

    name: str
    fingerprint: str
    classes: list[str]
    train: int
    held_out: int
    test: int


@dataclass(frozen=True)
class Hardware:
    """`gpu` is None without one; `processor_flags` are the instruction sets that matter to training."""

    device: str
    gpu: str | None
    processor: str
    processor_flags: list[str]
    cores: int
    threads: int
    precision: str
    processes: int = 1


@dataclass(frozen=True)
class Epoch:
    """One epoch of the curve, counted from 1.

    `loss` and `accuracy` are those on the batches trained on; the held-out ones are None if nothing is held out. `rate`
    is the learning rate at its end; `seconds` are of training alone, `wall_seconds` with the evaluation.
    """

    epoch: int
    loss: float
    accuracy: float
    held_out_loss: float | None
    held_out_accuracy: float | None
    rate: float
    seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: the image's index in the split, its class, the predicted one and that one's probability."""

    index: int
    label: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Result:
    """The scores at the end, `on` the "test" or the "held_out" images.

    `accuracy_with_views` is None without test-time views; `confusion` has true classes in rows, predicted ones in
    columns; `mistakes` are the most confident ones. `predictions` and `predictions_with_views` are the predicted
    classes of all images, a digit each (None in older records).
    """

    on: str
    loss: float
    accuracy: float
    accuracy_with_views: float | None
    confusion: list[list[int]]
    mistakes: list[Mistake]
    predictions: str | None = None
    predictions_with_views: str | None = None


@dataclass(frozen=True)
class Seconds:
    """Summed over the epochs: of training alone, and with evaluation and the scoring at the end."""

    training: float = 0.0
    wall: float = 0.0

    @classmethod
    def of(cls, curve: Sequence[Epoch], scoring: float = 0.0) -> "Seconds":
        return cls(sum(row.seconds for row in curve), sum(row.wall_seconds for row in curve) + scoring)


@dataclass
class Run:
    """The record of one training run. `recipe` is `Recipe.to_json`, its precision resolved."""

    recipe: dict[str, Any]
    model: Model
    data: Data
    hardware: Hardware
    versions: dict[str, str]
    started: str
    curve: list[Epoch] = field(default_factory=list)
    result: Result | None = None
    seconds: Seconds = Seconds()
    finished: bool = False
    schema: str = SCHEMA

    def save(self, path: str | Path) -> Path:
        """Write the record as JSON, whole or not at all."""
        text = json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"
        return write_atomically(path, text.encode())

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Run":
        """The record from `asdict` or JSON; ValueError, TypeError or KeyError if it isn't one."""
        if record["schema"] != SCHEMA:
            raise ValueError(f"its schema is {record['schema']!r}")
        parts = {"model": Model, "data": Data, "hardware": Hardware, "seconds": Seconds}
        parts = {name: part(**record[name]) for name, part in parts.items()}
        result = record["result"]
        if result is not None:
            result = Result(**result | {"mistakes": [Mistake(**mistake) for mistake in result["mistakes"]]})
        run = cls(**record | parts | {"curve": [Epoch(**row) for row in record["curve"]], "result": result})
        for scores in (*run.curve, *filter(None, [run.result])):
            if not 0 <= scores.accuracy <= 1:
                raise ValueError(f"an accuracy is {scores.accuracy!r}, not a fraction")
        if not {"name", "epochs"} <= run.recipe.keys():
            raise ValueError("its recipe lacks a name or epochs")
        if run.finished and not run.curve:
            raise ValueError("finished, and no epoch in the curve")
        return run

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Read a record; RecordError if it isn't one."""
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordError(f"{path}: not a sound run record ({error}); record the run again") from None


def load_results(folder: str | Path = RESULTS) -> dict[str, Run]:
    """The recorded runs in `folder` by file stem, in order of name. Only finished runs on CIFAR-10 may stand there."""
    runs = {path.stem: Run.load(path) for path in sorted(Path(folder).glob("*.json"))}
    for name, run in runs.items():
        if run.data.name != "CIFAR-10" or not run.finished:
            raise RecordError(f"{name}: a result must be a finished run on CIFAR-10; this is {run.data.name}, "
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
    if degrees <= len(STUDENT_T):
        t = STUDENT_T[degrees - 1]
    else:
        t = sum(term / degrees**power for power, term in enumerate(EXPANSION))
    return mean, t * statistics.stdev(values) / math.sqrt(len(values))


def accuracy_interval(accuracy: float, images: int) -> float:
    """Half-width of the 95% interval of one network's accuracy, measured on `images` images (normal approximation).

    It says how far the images drawn could mislead; that another seed gives another network is not in it.
    """
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)


def scored(runs: Sequence[Run], measure: str = "accuracy") -> tuple[float, float]:
    """A recipe's `accuracy` or `accuracy_with_views` and its 95% interval: over seeds, or over one run's images."""
    accuracies = [getattr(run.result, measure) for run in runs]
    if len(runs) > 1:
        return mean_interval(accuracies)
    images = sum(map(sum, runs[0].result.confusion))
    return accuracies[0], accuracy_interval(accuracies[0], images)


def epoch_seconds(runs: Sequence[Run]) -> float:
    """Seconds of training per epoch: the median of those on pictures of one size, and the mean over these medians."""
    by_side = defaultdict(list)
    for run in runs:
        sides = as_knots(run.recipe.get("side", 32))  # older records have none
        for row in run.curve:
            by_side[value_at(sides, row.epoch - 0.5)].append(row.seconds)
    groups = by_side.values()
    return sum(len(seconds) * statistics.median(seconds) for seconds in groups) / sum(map(len, groups))


def results_table(runs: Iterable[Run]) -> str:
    """Finished runs as a Markdown table, a row per recipe: what, how long, where, and the accuracy it reached."""
    rows = ["| recipe | network | epochs | seeds | accuracy, 95% interval | scored on | parameters | MFLOPs | "
            "s/epoch | hardware |", "|---|---|--:|--:|--:|---|--:|--:|--:|---|"]
    for name, group in by_recipe(runs).items():
        run, (accuracy, interval) = group[0], scored(group)
        text = f"{accuracy:.2%} ± {100 * interval:.2f}"
        if run.result.accuracy_with_views is not None:
            accuracy, interval = scored(group, "accuracy_with_views")
            text += f"; with views {accuracy:.2%} ± {100 * interval:.2f}"
        rows.append(f"| {name} | {run.model.name} | {run.recipe['epochs']} | {len(group)} | {text} | "
                    f"{run.data.name} {run.result.on} | "
                    f"{run.model.parameters / 1e6:.2f} M | {run.model.flops / 1e6:,.0f} | "
                    f"{epoch_seconds(group):.0f} | {run.hardware.gpu or run.hardware.processor}, "
                    f"{run.hardware.threads} threads, {run.hardware.precision} |")
    return "\n".join(rows)
