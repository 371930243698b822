"""The command line: `course run`, `course lab`, `course data`, `course bench`, `course reproduce`,
`course site`, `course links`.

Bad input is answered by one line on stderr and exit status 2, and nothing is written. Status 1 says that the
work itself failed, 130 that it was interrupted, 143 that it was terminated. Each command imports what it needs:
`--help` answers at once.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from course_utils.author import lessons
from course_utils.author.lessons import LessonError
from course_utils.show.text_table import aligned

RUN_TOOLS = ("papermill", "nbconvert", "ipykernel")
SITE_TOOLS = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"course: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except LessonError as error:
        return _complain(error, 2)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _complain("interrupted", 130)
    except MemoryError as error:
        return _complain(f"too little memory: {error}".removesuffix(": "), 1)
    except shutil.Error as error:  # a list of files, with why each could not be copied
        return _complain(error.args[0][0][2], 1)
    except OSError as error:  # such as a full disk
        return _complain(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""), 1)


def _complain(what: object, status: int) -> int:
    print(f"course: {what}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="course", description="Train convolutional networks on CIFAR-10, lesson by lesson.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        """Add a command, named as its function."""
        added = commands.add_parser(command.__name__.strip("_"), help=help)
        added.set_defaults(command=command)
        return added

    run = add(_run, "execute lessons and link the executed copies on a page")
    run.add_argument("lessons", nargs="*", metavar="LESSON", help="number or name (default: every lesson)")
    run.add_argument("--preset", choices=lessons.PRESETS, help="default: $COURSE_PRESET, else full on a GPU or quick")
    run.add_argument("--dataset", choices=lessons.DATASETS, default="auto", help="default: %(default)s")
    run.add_argument("--out", type=_path, default="course-run", metavar="DIR", help="default: ./%(default)s")
    run.add_argument("--jobs", type=_positive, default=1, metavar="N", help="lessons at once (default: %(default)s)")
    run.add_argument("-p", dest="settings", action="append", default=[], metavar="NAME=VALUE",
                     help="set a parameter in every lesson that has it; repeatable")

    add(_lab, "open JupyterLab on the first lesson")

    data = add(_data, "fetch CIFAR-10, check it, and say what is there")
    data.add_argument("--root", type=_path, metavar="DIR", help="default: $COURSE_DATA, else the user's cache")

    bench = add(_bench, "our way of input, training and inference against the usual one")
    bench.add_argument("case", choices=("input", "train", "speedrun", "infer", "neighbour", "all"))
    bench.add_argument("--json", type=_path, metavar="FILE", help="write the measurements there too")

    reproduce = add(_reproduce, "train by a named recipe and write the record of the run")
    what = reproduce.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", metavar="NAME", help="see --list")
    what.add_argument("--list", action="store_true", help="the recipes, with estimated times on this machine")
    what.add_argument("--all", action="store_true", help="train what notebooks/results/plan.toml lists, in order")
    what.add_argument("--admit", action="store_true", help="add finished records to the course's results")
    reproduce.add_argument("--seed", type=_whole, metavar="S", help="the first seed (default: 0)")
    reproduce.add_argument("--seeds", type=_positive, metavar="N", help="that many seeds (default: 1)")
    length = reproduce.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=_positive, metavar="E", help="stretch the recipe to E epochs")
    length.add_argument("--budget", type=_positive, metavar="MINUTES",
                        help="as many epochs as fit; with --all, as many runs")
    reproduce.add_argument("--compile", choices=("default", "reduce-overhead", "max-autotune"), metavar="MODE",
                           help="compile the step by torch.compile in this mode; pays on a GPU")
    reproduce.add_argument("--out", type=_path, default="reproduced", metavar="DIR", help="default: ./%(default)s")
    reproduce.add_argument("--dataset", choices=lessons.DATASETS[1:], default="cifar10", help="default: %(default)s")

    site = add(_site, "build the web site from the lessons as they are")
    site.add_argument("--out", type=_path, default="course-site", metavar="DIR", help="default: ./%(default)s")

    links = add(_links, "set the repository's address in every badge, link and lesson")
    links.add_argument("--repo", metavar="OWNER/NAME", help="on GitHub (default: as in course.toml)")
    links.add_argument("--ref", metavar="REF", help="the tag or branch for readers (default: as in course.toml)")
    return parser


def _run(options: argparse.Namespace) -> int:
    lessons.require(RUN_TOOLS, "pip install -r requirements.txt")
    preset = options.preset or os.environ.get("COURSE_PRESET") or _default_preset()
    chosen = lessons.choose(lessons.load(lessons.NOTEBOOKS), options.lessons)
    plans = lessons.plan(chosen, preset, options.dataset, options.settings)
    out = _output_folder(options.out)
    from course_utils.author import runner

    _end_tidily_when_terminated()
    outcomes = runner.run(chosen, plans, preset, out, options.jobs)
    print("\n" + _table([outcome.row for outcome in outcomes]))
    failures = [outcome for outcome in outcomes if outcome.error]
    for outcome in failures:
        _complain(f"{outcome.lesson.name} failed: {outcome.error}", 1)
    runner.write_index(outcomes, preset, out)
    print(f"\nOpen {out / 'index.html'}")
    return 1 if failures else 0


def _end_tidily_when_terminated() -> None:
    """Let SIGTERM leave by way of every `finally`, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_complain("terminated", 128 + signal.SIGTERM)))


