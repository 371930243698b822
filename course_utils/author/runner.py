"""Lessons executed by papermill, one after another or several at once, and a page that links the copies.

A lesson runs with the output folder as its working directory: what it writes lies beside its executed copy. Each has
a process of its own, so that whatever befalls one, a full disk or a kill, is its outcome and the next goes on.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from course_utils.author.lessons import Lesson, LessonError, literal
from course_utils.plumbing.files import write_atomically
from course_utils.show.page import render
from course_utils.show.progress import RESULT, accuracy_text

# PyTorch's threads on Linux meet at barriers of libgomp, and wait there by spinning for the others. Where something
# else runs too, the one that waits burns the core that the other needs, and training takes several times as long.
# After so many turns a thread sleeps instead: `speed.md` has what that gains and costs. libgomp reads this once, as
# `import torch` loads it.
SPINNING = ("GOMP_SPINCOUNT", "5000")


def kernel_environment() -> dict[str, str]:
    """Variables for a process that trains: what the user has not set, and the data's folder, wherever it works."""
    name, turns = SPINNING
    found = {name: os.environ.get(name, turns)}
    if root := os.environ.get("COURSE_DATA"):
        found["COURSE_DATA"] = os.path.abspath(os.path.expanduser(root))
    return found


@dataclass(frozen=True)
class Outcome:
    """How the execution of a lesson ended: the result that it reported, or why it failed and, if known, in which cell.

    `page_error` says why an executed copy has no HTML page.
    """

    lesson: Lesson
    seconds: float
    reached: dict[str, Any] | None = None
    error: str | None = None
    page_error: str | None = None

    @property
    def row(self) -> dict[str, str]:
        return {
            "lesson": self.lesson.name,
            "status": "failed" if self.error else "ok",
            "accuracy": accuracy_text(self.reached) if self.reached else "-",
            "seconds": f"{self.seconds:.1f}",
        }


