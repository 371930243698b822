"""The command line: bad input in one line, exit statuses, Ctrl-C, and what each command prints."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import toys

from course_utils import data
from course_utils.author import cli, lessons, runner
from course_utils.author.cli import main
from course_utils.author.lessons import LessonError


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A folder to work in, with two toy lessons in `notebooks`."""
    toys.write_course(tmp_path / "notebooks", lesson_00_one=toys.notebook("1"), lesson_01_two=toys.notebook("2"))
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_PRESET", raising=False)
    (tmp_path / "file").touch()
    return tmp_path


def status_of(arguments):
    try:
        return main(arguments.split())
    except SystemExit as stop:  # argparse's way to end
        return stop.code


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("walk", "invalid choice: 'walk'"),
        ("run 7", "there is no lesson 7"),
        ("run --preset huge", "invalid choice: 'huge'"),
        ("run --dataset mnist", "invalid choice: 'mnist'"),
        ("run -p DEPTH=3", "has a parameter DEPTH"),
        ("run -p EPOCHS=x", "EPOCHS must be a whole number from 1 to 10, not 'x'"),
        ("run -p EPOCHS=0", "EPOCHS must be a whole number from 1 to 10, not 0"),
        ("run -p EPOCHS", "-p takes NAME=VALUE"),
        ("run --jobs 0", "expected a whole number from 1, not '0'"),
        ("run --jobs some", "expected a whole number from 1, not 'some'"),
        ("run --out file", "can't write to"),
        ("run --out file/below", "can't write to"),
        ("run --out notebooks", "holds the lessons themselves"),
        ("bench", "required: case"),
        ("bench all --json notebooks", "notebooks is a folder"),
        ("bench all --json file/below", "can't write to"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_writes_nothing(course, capsys, arguments, complaint):
    before = sorted(course.rglob("*"))
    assert status_of(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and said.err.startswith("course: ") and complaint in said.err
    assert sorted(course.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="folders can't be made read-only here")
def test_a_read_only_output_folder_is_refused(course, capsys):
    (course / "locked").mkdir(mode=0o500)
    assert status_of("run --out locked") == 2
    assert "can't write to" in capsys.readouterr().err


@pytest.mark.parametrize(("gpu", "preset"), [(None, "quick"), ("a GPU", "full")])
def test_without_options_every_lesson_runs_at_the_machines_preset(course, monkeypatch, capsys, gpu, preset):
    calls = []
    monkeypatch.setattr("course_utils.machine.accelerator", lambda: gpu)
    monkeypatch.setattr(runner, "run", lambda *asked: calls.append(asked) or [runner.Outcome(asked[0][0], 1.5)])
    assert status_of("run") == 0
    chosen, plans, ran, out, jobs = calls[0]
    assert ([lesson.name for lesson in chosen], ran, jobs) == (["00_one", "01_two"], preset, 1)
    assert plans[1] == lessons.plan(chosen, preset, "auto")[1]
    assert out == course / "course-run"
    assert "00_one  ok      -         1.5" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "preset"), [("run", "smoke"), ("run --preset full", "full")])
def test_the_environment_may_name_the_preset(course, monkeypatch, arguments, preset):
    asked = []
    monkeypatch.setenv("COURSE_PRESET", "smoke")
    monkeypatch.setattr(runner, "run", lambda *all: asked.append(all) or [runner.Outcome(all[0][0], 1)])
    assert status_of(arguments) == 0
    assert asked[0][2] == preset