def _lab(options: argparse.Namespace) -> int:
    from course_utils.author.runner import kernel_environment

    first = lessons.load(lessons.NOTEBOOKS)[0].path
    lessons.require(("jupyterlab",), "pip install -r requirements.txt")
    lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", str(first)], env=os.environ | kernel_environment())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches JupyterLab too, which asks before it ends
    signal.signal(signal.SIGTERM, lambda *_: lab.terminate())
    status = lab.wait()
    return status if status >= 0 else 128 - status


def _data(options: argparse.Namespace) -> int:
    from course_utils import data
    from course_utils.author.describe import describe

    try:
        print(describe(data.load("cifar10", options.root), options.root))
    except data.DataError as error:
        return _complain(error, 1)
    return 0


def _bench(options: argparse.Namespace) -> int:
    if options.json:
        options.json = options.json.resolve()
        if options.json.exists() and not options.json.is_file():
            what = "a folder" if options.json.is_dir() else "a device"
            raise LessonError(f"{options.json} is {what}: --json takes a file")
        _check_folder(options.json.parent)
    from course_utils.author import bench
    from course_utils.plumbing.files import write_atomically

    _end_tidily_when_terminated()
    measured = bench.run(bench.CASES if options.case == "all" else (options.case,))
    if measured["rows"]:
        print(_table(measured["rows"]))
    for case, status in measured["failed"].items():
        _complain(f"{case}: the measurement ended with status {status}; too little memory gives -9", 1)
    if options.json:
        write_atomically(options.json, (json.dumps(measured, indent=1) + "\n").encode())
    return 1 if measured["failed"] else 0


def _reproduce(options: argparse.Namespace) -> int:
    from course_utils.author.plan import first_line
    from course_utils.checkpoints import CheckpointError
    from course_utils.data import DataError
    from course_utils.plumbing.distributed import under_torchrun

    if not options.name and (options.seed, options.seeds, options.epochs) != (None, None, None):
        raise LessonError("--seed, --seeds and --epochs go with the NAME of a recipe")
    if (options.list or options.admit) and (options.budget or options.compile or options.dataset != "cifar10"):
        raise LessonError("--budget, --compile and --dataset go with the NAME of a recipe or --all")
    if options.budget and under_torchrun():
        raise LessonError("a budget is measured in each process, so that they could disagree: give --epochs instead")
    try:
        return _reproduced(options)
    except LessonError:
        raise
    except (CheckpointError, DataError, RuntimeError, ValueError) as error:  # such as a GPU whose memory others hold
        return _complain(first_line(error), 1)


def _reproduced(options: argparse.Namespace) -> int:
    from course_utils.author import reproduce
    from course_utils.author.plan import FAILURES, first_line
    from course_utils.data import load
    from course_utils.named_recipes import RECIPES
    from course_utils.plumbing.distributed import under_torchrun

    if options.list:
        return _list_recipes()
    if options.all:
        return _reproduce_all(options)
    if options.admit:
        return _admit(options)
    if options.name not in RECIPES:
        raise LessonError(f"there is no recipe {options.name}: choose from {', '.join(RECIPES)}")
    epochs, first, seeds = options.epochs, options.seed or 0, options.seeds or 1
    if options.budget:
        epochs = reproduce.epochs_within(options.budget, options.name, options.out, seeds, options.compile)
        print(f"epochs that fit into {options.budget} min: {epochs}")
    _check_folder(options.out.resolve())
    dataset, status = load(options.dataset), 0
    for seed in range(first, first + seeds):
        try:
            print(reproduce.reproduce(options.name, dataset, options.out, seed, epochs, options.compile), flush=True)
        except LessonError:
            raise
        except FAILURES as error:
            status = _complain(f"seed {seed}: {first_line(error)}" if seeds > 1 else first_line(error), 1)
            if under_torchrun():  # the others wait in this run: end, and torchrun ends them
                break
    return status


