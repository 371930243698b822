"""Lessons executed by the runner: one that ends well, one that fails, and one whose kernel dies."""

import json
import sys

import nbformat
import pytest
import toys

from course_utils.author import lessons, runner

FINE = "import sys, pathlib\npathlib.Path('made.txt').touch()\nprint(sys.executable, DATASET, EPOCHS)"
REACHED = """\
from course_utils.show.progress import reached
reached(0.5, on="test", data="SYNTHETIC")
reached(0.75, on="test", data="SYNTHETIC")"""
FAILING = "\nbad = good + 1\nraise ValueError('too <bad>\\nto go on')"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(output folder, outcomes) of one run of a good lesson, a failing one and one whose kernel dies."""
    folder = tmp_path_factory.mktemp("course")
    course = toys.write_course(
        folder / "notebooks",
        lesson_00_fine=toys.notebook(FINE, REACHED),
        lesson_01_failing=toys.notebook("good = 1", FAILING, "never = 1"),
        lesson_02_dying=toys.notebook("good = 1", "import os; os._exit(1)", "never = 1"),
    )
    out, fake = folder / "out{put}", folder / "jupyter" / "kernels" / "python3"
    out.mkdir()
    fake.mkdir(parents=True)
    (fake / "kernel.json").write_text(
        json.dumps({"argv": ["no-such-python"], "display_name": "?", "language": "python"})
    )
    chosen = lessons.load(course)
    plans = lessons.plan(chosen, "smoke", "synthetic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        outcomes = runner.run(chosen, plans, "smoke", out, jobs=2)
    return out, outcomes


def outputs(path):
    return [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]


def test_a_lesson_runs_in_the_output_folder_with_its_parameters_by_this_very_python(ran):
    out, outcomes = ran
    assert outcomes[0].error is None
    assert outputs(out / "00_fine.ipynb")[0].text == f"{sys.executable} synthetic 1\n"
    assert (out / "made.txt").exists()


def test_the_last_result_of_a_lesson_is_its_accuracy(ran):
    assert [outcome.row["accuracy"] for outcome in ran[1]] == ["75.00% test SYNTHETIC", "-", "-"]


def test_a_failing_cell_is_named_and_what_ran_before_it_is_kept(ran):
    out, outcomes = ran
    assert outcomes[1].error == "cell [4] 'bad = good + 1': ValueError: too <bad>"
    counts = [
        c.execution_count for c in nbformat.read(out / "01_failing.ipynb", as_version=4).cells if c.cell_type == "code"
    ]
    assert counts == [1, 2, 3, 4, None]
    assert outputs(out / "01_failing.ipynb")[0].ename == "ValueError"


def test_the_cell_in_which_the_kernel_died_is_named(ran):
    assert ran[1][2].error == "cell [4] 'import os; os._exit(1)': Kernel died"


def test_the_page_links_every_executed_copy_and_escapes_what_it_shows(ran):
    out, _ = ran
    page = (out / "index.html").read_text()
    for name in ("00_fine", "01_failing", "02_dying"):
        for suffix in ("html", "ipynb"):
            assert f'href="{name}.{suffix}"' in page
            assert (out / f"{name}.{suffix}").stat().st_size > 0
    assert "too &lt;bad&gt;" in page and "<bad>" not in page
    assert "75.00% test SYNTHETIC" in page and "Learn &amp; see." in page
    assert "http" not in page


def test_expected_times_are_the_measured_ones(ran):
    lesson = ran[1][0].lesson
    lesson.seconds["quick"] = 240
    assert [runner.expected_time(lesson, preset) for preset in lessons.PRESETS] == [
        "about 2 s",
        "about 4 min",
        "time not measured",
    ]