def test_an_unknown_preset_in_the_environment_is_refused_in_one_line(course, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_PRESET", "huge")
    assert status_of("run") == 2
    assert capsys.readouterr().err == "course: there is no preset huge: choose from smoke, quick, full\n"
    assert not (course / "course-run").exists()


@pytest.mark.parametrize(("own", "turns"), [(None, "5000"), ("7", "7")])
def test_jupyterlab_starts_with_threads_that_soon_stop_spinning(course, monkeypatch, own, turns):
    started = []
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("COURSE_DATA", "here")
    if own:
        monkeypatch.setenv("GOMP_SPINCOUNT", own)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("subprocess.Popen", lambda command, env: started.append((command, env)) or Mock(wait=lambda: 0))
    assert status_of("lab") == 0
    (command, environment), = started
    assert command[1:3] == ["-m", "jupyterlab"] and command[3].endswith("00_one.ipynb")
    assert environment == os.environ | {"GOMP_SPINCOUNT": turns, "COURSE_DATA": os.path.abspath("here")}


LAB = """
import sys
from course_utils.author import cli, lessons
sys.argv[0] = "course"
lessons.require = lambda *_: None
sys.executable = sys.argv[1]
sys.exit(cli.main(["lab"]))
"""
STUBBORN = """#!{python}
import signal, sys, time
def asked(*_):
    print("sure?", flush=True)
    time.sleep(1)  # as long as somebody takes to answer
    sys.exit(3)
signal.signal(signal.SIGINT, asked)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
print("up", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 3), (signal.SIGTERM, 4)])
def test_jupyterlab_is_left_to_end_in_its_own_way(tmp_path, sent, status):
    stub = tmp_path / "python"
    stub.write_text(STUBBORN.format(python=sys.executable))
    stub.chmod(0o755)
    lab = subprocess.Popen([sys.executable, "-c", LAB, str(stub)], stdout=subprocess.PIPE, text=True,
                           start_new_session=True)
    assert lab.stdout.readline() == "up\n"
    time.sleep(0.2)  # the handlers are set just after the start
    if sent == signal.SIGINT:
        os.killpg(lab.pid, sent)  # a terminal sends it to both
    else:
        lab.send_signal(sent)
    assert lab.wait(30) == status


@pytest.mark.parametrize("out", ["notebooks", "notebooks/exercises/source/03_vgg"])
def test_nothing_is_executed_into_the_lessons_own_folders(course, out, monkeypatch, capsys):
    (course / out).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr("course_utils.author.lessons.NOTEBOOKS", course / "notebooks")
    before = sorted(course.rglob("*"))
    with pytest.raises(LessonError, match="holds the lessons themselves, or lies among them: choose another --out"):
        cli._output_folder(Path(out))
    assert sorted(course.rglob("*")) == before


def test_a_tilde_that_the_shell_left_is_the_home(monkeypatch, tmp_path):
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(tmp_path))
    assert cli._path("~/runs") == tmp_path / "runs"
    for nothing in ("", "\udcff"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a path"):
            cli._path(nothing)


def test_a_failed_lesson_ends_in_status_1_and_its_cell(course, monkeypatch, capsys):
    error = "cell [3] '1': Boom: no"
    monkeypatch.setattr(runner, "run", lambda chosen, *_: [runner.Outcome(chosen[0], 1, None, error)])
    assert status_of("run 0 --preset smoke") == 1
    said = capsys.readouterr()
    assert said.err == f"course: 00_one failed: {error}\n"
    assert "00_one  failed  -         1.0" in said.out


def command(course, *prefix):
    """`course run --preset smoke` of the toy lessons in a process of its own."""
    script = (
        "import signal, sys, pathlib\nfrom course_utils.author import cli, lessons\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where tests run in the background
        "lessons.NOTEBOOKS = pathlib.Path('notebooks')\nsys.exit(cli.main(['run', '--preset', 'smoke']))"
    )
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, cwd=course,
    )


def wait_for(file, process):
    while not (file.exists() and file.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.parametrize(
    ("send", "number", "status", "said"),
    [
        ("killpg", "SIGINT", 130, "\ncourse: interrupted\n"),  # Ctrl-C
        ("killpg", "SIGTERM", 143, "course: terminated\n"),  # `timeout`
        ("kill", "SIGTERM", 143, "course: terminated\n"),  # `docker stop`
    ],
)
def test_a_signal_stops_the_lesson_and_its_kernel_and_keeps_what_ran(course, send, number, status, said):
    wait = "import os, pathlib, time\npathlib.Path('kernel').write_text(str(os.getpid()))\ntime.sleep(600)"
    toys.write_course(course / "notebooks", lesson_00_slow=toys.notebook("print('kept')", wait))
    process, kernel = command(course), course / "course-run" / "kernel"
    wait_for(kernel, process)
    getattr(os, send)(process.pid, signal.Signals[number])
    assert (process.communicate(timeout=300)[1], process.returncode) == (said, status)
    assert "kept" in (course / "course-run" / "00_slow.ipynb").read_text()
    deadline = time.monotonic() + 300
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(int(kernel.read_text()), 0)
            time.sleep(0.05)


def test_a_run_needs_no_shared_memory(course):
    alone = ["unshare", "--mount", "--map-root-user"]
    mount = "mount -t tmpfs -o ro tmpfs /dev/shm"
    if not shutil.which("unshare") or subprocess.run([*alone, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    process = command(course, *alone, "sh", "-c", f'{mount} && exec "$@"', "sh")
    said, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, "") and "01_two  ok" in said


@pytest.mark.skipif(os.name == "nt", reason="there are no limits to set")
def test_a_full_disk_is_one_line_for_each_lesson_and_one_for_the_page(course):
    """No file of more than 100 bytes can be written: a full disk's fault, without the disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        process = command(course)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said, complaint = process.communicate()
    assert process.returncode == 1
    lines = complaint.splitlines()
    assert lines == ["course: 00_one failed: File too large", "course: 01_two failed: File too large",
                     "course: File too large"]
    assert "01_two  failed" in said and "Open" not in said
    assert list((course / "course-run").iterdir()) == []


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom course_utils.author.cli import main\ntry: main(['run', '--help'])\nexcept SystemExit: pass\n"
    )
    script += "print([name for name in ('torch', 'numpy', 'papermill', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--preset" in done.stdout and done.stdout.endswith("\n[]\n")


