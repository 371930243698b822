"""Lessons as course.toml and their parameters cells describe them, and what is refused."""

import pytest
import toys

from course_utils.author import lessons
from course_utils.author.lessons import LessonError, Parameter
from course_utils.show import progress


@pytest.fixture
def course(tmp_path):
    other = toys.notebook("1", parameters=toys.PARAMETERS + "\nWIDTH = 64  #@param [64, 128]")
    return lessons.load(toys.write_course(tmp_path, lesson_00_one=toys.notebook("1"), lesson_01_two=other))


def test_parameters_are_read_from_the_parameters_cell(course):
    assert course[1].parameters == {
        "DATASET": Parameter("DATASET", "auto", choices=("auto", "cifar10", "synthetic")),
        "EPOCHS": Parameter("EPOCHS", 2, 1, 10),
        "RATE": Parameter("RATE", 0.1, 0, 1),
        "FLIP": Parameter("FLIP", True),
        "WIDTH": Parameter("WIDTH", 64, choices=(64, 128)),
    }


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("EPOCHS=10", 10),
        ("RATE=1", 1.0),
        ("RATE=1e-1", 0.1),
        ("FLIP=false", False),
        ("FLIP=True", True),
        ("WIDTH=128", 128),
    ],
)
def test_a_setting_takes_the_type_of_its_default(course, setting, value):
    plan = lessons.plan(course[1:], "quick", "auto", [setting])[0]
    read = plan[setting.partition("=")[0]]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("EPOCHS=1.5", "EPOCHS must be a whole number from 1 to 10, not '1.5'"),
        ("EPOCHS=11", "EPOCHS must be a whole number from 1 to 10, not 11"),
        ("EPOCHS=True", "EPOCHS must be a whole number"),
        ("RATE=nan", "RATE must be a number from 0 to 1, not nan"),
        ("RATE=fast", "RATE must be a number"),
        ("FLIP=1", "FLIP must be true or false, not '1'"),
        ("WIDTH=96", "WIDTH must be one of 64, 128, not 96"),
        ("DEPTH=3", "no chosen lesson has a parameter DEPTH: choose from DATASET, EPOCHS, FLIP, RATE, WIDTH"),
        ("EPOCHS", "-p takes NAME=VALUE"),
    ],
)
def test_a_wrong_setting_is_refused(course, setting, complaint):
    with pytest.raises(LessonError, match=f"^{complaint}"):
        lessons.plan(course, "quick", "auto", [setting])


def test_a_plan_holds_the_preset_the_data_set_and_those_settings_that_a_lesson_has(course):
    assert lessons.plan(course, "smoke", "synthetic", ["WIDTH=128", "EPOCHS=3"]) == [
        {"EPOCHS": 3, "DATASET": "synthetic"},
        {"EPOCHS": 3, "DATASET": "synthetic", "WIDTH": 128},
    ]


@pytest.mark.parametrize(
    ("names", "chosen"), [([], [0, 1]), (["1", "0"], [0, 1]), (["01_two"], [1]), (["01", "1"], [1])]
)
def test_lessons_are_chosen_by_number_or_name_in_the_courses_order(course, names, chosen):
    assert lessons.choose(course, names) == tuple(course[i] for i in chosen)


def test_an_unknown_lesson_is_refused(course):
    with pytest.raises(LessonError, match="^there is no lesson 7: choose from 00_one, 01_two$"):
        lessons.choose(course, ["0", "7"])


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("EPOCHS = 1 ", "EPOCH = 1 ", "00_one has no parameter EPOCH"),
        ("EPOCHS = 1 ", "EPOCHS = 99 ", "EPOCHS must be a whole number from 1 to 10, not 99"),
        ("full = ", "long = ", "can't be used: 'full'"),
        ("[[lesson]]", "[[lesson]", "can't be used"),
    ],
)
def test_a_wrong_course_file_is_refused(tmp_path, old, new, complaint):
    folder = toys.write_course(tmp_path, lesson_00_one=toys.notebook("1"))
    text = (folder / "course.toml").read_text()
    assert old in text
    (folder / "course.toml").write_text(text.replace(old, new))
    with pytest.raises(LessonError, match=complaint):
        lessons.plan(lessons.load(folder), "smoke", "auto")


def test_missing_lessons_and_notebooks_are_refused(tmp_path, course):
    with pytest.raises(LessonError, match="no course.toml in .*: install from a clone"):
        lessons.load(tmp_path / "nowhere")
    course[0].path.unlink()
    with pytest.raises(LessonError, match="the parameters of 00_one.ipynb can't be read"):
        lessons.plan(course, "quick", "auto")


def test_a_result_is_a_line_of_text_and_data(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    progress.reached(0.81234, on="held_out", data="SYNTHETIC")
    assert shown[0]["text/plain"] == "Reached 81.23% on the held-out images of SYNTHETIC"
    assert shown[0][progress.RESULT] == {"accuracy": 0.81234, "on": "held_out", "data": "SYNTHETIC"}


@pytest.mark.parametrize(("accuracy", "on"), [(81.2, "test"), (float("nan"), "test"), (0.8, "train")])
def test_a_result_is_a_fraction_on_images_not_trained_on(accuracy, on):
    with pytest.raises(ValueError, match="expected a fraction on held_out or test"):
        progress.reached(accuracy, on, "CIFAR-10")
