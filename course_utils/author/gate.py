"""The notebook gate: what a committed lesson must be like, and the commands that make it so.

    python -m course_utils.author.gate execute NOTEBOOK...        run in place at the defaults, normalise, stamp, check
    python -m course_utils.author.gate normalise [NOTEBOOK...]    drop what differs from machine to machine
    python -m course_utils.author.gate stamp [NOTEBOOK...]        declare the outputs those of the code as it is
    python -m course_utils.author.gate check [NOTEBOOK...]        every rule

Without a notebook, a command takes every lesson.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.author import lessons, runner
from course_utils.author.gate_book import Book, normalise, stamp_of
from course_utils.author.gate_rules import RULES
from course_utils.author.lessons import LessonError


def findings(path: Path) -> list[str]:
    """What every rule finds in a notebook, as "NAME: ..." lines."""
    book = Book.open(path)
    return [f"{path.name}: {finding}" for rule in RULES for finding in rule(book)]


def save(nb: NotebookNode, path: Path, stamped: bool) -> None:
    nb = normalise(nb)
    if stamped:
        nb.metadata.course = {"stamp": stamp_of(nb)}
    nbformat.write(nb, path)


def execute(path: Path) -> None:
    """Run a lesson at its defaults and put its outputs in place; if a cell fails, LessonError and nothing changed."""
    with tempfile.TemporaryDirectory() as folder:
        done = Path(folder) / path.name
        runner.execute_notebook(path, done, {}, Path(folder))
        save(nbformat.read(done, as_version=4), path, stamped=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("execute", "normalise", "stamp", "check"))
    parser.add_argument("notebooks", nargs="*", type=Path)
    options = parser.parse_args()
    problems = []
    for path in options.notebooks or sorted(lessons.NOTEBOOKS.glob("*.ipynb")):
        try:
            if options.command == "execute":
                execute(path)
            elif options.command in ("normalise", "stamp"):
                save(nbformat.read(path, as_version=4), path, stamped=options.command == "stamp")
            problems += findings(path) if options.command in ("execute", "check") else []
        except LessonError as error:
            problems.append(f"{path.name}: {error}")
    print("\n".join(problems) or f"{options.command}: done, nothing found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
