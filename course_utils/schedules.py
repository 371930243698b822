"""The learning rate, or another value that changes during a run, as a function of the epoch.

A schedule is a tuple of knots (epoch, value) in order of epoch; between knots the value is linear, before the first
and after the last it is constant. Two knots at the same epoch make a drop.
"""

import math
from bisect import bisect_right

Knots = tuple[tuple[float, float], ...]


def value_at(knots: Knots, epoch: float) -> float:
    """The value after `epoch` epochs (a fraction within an epoch); at a drop, the value after it."""
    right = bisect_right(knots, epoch, key=lambda knot: knot[0])
    if right == 0:
        return knots[0][1]
    if right == len(knots):
        return knots[-1][1]
    (start, low), (end, high) = knots[right - 1], knots[right]
    return low + (high - low) * (epoch - start) / (end - start)


def check(knots: Knots) -> None:
    """Raises ValueError unless `knots` are a schedule."""
    try:
        epochs, values = zip(*knots, strict=True)
        sound = list(epochs) == sorted(epochs) and all(math.isfinite(value) and value >= 0 for value in values)
    except (TypeError, ValueError):
        sound = False
    if not sound or not isinstance(knots, tuple):
        raise ValueError(f"schedule {knots!r}: expected a tuple of (epoch, value) knots in order of epoch, no value "
                         "below 0; `constant(0.1)` makes one of a single rate")


def constant(rate: float) -> Knots:
    return ((0.0, rate),)


def as_knots(value: float | Knots) -> Knots:
    """A number as the schedule that never changes; a schedule as it is."""
    return constant(value) if isinstance(value, (int, float)) else value


def step_drops(rate: float, factor: float, every: int, epochs: int) -> Knots:
    """Multiply the rate by `factor` each `every` epochs (2015: rate 1, factor 1/2, every 25 of 300 epochs)."""
    knots = [(0.0, rate)]
    for epoch in range(every, epochs, every):
        knots += [(float(epoch), knots[-1][1]), (float(epoch), knots[-1][1] * factor)]
    return tuple(knots)


def triangle(peak: float, peak_epoch: float, epochs: float, start: float = 0.0, end: float = 0.0) -> Knots:
    """Up from `start` to `peak` at `peak_epoch`, then down to `end` (slanted when the peak is not in the middle)."""
    return ((0.0, start), (float(peak_epoch), peak), (float(epochs), end))


def one_cycle(low: float, high: float, epochs: float, cool_down: float, final: float) -> Knots:
    """Smith's one cycle: linearly from `low` to `high` and back in `epochs`, then to `final` in `cool_down` more."""
    return ((0.0, low), (epochs / 2, high), (float(epochs), low), (float(epochs + cool_down), final))


def stretched(knots: Knots, factor: float) -> Knots:
    """The same shape over `factor` times as many epochs."""
    return tuple((epoch * factor, rate) for epoch, rate in knots)
