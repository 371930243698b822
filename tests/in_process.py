"""Notebooks run cell by cell in this process: for tests of exercises, without a kernel for each answer."""

import contextlib
import io
from collections.abc import Iterable, Iterator

from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_output


def run(cells: Iterable[NotebookNode]) -> Iterator[tuple[NotebookNode, Exception | None, str]]:
    """Run code cells in one fresh namespace: (cell, what it raised, what it wrote to stderr).

    A cell is run when it is asked for: whoever has seen enough spares the time of the rest.
    """
    namespace = {"__name__": "__main__"}
    for cell in cells:
        if cell.cell_type != "code":
            continue
        error, stderr = None, io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
            try:
                exec(compile(cell.source, f"<{cell.id}>", "exec"), namespace)
            except Exception as raised:
                error = raised
        yield cell, error, stderr.getvalue()


class InProcess(Preprocessor):
    """Stands in for nbgrader's `Execute`: the same outputs of errors, without a kernel's start."""

    enabled = True  # nbconvert leaves out a preprocessor that isn't

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        for cell, error, stderr in run(nb.cells):
            cell.outputs, cell.execution_count = [], None
            if stderr:
                cell.outputs.append(new_output("stream", name="stderr", text=stderr))
            if error:
                cell.outputs.append(new_output("error", ename=type(error).__name__, evalue=str(error),
                                               traceback=[str(error)]))
        return nb, resources
