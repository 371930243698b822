"""nbgrader's own marks: nothing for a blank release, full marks for the solution, and what is left to a person."""

import shutil

import nbformat
import pytest
from in_process import InProcess
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

from course_utils.author import exercises

pytestmark = pytest.mark.slow
NAMES = exercises.names()
WITH_KERNEL = NAMES[:1]  # the others run in this process, which spares two starts of a kernel a lesson


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    return folder, exercises.release(NAMES, folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_exercise_earns_nothing_and_its_solution_everything(course, name):
    folder, api = course
    steps = Autograde.autograde_preprocessors.default_args[0]
    if name not in WITH_KERNEL:
        steps = [InProcess if step is Execute else step for step in steps]
    api.config.Autograde.autograde_preprocessors = steps
    for student, stage in (("blank", "release"), ("solved", "source")):
        shutil.copytree(folder / stage / name, folder / "submitted" / student / name)
        outcome = api.autograde(name, student, force=True, create=True)
        assert outcome["success"], outcome.get("error") or outcome["log"]
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        blank, solved = (gradebook.find_submission_notebook(name, name, each) for each in ("blank", "solved"))
        assert (blank.score, blank.needs_manual_grade) == (0, False)
        for grade in solved.grades:
            by_hand = grade.cell.name not in [cell.id for cell in exercises.read(name, "source").cells
                                              if exercises.role_of(cell)[0] == "tests"]
            assert grade.auto_score == (None if by_hand else grade.max_score), grade.cell.name
            assert grade.needs_manual_grade == by_hand


def test_deleted_tests_come_back_and_count(course):
    folder, api = course
    steps = Autograde.autograde_preprocessors.default_args[0]
    api.config.Autograde.autograde_preprocessors = [InProcess if step is Execute else step for step in steps]
    name = NAMES[0]
    for student, stage, share in (("sly", "release", 0), ("careless", "source", 1)):
        nb = exercises.read(name, stage)
        deleted = [cell for cell in nb.cells if exercises.role_of(cell)[0] == "tests"]
        nb.cells = [cell for cell in nb.cells if cell not in deleted]
        path = folder / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(nb, path)
        outcome = api.autograde(name, student, force=True, create=True)
        assert outcome["success"], outcome.get("error") or outcome["log"]
        with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
            grades = gradebook.find_submission_notebook(name, name, student).grades
            marked = {grade.cell.name: grade.auto_score / grade.max_score for grade in grades
                      if grade.cell.name in [cell.id for cell in deleted] and grade.max_score}
        assert marked == {cell.id: share for cell in deleted if cell.metadata.nbgrader.points}
