"""The exercises: nbgrader's source notebooks, and the students' releases made from them.

    python -m course_utils.author.exercises [LESSON...]        source -> release, by nbgrader

To edit a source as text: `jupytext --to py:percent`, edit, `jupytext --update --to ipynb`, then renew the release.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.author import lessons
from course_utils.plumbing.files import write_atomically

EXERCISES = lessons.NOTEBOOKS / "exercises"
HEADING = re.compile(r"## Exercise \d+: (?P<title>.+)\n\n\*(?P<kind>Fill in|Predict, then measure|Debug|Open)\. "
                     r"(?P<minutes>\d+) minutes, (?P<points>\d+) points\.\*")
REGION = re.compile(r"^ *### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)^ *### END \1$", re.MULTILINE | re.DOTALL)
ROLES = {  # a cell's role in the author's text: nbgrader's flags
    "answer": {"grade": False, "solution": True, "locked": False},
    "tests": {"grade": True, "solution": False, "locked": True},
    "written": {"grade": True, "solution": True, "locked": False},
}


@dataclass
class Exercise:
    """One exercise: what its heading says, the cells it needs before it, and its own."""

    title: str
    kind: str
    minutes: int
    points: int
    setup: list[NotebookNode]
    cells: list[NotebookNode]

    def ids(self, role: str) -> list[str]:
        """The names of its cells of a role."""
        return [name for cell in self.cells for each, name in [role_of(cell)] if each == role]


def names() -> list[str]:
    """The lessons that have exercises, in order."""
    return sorted(path.name for path in (EXERCISES / "source").iterdir() if path.is_dir())


def path_of(name: str, stage: str, folder: Path = EXERCISES) -> Path:
    """Where a lesson's exercises are, in the stage `source` or `release`."""
    return folder / stage / name / f"{name}.ipynb"


def read(name: str, stage: str) -> NotebookNode:
    return nbformat.read(path_of(name, stage), as_version=4)


def role_of(cell: NotebookNode) -> tuple[str, str]:
    """("answer" | "tests" | "written", ID) of a cell, or ("", "") of one that nbgrader ignores."""
    about = cell.metadata.get("nbgrader", {})
    roles = [role for role, flags in ROLES.items() if flags.items() <= about.items()]
    return (roles[0], about["grade_id"].removesuffix("-tests")) if roles else ("", "")


def split(nb: NotebookNode) -> list[Exercise]:
    """The exercises of a notebook. What stands before the first heading is the setup of all of them."""
    starts = [i for i, cell in enumerate(nb.cells) if cell.source.startswith("## Exercise ")]
    found = []
    for start, end in zip(starts, [*starts[1:], len(nb.cells)], strict=True):
        heading = HEADING.match(nb.cells[start].source)
        if heading is None:
            raise ValueError(f"{nb.cells[start].source[:80]!r} doesn't begin as every exercise must: see HEADING")
        found.append(Exercise(heading["title"], heading["kind"], int(heading["minutes"]), int(heading["points"]),
                              setup=nb.cells[: starts[0]], cells=nb.cells[start:end]))
    return found


def release(chosen: Iterable[str], folder: Path):
    """Generate releases below `folder` by nbgrader from the committed sources and settings.

    Returns nbgrader's API for that folder, where its gradebook is made too.
    """
    from nbgrader.apps import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    # nbgrader calls alembic by its name; it lies beside this Python, whether or not that environment is active.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(EXERCISES)).load_config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder / 'gradebook.db'}"
    config.Exchange.root = str(folder / "exchange")
    api = NbGraderAPI(config=config)
    api.log_level = "ERROR"
    for name in chosen:
        shutil.copytree(EXERCISES / "source" / name, folder / "source" / name)
        outcome = api.generate_assignment(name, force=True, create=True)
        if not outcome["success"]:
            raise ValueError(f"nbgrader refuses {name}: {outcome.get('error', '')}\n{outcome['log']}")
    return api


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", default=names(), metavar="LESSON")
    options = parser.parse_args()
    if unknown := set(options.lessons) - set(names()):
        parser.error(f"there are no exercises of {', '.join(sorted(unknown))}: choose from {', '.join(names())}")
    with tempfile.TemporaryDirectory() as scratch:
        release(options.lessons, Path(scratch))
        for name in options.lessons:
            target = path_of(name, "release")
            write_atomically(target, path_of(name, "release", Path(scratch)).read_bytes())
            print(target.relative_to(lessons.NOTEBOOKS.parent))


if __name__ == "__main__":
    main()
