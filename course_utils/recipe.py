"""Everything that decides a training run besides the network and the data."""

from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any

from course_utils import schedules
from course_utils.batches import SIDE, Augmentation
from course_utils.evaluation import VIEWS
from course_utils.optimizers import SGD, MuonAndSGD, Optimizer, SparingMuonAndSGD


@dataclass(frozen=True)
class Recipe:
    """A way to train: plain values, stored in the record.

    `schedule` holds (epoch, learning rate) knots; `momentum`, where the optimizer's is to change, such knots too; with
    `averaging`, an exponential average of the weights is scored, which keeps that share of itself at every step;
    `side`, a number or (epoch, pixels) knots, is that of the pictures trained on, shrunk if below 32; `views` names
    test-time views (`evaluation.VIEWS`); `colour` is "rgb" or "yuv" (the preprocessing of 2015); `held_out` images of
    train are kept for the curves (0: a final run on all of train); `precision` None leaves the choice to the machine.
    """

    name: str
    epochs: int
    schedule: schedules.Knots
    batch_size: int = 128
    optimizer: Optimizer = SGD()
    momentum: schedules.Knots | None = None
    averaging: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation = Augmentation("random")
    side: int | schedules.Knots = SIDE
    views: str | None = None
    colour: str = "rgb"
    held_out: int = 5000
    precision: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("held_out", 0), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value < 2**32:
                raise ValueError(f"{name} {value!r}: expected a whole number from {least}, below 2**32")
        for name in ("label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not in [0, 1)")
        for name, choices in (("colour", ("rgb", "yuv")), ("views", (None, *VIEWS))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} {getattr(self, name)!r} is unknown: choose from {choices}")
        if not isinstance(self.augmentation, Augmentation):
            raise ValueError(f"augmentation {self.augmentation!r}: expected Augmentation(), with or without arguments")
        if isinstance(self.optimizer, type) or not (is_dataclass(self.optimizer) and hasattr(self.optimizer, "build")):
            raise ValueError(f"optimizer {self.optimizer!r}: expected SGD(), MuonAndSGD() or an instance of your own "
                             "frozen dataclass with a method build(model)")
        if self.momentum is not None and isinstance(self.optimizer, MuonAndSGD):
            raise ValueError(f"momentum {self.momentum}: its knots would replace Muon's momentum too; choose None, or "
                             "SGD() as the optimizer")
        sides = schedules.as_knots(self.side)
        for knots in (self.schedule, self.momentum, sides):
            if knots is not None:
                schedules.check(knots)
        smallest = max(1, self.augmentation.cutout)
        if not all(smallest <= side <= SIDE for _, side in sides):
            raise ValueError(f"pictures of side {self.side}: expected {smallest} to {SIDE} pixels")

    def side_in(self, epoch: int) -> int:
        """Side of the pictures in epoch `epoch`, counted from 0: that of its middle, in whole pixels."""
        return round(schedules.value_at(schedules.as_knots(self.side), epoch + 0.5))

    def stretched(self, epochs: int) -> "Recipe":
        """The same recipe in another number of epochs, which its name shows: every schedule keeps its shape."""
        if epochs == self.epochs:
            return self

        def longer(value: int | schedules.Knots | None) -> int | schedules.Knots | None:
            return schedules.stretched(value, epochs / self.epochs) if isinstance(value, tuple) else value

        return replace(self, name=f"{self.name}-{epochs}-epochs", epochs=epochs, schedule=longer(self.schedule),
                       momentum=longer(self.momentum), side=longer(self.side))

    def to_json(self) -> dict[str, Any]:
        """The settings as the record keeps them, in one flat dictionary: tuples are lists."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "optimizer":
                found |= self._optimizer_to_json()
            elif field.name == "augmentation":
                found |= {name: setting for name, setting in asdict(value).items()
                          if name not in ("brightness", "contrast") or setting}
            elif field.name != "momentum" or value is not None:
                found[field.name] = value
        return {name: [list(knot) for knot in value] if isinstance(value, tuple) else value
                for name, value in found.items()}

    def _optimizer_to_json(self) -> dict[str, Any]:
        """Our optimizers field by field, the whitening bias's part of the run in epochs; a reader's own as text."""
        if type(self.optimizer) not in (SGD, MuonAndSGD, SparingMuonAndSGD):
            return {"optimizer": repr(self.optimizer)}
        found = {"muon": None} | asdict(self.optimizer)
        part = found.pop("whitening_part")
        return found | {"whitening_epochs": None if part is None else part * self.epochs}
