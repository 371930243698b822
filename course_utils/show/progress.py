"""What a reader sees while a network trains, one line per epoch, and at the end: what it reached."""

import sys
from collections.abc import Sequence
from typing import Any

from course_utils.records import Epoch, Run
from course_utils.show.text_table import aligned

RESULT = "application/x-course-result+json"  # the output type by which a lesson reports what accuracy it reached
WIDTHS = {"epoch": 5, "rate": 8, "train loss": 10, "accuracy": 8, "held-out": 8, "seconds": 7}


def table(rows: Sequence[Epoch]) -> list[str]:
    """Epochs of a curve as lines of text, a header above; accuracies in percent."""
    cells = [list(WIDTHS)]
    for row in rows:
        held_out = "-" if row.held_out_accuracy is None else f"{row.held_out_accuracy:.2%}"
        cells.append([row.epoch, f"{row.rate:.4g}", f"{row.loss:.4f}", f"{row.accuracy:.2%}", held_out,
                      f"{row.wall_seconds:.1f}"])
    return aligned(cells, sides=">>>>>>", least=list(WIDTHS.values()))


class Progress:
    """To be given to `fit` as `on_epoch`: shows the curve so far as a table.

    In a notebook one output is updated (a notebook keeps a thousand prints as they are); elsewhere a line is printed.
    """

    def __init__(self, title: str) -> None:
        self.title, self.run, self.printed, self.handle = title, None, 0, None

    def __call__(self, run: Run) -> None:
        if run is not self.run:  # another run gets a table of its own
            self.run, self.printed, self.handle = run, 0, None
        lines = [f"{self.title} ({run.data.name})", *table(run.curve)]
        if "ipykernel" not in sys.modules:
            print("\n".join(lines[self.printed :]), flush=True)
            self.printed = len(lines)
            return
        from IPython.display import display

        output = {"text/plain": "\n".join(lines)}
        if self.handle is None:
            self.handle = display(output, raw=True, display_id=True)
        else:
            self.handle.update(output, raw=True)


def reached(accuracy: float, on: str, data: str) -> None:
    """Show, in a lesson, what it reached; `course run` reads it for its table.

    accuracy: a fraction, `on` "held_out" or "test" images of `data`, the data set's name.
    """
    if not 0 <= accuracy <= 1 or on not in ("held_out", "test"):
        raise ValueError(f"expected a fraction on held_out or test, not {accuracy!r} on {on!r}")
    from IPython.display import display

    result = {"accuracy": float(accuracy), "on": on, "data": data}
    said = f"Reached {accuracy:.2%} on the {on.replace('_', '-')} images of {data}"
    display({"text/plain": said, RESULT: result}, raw=True)


def accuracy_text(result: dict[str, Any]) -> str:
    """A result in a few words, such as "81.20% held-out CIFAR-10"."""
    return f"{result['accuracy']:.2%} {result['on'].replace('_', '-')} {result['data']}"
