"""Lessons executed by the runner: one that ends well, one that fails, and one whose kernel dies."""

import json
import os
import re
import sys
import time

import nbformat
import pytest
import toys

from course_utils.author import lessons, runner
from course_utils.plumbing.processor import usable_cores

FINE = "import sys, pathlib\npathlib.Path('made.txt').touch()\nprint(sys.executable, DATASET, EPOCHS)"
THREADS = "import os\nprint(os.environ.get('OMP_NUM_THREADS'))"
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
        lesson_00_fine=toys.notebook(FINE, THREADS, REACHED),
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
        patch.delenv("OMP_NUM_THREADS", raising=False)
        outcomes = runner.run(chosen, plans, "smoke", out, jobs=2)
    return out, outcomes


def outputs(path):
    return [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]


def test_a_lesson_runs_in_the_output_folder_with_its_parameters_by_this_very_python(ran):
    out, outcomes = ran
    assert outcomes[0].error is None
    assert outputs(out / "00_fine.ipynb")[0].text == f"{sys.executable} synthetic 1\n"
    assert (out / "made.txt").exists()


def test_lessons_at_work_at_once_share_the_cores_that_they_may_use(ran):
    threads = max(1, usable_cores() // 2)
    told = str(threads) if threads < os.cpu_count() else "None"
    assert outputs(ran[0] / "00_fine.ipynb")[1].text == f"{told}\n"


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
    assert "<p>No page" not in page


def test_expected_times_are_the_measured_ones(ran):
    lesson = ran[1][0].lesson
    lesson.seconds["quick"] = 240
    assert [runner.expected_time(lesson, preset) for preset in lessons.PRESETS] == [
        "about 2 s",
        "about 4 min",
        "time not measured",
    ]


def run_all(course, out):
    """Every toy lesson, one after another: (error, page_error) by name."""
    chosen = lessons.load(course)
    outcomes = runner.run(chosen, lessons.plan(chosen, "smoke", "synthetic"), "smoke", out)
    return {outcome.lesson.name: (outcome.error, outcome.page_error) for outcome in outcomes}


def links(out):
    return re.findall('href="(.*?)"', (out / "index.html").read_text(encoding="utf-8"))


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_killed_worker_is_its_lesson_s_outcome_and_takes_its_kernel_along(tmp_path):
    kill = """\
import os, pathlib, signal, time
pathlib.Path("kernel").write_text(str(os.getpid()))
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(600)"""
    course = toys.write_course(
        tmp_path / "notebooks", lesson_00_killed=toys.notebook("good = 1", kill), lesson_01_fine=toys.notebook("1")
    )
    ended = run_all(course, tmp_path)
    why = "the process that executes it was killed by SIGKILL"
    assert ended == {
        "00_killed": (f"cell [4] 'import os, pathlib, signal, time': {why}", None), "01_fine": (None, None)
    }
    assert links(tmp_path) == ["00_killed.ipynb", "01_fine.html", "01_fine.ipynb"]
    deadline = time.monotonic() + 300
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(int((tmp_path / "kernel").read_text()), 0)
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="no process can limit another here")
def test_a_copy_that_cannot_be_written_is_its_lesson_s_outcome(tmp_path):
    fill = """\
import os, resource
resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (5000, 5000))
print("x" * 9000)"""
    course = toys.write_course(
        tmp_path / "notebooks", lesson_00_big=toys.notebook(fill), lesson_01_fine=toys.notebook("1")
    )
    assert run_all(course, tmp_path) == {"00_big": ("File too large", None), "01_fine": (None, None)}
    assert links(tmp_path) == ["01_fine.html", "01_fine.ipynb"]


def test_a_lesson_counts_where_its_page_cannot_be_made(tmp_path, monkeypatch, capsys):
    broken = tmp_path / "nbconvert" / "templates" / "lab"
    broken.mkdir(parents=True)
    (broken / "index.html.j2").write_text('{% extends "gone.html.j2" %}')
    (broken / "conf.json").write_text('{"base_template": "base"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    course = toys.write_course(tmp_path / "notebooks", lesson_00_fine=toys.notebook("1"))
    (tmp_path / "00_fine.html").write_text("from an earlier run")
    ((error, page_error),) = run_all(course, tmp_path).values()
    assert error is None and page_error.startswith("TemplateNotFound: ")
    assert f"      00_fine: no page, {page_error}\n" in capsys.readouterr().out
    assert "<p>No page: TemplateNotFound: " in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert links(tmp_path) == ["00_fine.ipynb"] and not (tmp_path / "00_fine.html").exists()
