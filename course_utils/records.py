"""A run as data: what was trained on what, where, with which curve and result. One JSON file per run.

Schema ``course-run/1``; the fields are those of `Run`. Accuracies are fractions, losses nats per image, times seconds.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from course_utils.plumbing.files import write_atomically

SCHEMA = "course-run/1"


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
    """`gpu` is None without one; `processor_flags` are the instruction sets that matter to training.

    `compile` is the mode of `torch.compile` that the step was compiled in, None where it wasn't.
    """

    device: str
    gpu: str | None
    processor: str
    processor_flags: list[str]
    cores: int
    threads: int
    precision: str
    processes: int = 1
    compile: str | None = None


@dataclass(frozen=True)
class Epoch:
    """One epoch of the curve, counted from 1: `loss` and `accuracy` on the batches trained on and on held-out images.

    `rate` is the learning rate at its end; `seconds` are of training alone, `wall_seconds` with the evaluation.
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
    """The scores at the end, `on` the "test" or the "held_out" images; those "with views" where a recipe has them.

    `confusion` has true classes in rows, predicted ones in columns; `mistakes` are the most confident ones;
    `predictions` are the predicted classes of all images, a digit each (None in older records).
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
        content = json.dumps(asdict(self), indent=1, allow_nan=False, default=float)  # float: NumPy's numbers
        return write_atomically(path, f"{content}\n".encode())

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Run":
        """The record from `asdict` or JSON; ValueError, TypeError or KeyError if it isn't one."""
        if record["schema"] != SCHEMA:
            raise ValueError(f"its schema is {record['schema']!r}")
        kinds = {"model": Model, "data": Data, "hardware": Hardware, "seconds": Seconds}
        parts = {name: kind(**record[name]) for name, kind in kinds.items()}
        curve, result = [Epoch(**row) for row in record["curve"]], None
        if record["result"]:
            mistakes = [Mistake(**mistake) for mistake in record["result"]["mistakes"]]
            result = Result(**record["result"] | {"mistakes": mistakes})
        run = cls(**record | parts | {"curve": curve, "result": result})
        for scores in (*curve, result) if result else curve:
            if not 0 <= scores.accuracy <= 1:
                raise ValueError(f"an accuracy is {scores.accuracy!r}, not a fraction")
        if not {"name", "epochs"} <= run.recipe.keys() or run.finished and not curve:
            raise ValueError("a name, epochs or a finished run's curve is missing")
        return run

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Read a record; RecordError if it isn't one."""
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordError(f"{path}: not a sound run record ({error}); record the run again") from None
