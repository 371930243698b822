"""Everything that decides a training run besides the network and the data."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from course_utils import schedules
from course_utils.batches import SIDE, Augmentation
from course_utils.evaluation import VIEWS


@dataclass(frozen=True)
class Recipe:
    """A way to train: plain values, stored in the record.

    `schedule` holds (epoch, learning rate) knots; `momentum` is a number or such knots; `dampening` scales the
    gradient's share in the momentum buffer by 1 - dampening; biases learn `bias_boost` times faster and decay as much
    slower, the linear head `head_boost` times; a whitening layer's bias learns `whitening_boost` times faster, and for
    `whitening_epochs` only (None: all), its rate going through the whole schedule in that time; with `muon`, the
    momentum of that optimizer, it updates the filters of convolutions and SGD the rest; with `averaging`, an
    exponential average of the weights is scored, which keeps that share of itself at every step; `flip`, `crop` and
    `cutout` are those of `Augmentation`; `side`, a number or (epoch, pixels) knots, is that of the pictures trained
    on, shrunk if below 32; `views` names test-time views (`evaluation.VIEWS`); `colour` is "rgb" or "yuv" (the
    preprocessing of 2015); `held_out` images of train are kept for the curves (0: a final run on all of train);
    `precision` None leaves the choice to the machine.
    """

    name: str
    epochs: int
    schedule: schedules.Knots
    batch_size: int = 128
    momentum: float | schedules.Knots = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 5e-4
    bias_boost: float = 1.0
    head_boost: float = 1.0
    whitening_boost: float = 1.0
    whitening_epochs: float | None = None
    muon: float | None = None
    averaging: float = 0.0
    label_smoothing: float = 0.0
    flip: str | None = "random"
    crop: int = 0
    cutout: int = 0
    side: int | schedules.Knots = SIDE
    views: str | None = None
    colour: str = "rgb"
    held_out: int = 5000
    precision: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"{self.epochs} epochs: a run needs at least 1")
        if self.colour not in ("rgb", "yuv"):
            raise ValueError(f"colour {self.colour!r} is unknown: choose 'rgb' or 'yuv'")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label smoothing {self.label_smoothing} is not in [0, 1)")
        if self.held_out < 0:
            raise ValueError(f"{self.held_out} images held out: choose 0 or more")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging {self.averaging} is not in [0, 1)")
        if self.views is not None and self.views not in VIEWS:
            raise ValueError(f"test-time views {self.views!r} are unknown: choose None or {', '.join(VIEWS)}")
        if self.muon is not None and not 0 <= self.muon < 1:
            raise ValueError(f"muon's momentum {self.muon} is not in [0, 1)")
        schedules.check(self.schedule)
        schedules.check(self.momentum_knots)
        sides = schedules.as_knots(self.side)
        schedules.check(sides)
        Augmentation(self.flip, self.crop, self.cutout)
        if not all(max(1, self.cutout) <= side <= SIDE for _, side in sides):
            raise ValueError(f"pictures of side {self.side}: expected {max(1, self.cutout)} to {SIDE} pixels")

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.flip, self.crop, self.cutout)

    @property
    def momentum_knots(self) -> schedules.Knots:
        return schedules.as_knots(self.momentum)

    def side_in(self, epoch: int) -> int:
        """Side of the pictures in epoch `epoch`, counted from 0: that of its middle, in whole pixels."""
        return round(schedules.rate_at(schedules.as_knots(self.side), epoch + 0.5))

    def stretched(self, epochs: int) -> "Recipe":
        """The same recipe in another number of epochs: every schedule keeps its shape, and the name tells."""
        if epochs == self.epochs:
            return self
        factor = epochs / self.epochs

        def longer(value: float | schedules.Knots) -> float | schedules.Knots:
            return value if isinstance(value, (int, float)) else schedules.stretched(value, factor)

        whitening = None if self.whitening_epochs is None else self.whitening_epochs * factor
        return replace(self, name=f"{self.name}-{epochs}-epochs", epochs=epochs, schedule=longer(self.schedule),
                       momentum=longer(self.momentum), side=longer(self.side), whitening_epochs=whitening)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON keeps them: tuples are lists."""
        return {name: [list(knot) for knot in value] if isinstance(value, tuple) else value
                for name, value in asdict(self).items()}
