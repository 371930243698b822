"""Every lesson's exercises: solvable in more than one way, and with a hint for whatever is blank or wrong."""

import ast
import contextlib
import copy
import io
import re
from itertools import zip_longest

import jupytext
import numpy as np
import pytest
from in_process import run

from course_utils.author import exercises
from course_utils.author.exercises import REGION, role_of

NAMES = exercises.names()
WRONG, RIGHT = exercises.EXERCISES / "wrong", exercises.EXERCISES / "right"
NONSENSE = {"nothing": None, "a word": "nonsense", "a list": [[1.0, 2.0], [3.0]], "too few numbers": np.zeros((2, 3))}
STUB = "your answer is missing here"
PAIRS = {name: zip(*(exercises.split(exercises.read(name, stage)) for stage in ("source", "release")), strict=True)
         for name in NAMES}
EACH = [pytest.param(name, *pair, id=f"{name}-{number}")
        for name, pairs in PAIRS.items() for number, pair in enumerate(pairs, 1)]
RUBRIC = re.compile(r"^\| (\d+) \| (code|text) \| .+ \|$", re.MULTILINE)  # points, and the cell that earns them
LEAK = 20  # characters from which a line of a solution can't be in a release by chance


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    exercises.release(NAMES, folder)
    return folder


def answers(folder, name):
    """The cells of a lesson's file of right or wrong answers: metadata `answer`, and if wrong `hint` or `gamed`."""
    path = folder / f"{name}.py"
    return [cell for cell in jupytext.read(path, fmt="py:percent").cells if cell.cell_type == "code"]


def with_answers(release, source, others=()):
    """The cells of an exercise as a student hands it in: as in the source, but for some other answers."""
    solved = {role_of(cell)[1]: cell.source for cell in source.cells if role_of(cell)[0] == "answer"}
    solved |= {other.metadata["answer"]: other.source for other in others}
    cells = copy.deepcopy(release.setup + release.cells)
    for cell in cells:
        if role_of(cell)[0] == "answer":
            cell.source = solved[role_of(cell)[1]]
    return cells


def errors(cells):
    return ((role_of(cell), error) for cell, error, _ in run(cells) if error)


def first_error(cells):
    """Runs no cell behind the first that fails."""
    return next(errors(cells), (None, None))


@pytest.mark.parametrize("name", NAMES)
def test_each_release_is_what_nbgrader_makes_of_its_source(regenerated, name):
    committed, fresh = (exercises.path_of(name, "release", root) for root in (exercises.EXERCISES, regenerated))
    assert committed.read_text() == fresh.read_text(), "run `python -m course_utils.author.exercises`"