def _reproduce_all(options: argparse.Namespace) -> int:
    from course_utils.author import plan
    from course_utils.data import load

    runs = plan.load()
    _check_folder(options.out.resolve())
    return 1 if plan.train_all(runs, load(options.dataset), options.out, options.budget, options.compile) else 0


def _admit(options: argparse.Namespace) -> int:
    """Every table drawn from the results is written anew; the lessons that show them are executed again by the gate."""
    lessons.load(lessons.NOTEBOOKS)  # LessonError where the course was installed without its lessons
    lessons.require(RUN_TOOLS, "pip install -r requirements.txt")
    from course_utils.author import plan, tables
    from course_utils.records import RecordError

    try:
        tables.generated()  # what is wrong with the lessons is said before a record is copied
        print("admitted: " + (", ".join(plan.admit(options.out)) or "nothing new"))
        tables.write()
    except LessonError:
        raise
    except (RecordError, ValueError, KeyError) as error:
        return _complain(error, 1)
    return 0


def _list_recipes() -> int:
    """Print a line as soon as it is measured: the slowest networks take seconds each."""
    from course_utils.author import reproduce

    layout = "{:24}  {:10}  {:>6}  {:>5}  {:>14}  {}"
    print(layout.format("recipe", "network", "epochs", "batch", "estimated here", "published"), flush=True)
    for name, entry, minutes in reproduce.estimates():
        length = f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.0f} min"
        recipe = entry.recipe
        row = layout.format(name, entry.network.__name__, recipe.epochs, recipe.batch_size, length, entry.published)
        print(row.rstrip(), flush=True)
    return 0


def _site(options: argparse.Namespace) -> int:
    """Sphinx makes the site as `notebooks/conf.py` says; if it has a complaint, an earlier site stays as it is."""
    lessons.load(lessons.NOTEBOOKS)  # LessonError where the course was installed without its lessons
    lessons.require(SITE_TOOLS, 'pip install -e ".[site]" in a clone of the course')
    out = _output_folder(options.out)
    from course_utils.author import slides

    sphinx = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    with tempfile.TemporaryDirectory() as folder:  # what Sphinx leaves beside a site goes with it
        built = f"{folder}/site"
        if subprocess.call([*sphinx, "-d", f"{folder}/doctrees", str(lessons.NOTEBOOKS), built]):
            return _complain("the site was not built", 1)
        slides.write(lessons.load(lessons.NOTEBOOKS), Path(built) / "slides")
        shutil.copytree(built, out, dirs_exist_ok=True)
    print(f"Open {out / 'index.html'}")
    return 0


def _links(options: argparse.Namespace) -> int:
    lessons.require(RUN_TOOLS, "pip install -r requirements.txt")
    from course_utils.author import links

    wanted = links.load(lessons.NOTEBOOKS)
    asked = {"name": options.repo, "ref": options.ref}
    wanted = replace(wanted, **{key: value for key, value in asked.items() if value is not None})
    changed = links.rewrite(lessons.NOTEBOOKS, wanted)
    print(f"{wanted.address} at {wanted.ref}: " + (", ".join(changed) or "nothing to change"))
    return 0


def _whole(text: str, least: int = 0) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, not {text!r}")
    if int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**32, not {text}")
    return int(text)


_positive = partial(_whole, least=1)


def _path(text: str) -> Path:
    """A path, of which the shell has not always expanded the tilde (`--out=~/runs`)."""
    try:
        os.path.abspath(text).encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("expected a path that can be written in UTF-8") from None
    if not text:
        raise argparse.ArgumentTypeError("expected a path, not nothing")
    return Path(os.path.expanduser(text))


def _default_preset() -> str:
    from course_utils.machine import accelerator

    return "full" if accelerator() else "quick"


def _output_folder(folder: Path) -> Path:
    """A folder to write to, as an absolute path; LessonError if that can't be or it is that of the lessons or in it."""
    whole = folder.resolve()
    if any(each.exists() and each.samefile(lessons.NOTEBOOKS) for each in (whole, *whole.parents)):
        raise LessonError(f"{folder} holds the lessons themselves, or lies among them: choose another --out")
    return _check_folder(whole)


def _check_folder(folder: Path) -> Path:
    """Make a folder, and make sure that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise LessonError(f"can't write to {folder}: {error.strerror}") from error


def _table(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(aligned([list(rows[0]), *(list(row.values()) for row in rows)], sides="<" * len(rows[0])))


if __name__ == "__main__":
    sys.exit(main())
