"""Every code cell of every lesson can be run twice in a row, as readers do: the second run replaces the first."""

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell

from course_utils.author import lessons, runner

LESSONS = lessons.load(lessons.NOTEBOOKS)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.name for lesson in LESSONS])
def test_every_cell_of_a_lesson_runs_twice_in_a_row(lesson, tmp_path):
    (parameters,) = lessons.plan([lesson], "smoke", "synthetic")
    twice = tmp_path / "twice.ipynb"
    source, target = (lessons.literal(path) for path in (lesson.path, twice))
    nb = papermill.execute_notebook(source, target, parameters, prepare_only=True, language="python")
    nb.cells = [
        each
        for cell in nb.cells
        if cell.cell_type == "code"
        for each in (cell, new_code_cell(cell.source, id=f"{cell.id}-again"))
    ]
    nbformat.write(nb, twice)
    runner.execute_notebook(twice, tmp_path / "done.ipynb", {}, tmp_path)
    results = [
        [output.data[runner.RESULT] for output in cell.outputs if runner.RESULT in output.get("data", {})]
        for cell in nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    ]
    assert results[::2] == results[1::2]
