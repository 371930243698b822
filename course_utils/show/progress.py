"""What a reader sees while a network trains, one line per epoch, and at the end: what it reached."""

import sys
from typing import Any

from course_utils.records import Epoch, Run

RESULT = "application/x-course-result+json"  # the output type by which a lesson says what accuracy it reached
HEADER = f"{'epoch':>5}  {'rate':>8}  {'train loss':>10}  {'accuracy':>8}  {'held-out':>8}  {'seconds':>7}"


def line(row: Epoch) -> str:
    """One epoch of a curve as text; accuracies in percent."""
    held_out = "-" if row.held_out_accuracy is None else f"{row.held_out_accuracy:.2%}"
    return (f"{row.epoch:>5}  {row.rate:>8.4g}  {row.loss:>10.4f}  {row.accuracy:>8.2%}  "
            f"{held_out:>8}  {row.wall_seconds:>7.1f}")


class Progress:
    """To be given to `fit` as `on_epoch`: shows the curve so far as a table.

    In a notebook one output is updated (a notebook keeps a thousand prints as they are); elsewhere a line is printed.
    """

    def __init__(self, title: str = "") -> None:
        self.title, self.lines, self.handle = title, 0, None

    def __call__(self, run: Run) -> None:
        if "ipykernel" not in sys.modules:
            if not self.lines:
                print(self.title, HEADER, sep="\n")
            for row in run.curve[self.lines :]:
                print(line(row), flush=True)
            self.lines = len(run.curve)
            return
        from IPython.display import display

        table = {"text/plain": "\n".join([f"{self.title} ({run.data.name})", HEADER, *map(line, run.curve)])}
        if self.handle is None:
            self.handle = display(table, raw=True, display_id=True)
        else:
            self.handle.update(table, raw=True)


def reached(accuracy: float, on: str, data: str) -> None:
    """Show, in a lesson, what it reached; `course run` reads it for its table.

    accuracy: a fraction, `on` "held_out" or "test" images of `data`, the data set's name.
    """
    if not 0 <= accuracy <= 1 or on not in ("held_out", "test"):
        raise ValueError(f"expected a fraction on held_out or test, not {accuracy!r} on {on!r}")
    from IPython.display import display

    result = {"accuracy": float(accuracy), "on": on, "data": data}
    display({"text/plain": f"Reached {accuracy_text(result)}", RESULT: result}, raw=True)


def accuracy_text(result: dict[str, Any]) -> str:
    """A result in a few words, such as "81.20% held-out CIFAR-10"."""
    return f"{result['accuracy']:.2%} {result['on'].replace('_', '-')} {result['data']}"