def run(lessons: Sequence[Lesson], plans: Sequence[dict], preset: str, out: Path, jobs: int = 1) -> list[Outcome]:
    """Execute lessons, each with the parameters planned for it, into `out`, `jobs` at a time.

    Prints a line as a lesson starts and another as it ends, and keeps `out/index.html` up to date. An exception that
    arrives meanwhile, such as KeyboardInterrupt, ends what is running; what was executed so far stays in `out`.
    """
    from course_utils.plumbing.processor import usable_cores

    threads = max(1, usable_cores() // jobs)  # lessons at work at once share the cores
    waiting, running, outcomes = list(zip(lessons, plans, strict=True)), {}, []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                lesson, parameters = waiting.pop(0)
                count = f"[{len(lessons) - len(waiting)}/{len(lessons)}]"
                print(f"{count} {lesson.name}: {preset}, {expected_time(lesson, preset)}", flush=True)
                worker = Worker(lesson, parameters, out, threads)
                running[worker.answer] = worker
            for answer in connection.wait(list(running)):
                outcome = running.pop(answer).outcome()
                print("      {lesson}: {status}, {accuracy}, {seconds} s".format(**outcome.row), flush=True)
                if outcome.page_error:
                    print(f"      {outcome.lesson.name}: no page, {outcome.page_error}", flush=True)
                outcomes.append(outcome)
            outcomes.sort(key=lambda outcome: lessons.index(outcome.lesson))
            with contextlib.suppress(OSError):  # the disk is full, as the lessons say that wanted to write
                write_index(outcomes, preset, out)
    finally:
        for worker in running.values():
            worker.end()
    return outcomes


class Worker:
    """A process that executes one lesson and sends its outcome through the pipe `answer`."""

    def __init__(self, lesson: Lesson, parameters: dict[str, Any], out: Path, threads: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.lesson, self.target, self.start = lesson, out / f"{lesson.name}.ipynb", time.perf_counter()
        self.answer, sender = spawn.Pipe(duplex=False)
        self.process = spawn.Process(target=_work, args=(sender, lesson, parameters, out, threads), daemon=True)
        self.process.start()
        sender.close()  # the process has its own: once that is gone, `answer` is at its end

    def outcome(self) -> Outcome:
        """What the process sent; a failure where it was ended before it could."""
        try:
            return self.answer.recv()
        except EOFError:
            self.process.join()
            status = self.process.exitcode
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            error = f"{_last_started(self.target)}: the process that executes it {how}"
            return Outcome(self.lesson, time.perf_counter() - self.start, error=error)

    def end(self) -> None:
        """Stop the process, which stops its kernel."""
        self.process.terminate()
        self.process.join(60)
        self.process.kill()  # if it is still there


def expected_time(lesson: Lesson, preset: str) -> str:
    """In words, from the time measured on the reference CPU."""
    return about(lesson.seconds[preset]) if preset in lesson.seconds else "time not measured"


def about(seconds: float) -> str:
    """A time in words: seconds, or minutes from 90 seconds on."""
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def execute(lesson: Lesson, parameters: dict[str, Any], out: Path) -> Outcome:
    """Execute one lesson into `out/NAME.ipynb`, and export that to `out/NAME.html`."""
    target, start = out / f"{lesson.name}.ipynb", time.perf_counter()
    page, reached, error, page_error = target.with_suffix(".html"), None, None, None
    try:
        for old in (target, page):
            old.unlink(missing_ok=True)  # what lies there afterwards is from this run
        execute_notebook(lesson.path, target, parameters, out)
        data = [output.get("data", {}) for cell in _code_cells(target) for output in cell["outputs"]]
        reached = next((each[RESULT] for each in reversed(data) if RESULT in each), None)
    except Exception as failure:
        error = _one_line(failure)
    seconds = time.perf_counter() - start
    try:
        if target.exists():
            from nbconvert import HTMLExporter

            write_atomically(page, HTMLExporter(embed_images=True).from_filename(str(target))[0].encode())
    except Exception as failure:
        page_error = _one_line(failure)
    return Outcome(lesson, seconds, reached, error, page_error)


def execute_notebook(source: Path, target: Path, parameters: dict[str, Any], folder: Path) -> None:
    """Run a notebook in `folder` by this very Python, and write the executed copy to `target`.

    Raises LessonError that names the failing cell; `target` then has the outputs and traceback up to there.
    """
    import papermill
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class ThisPython(AsyncKernelManager):
        """Starts `sys.executable`, whatever kernel is registered as python3.

        jupyter_client interrupts every kernel before it shuts it down. One that is still at work on its last message
        then logs an error, after a run that went well, so nothing below CRITICAL is logged.
        """

        kernel_spec = KernelSpec(**get_kernel_dict(["--log-level=CRITICAL"], ["-Xfrozen_modules=off"]),
                                 env=kernel_environment())

    try:
        papermill.execute_notebook(
            literal(source), literal(target), parameters, cwd=folder, progress_bar=False, language="python",
            kernel_name="python3", kernel_manager_class=ThisPython, start_timeout=300,
        )
    except papermill.PapermillExecutionError as error:
        what = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
        raise LessonError(f"{_cell(error.exec_count, error.source)}: {what}") from error
    except OSError as error:  # the copy couldn't be written
        target.unlink(missing_ok=True)  # cut off, so unreadable
        raise LessonError(_one_line(error)) from error
    except Exception as error:  # the kernel died or never started: no cell has the error
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        raise LessonError(f"{_last_started(target)}: {what}") from error


def write_index(outcomes: Sequence[Outcome], preset: str, out: Path) -> None:
    """The page `out/index.html`: a row for each lesson, linked with its executed copies; needs no network."""
    copies = {}
    for name in (outcome.lesson.name for outcome in outcomes):
        files = (("read", f"{name}.html"), ("notebook", f"{name}.ipynb"))
        copies[name] = [(what, file) for what, file in files if (out / file).exists()]
    page = render(Path(__file__).with_name("index.html.j2"), outcomes=outcomes, preset=preset, copies=copies)
    write_atomically(out / "index.html", page.encode())


def _work(sender: connection.Connection, lesson: Lesson, parameters: dict[str, Any], out: Path, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which then ends its workers
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # the outcome says what papermill would log
    if threads < (os.cpu_count() or 1):  # else PyTorch's default, which may be one thread for each physical core
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    sender.send(execute(lesson, parameters, out))


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    said = str(error).strip().partition("\n")[0]
    return said if isinstance(error, LessonError) else f"{type(error).__name__}: {said}".removesuffix(": ")


def _cell(count: int | None, source: str) -> str:
    first = source.strip().partition("\n")[0].rstrip() or "(empty)"
    return f"cell [{count or ' '}] {first!r}"


def _code_cells(notebook: Path) -> list[dict]:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):  # not begun, or killed in the middle of writing it
        return []
    return [cell for cell in cells if cell["cell_type"] == "code"]


def _last_started(notebook: Path) -> str:
    started = [cell for cell in _code_cells(notebook) if cell["metadata"].get("papermill", {}).get("start_time")]
    return _cell(len(started), "".join(started[-1]["source"])) if started else "before its first cell"
