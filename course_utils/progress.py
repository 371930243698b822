"""What a reader sees while a network trains: one line per epoch, rewritten in place in a notebook."""

import sys

from course_utils.ledger import Run

HEADER = f"{'epoch':>5}  {'rate':>8}  {'train loss':>10}  {'accuracy':>8}  {'held-out':>8}  {'seconds':>7}"


def line(row: dict) -> str:
    """One epoch of a curve as text; accuracies in percent."""
    held_out = "-" if row["held_out_accuracy"] is None else f"{row['held_out_accuracy']:.2%}"
    return (f"{row['epoch']:>5}  {row['rate']:>8.4g}  {row['loss']:>10.4f}  {row['accuracy']:>8.2%}  "
            f"{held_out:>8}  {row['wall_seconds']:>7.1f}")


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

        table = {"text/plain": "\n".join([f"{self.title} ({run.data['name']})", HEADER, *map(line, run.curve)])}
        if self.handle is None:
            self.handle = display(table, raw=True, display_id=True)
        else:
            self.handle.update(table, raw=True)