def test_data_says_what_there_is(monkeypatch, capsys, tmp_path):
    drawn = data.stand_in(train=30, test=10)
    asked, found = [], replace(drawn, name="CIFAR-10", fingerprint="e36a", classes=("cat", "dog"))
    monkeypatch.setattr(data, "load", lambda *arguments: asked.append(arguments) or found)
    assert status_of(f"data --root {tmp_path}") == 0
    assert asked == [("cifar10", tmp_path)]
    said = capsys.readouterr().out
    assert "CIFAR-10: 30 train and 10 test images, 2 classes: cat, dog\n" in said
    assert f"train mean: {drawn.train.images[..., 0].mean() / 255:.4f}, " in said and "e36a" in said


def test_without_data_there_is_one_line_and_status_1(monkeypatch, capsys):
    def refuse(*_):
        raise data.DataError("no mirror answered")

    monkeypatch.setattr(data, "load", refuse)
    assert status_of("data") == 1
    assert capsys.readouterr().err == "course: no mirror answered\n"


def test_measurements_are_printed_and_written(monkeypatch, capsys, tmp_path):
    rows = [{"case": "input", "images/s": 1000}, {"case": "train", "images/s": 20}]
    cases = tuple(row["case"] for row in rows)
    bench = SimpleNamespace(CASES=cases, run=lambda asked: {"rows": [row for row in rows if row["case"] in asked],
                                                            "failed": {}})
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setitem(sys.modules, "course_utils.author.bench", bench)
    monkeypatch.setattr("course_utils.author.bench", bench, raising=False)
    assert status_of(f"bench all --json {tmp_path / 'bench.json'}") == 0
    assert capsys.readouterr().out == "case   images/s\ninput  1000\ntrain  20\n"
    assert json.loads((tmp_path / "bench.json").read_text()) == {"rows": rows, "failed": {}}