def test_a_release_is_the_lessons_notebook_and_nothing_else(regenerated):
    for folder in (exercises.EXERCISES / "release", regenerated / "release"):
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
        assert found == {f"{name}/{name}.ipynb" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_source_holds_no_outputs_and_runs_past_a_missing_answer(name):
    cells = [cell for cell in exercises.read(name, "source").cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert all(cell.metadata.tags == ["raises-exception"] for cell in cells if role_of(cell)[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_has_exercises_of_different_kinds(name):
    found = exercises.split(exercises.read(name, "source"))
    assert len(found) >= 2
    assert len({exercise.kind for exercise in found}) >= 2
    assert all(5 <= exercise.minutes <= 60 for exercise in found)
    assert [cell.source.split()[2] for exercise in found for cell in exercise.cells[:1]] == [
        f"{number}:" for number in range(1, len(found) + 1)
    ]
    for exercise in found:
        points = [cell.metadata.nbgrader.points for cell in exercise.cells if role_of(cell)[0] in ("tests", "written")]
        assert sum(points) == exercise.points, exercise.title


@pytest.mark.parametrize("name", NAMES)
def test_an_open_exercises_rubric_adds_up_as_its_cells_do(name):
    for exercise in exercises.split(exercises.read(name, "source")):
        rows = RUBRIC.findall(exercise.cells[0].source)
        assert bool(rows) == (exercise.kind == "Open"), exercise.title
        for place, kind in (("code", "code"), ("text", "markdown")) if rows else ():
            cells = [cell for cell in exercise.cells if role_of(cell)[0] == "written" and cell.cell_type == kind]
            assert sum(int(points) for points, where in rows if where == place) == sum(
                cell.metadata.nbgrader.points for cell in cells), f"{exercise.title}: {place}"


@pytest.mark.parametrize("name", NAMES)
def test_a_release_shows_nothing_of_the_solution(name):
    source, release = exercises.read(name, "source"), exercises.read(name, "release")
    text = "\n".join(cell.source for cell in release.cells)
    assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN|MARK)", text)
    secret = [region[1] for cell in source.cells for region in REGION.findall(cell.source)]
    secret += [cell.source for cell in source.cells if role_of(cell)[0] == "written"]
    lines = [line.strip() for part in secret for line in part.splitlines()]
    assert [line for line in lines if len(line) >= LEAK and line in text] == []
    assert not any(cell.get("outputs") for nb in (source, release) for cell in nb.cells)


@pytest.mark.parametrize(("name", "source", "release"), EACH)
def test_the_solution_passes_and_is_silent_on_stderr(name, source, release):
    for cell, error, stderr in run(source.setup + source.cells):
        assert error is None, f"{cell.source}\n{error!r}"
        assert not stderr  # to nbgrader a warning in a test cell is a failure


@pytest.mark.parametrize(("name", "source", "release"), EACH)
def test_an_untouched_exercise_fails_only_where_it_is_marked_and_says_why(name, source, release):
    found = list(errors(release.setup + release.cells))
    marked = [role_of(cell) for cell in release.cells if cell.cell_type == "code"]
    assert [role for role, _ in found] == [role for role in marked if role[0] in ("tests", "written")]
    assert all(isinstance(error, NotImplementedError) and str(error) == STUB for _, error in found), found


@pytest.mark.parametrize(("name", "source", "release"), EACH)
def test_each_wrong_answer_gets_its_hint(name, source, release):
    wrong = [cell for cell in answers(WRONG, name) if cell.metadata["answer"] in source.ids("answer")]
    hinted = {cell.metadata["answer"] for cell in wrong if "hint" in cell.metadata}
    assert hinted == set(source.ids("answer")), "each answer needs a wrong one with its hint"
    for cell in wrong:
        _, error = first_error(with_answers(release, source, [cell]))
        if cell.metadata.get("gamed"):
            assert error is None, f"{error!r} before the hidden tests"
            _, error = first_error(with_answers(source, source, [cell]))
            assert error is not None, f"passes the hidden tests:\n{cell.source}"
        else:
            assert isinstance(error, AssertionError), f"{error!r} for\n{cell.source}"
            assert cell.metadata["hint"] in str(error)


@pytest.mark.parametrize(("name", "source", "release"), EACH)
def test_other_right_answers_pass_too(name, source, release):
    others = {answer: [cell for cell in answers(RIGHT, name) if cell.metadata["answer"] == answer]
              for answer in source.ids("answer") if answer not in unmarked(source)}
    assert all(len(cells) >= 2 for cells in others.values()), "each answer needs two that differ from the solution"
    for together in zip_longest(*others.values()):
        given = [cell for cell in together if cell is not None]
        for cell, error, stderr in run(with_answers(source, source, given)):
            assert error is None and not stderr, f"{error!r} {stderr} in\n{cell.source}"


@pytest.mark.parametrize(("name", "source", "release"), EACH)
def test_an_answer_that_fails_or_returns_nonsense_gets_a_sentence(name, source, release):
    namespace, functions = {"__name__": "__main__"}, {}

    def execute(cell, names):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cell.source, f"<{cell.id}>", "exec"), names)

    def broken(*args, **kwargs):
        raise ZeroDivisionError("division by zero")

    for cell in source.setup + source.cells:
        role, answer = role_of(cell)
        if cell.cell_type != "code":
            continue
        if role == "answer":
            functions[answer] = ast.parse(cell.source).body[-1].name
        if role == "tests":
            mutators = "nothing=True" in cell.source
            for kind, value in {**NONSENSE, "an error": broken}.items():
                if value is None and mutators:
                    continue
                given = value if value is broken else lambda *args, value=value, **kwargs: copy.deepcopy(value)
                with pytest.raises(AssertionError) as caught:
                    execute(cell, namespace | {functions[answer]: given})
                assert str(caught.value), f"{answer}: {kind} gets no sentence"
        execute(cell, namespace)


def unmarked(exercise):
    """Its answers that count nothing: labels, whose reasons are what is marked."""
    return [role_of(cell)[1] for cell in exercise.cells
            if role_of(cell)[0] == "tests" and not cell.metadata.nbgrader.points]


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_wrong_ones_and_none_is_left_over(name):
    known = {each for exercise in exercises.split(exercises.read(name, "source")) for each in exercise.ids("answer")}
    assert {cell.metadata["answer"] for cell in answers(WRONG, name)} == known
    assert {cell.metadata["answer"] for cell in answers(RIGHT, name)} <= known
