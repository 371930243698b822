"""The exercises: from an author's text to nbgrader's source notebook, and from there to the student's release.

    python -m course_utils.author.exercises text 01_dataset /tmp/01.py     source notebook -> py:percent text
    python -m course_utils.author.exercises build /tmp/01.py 01_dataset    py:percent text -> source notebook
    python -m course_utils.author.exercises release [LESSON...]            source -> release, by nbgrader

In the text a cell says what it is in its first line, `# %% answer="ID"`, `# %% tests="ID" points=2` or
`# %% [markdown] written="ID" points=3`; this module turns that into nbgrader's metadata and back.
"""

import argparse
import copy
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

EXERCISES = lessons.NOTEBOOKS / "exercises"
KINDS = ("Fill in", "Predict, then measure", "Debug", "Open")
HEADING = re.compile(r"## Exercise (?P<number>\d+): (?P<title>.+)\n\n"
                     rf"\*(?P<kind>{'|'.join(KINDS)})\. (?P<minutes>\d+) minutes, (?P<points>\d+) points\.\*")
REGION = re.compile(r"^ *### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)^ *### END \1$", re.MULTILINE | re.DOTALL)
ROLES = {  # a cell's role in the author's text: nbgrader's flags grade, solution and locked
    "answer": (False, True, False),
    "tests": (True, False, True),
    "written": (True, True, False),
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
    about = cell.metadata.get("nbgrader")
    if not about:
        return "", ""
    role = next(role for role, flags in ROLES.items() if flags[:2] == (about["grade"], about["solution"]))
    return role, about["grade_id"].removesuffix("-tests")


def split(nb: NotebookNode) -> list[Exercise]:
    """The exercises of a notebook. What stands before the first heading is the setup of all of them."""
    starts = [i for i, cell in enumerate(nb.cells) if cell.source.startswith("## Exercise ")]
    found = []
    for start, end in zip(starts, [*starts[1:], len(nb.cells)], strict=True):
        match = HEADING.match(nb.cells[start].source)
        if match is None:
            raise ValueError(f"{nb.cells[start].source[:80]!r} doesn't begin as every exercise must: see HEADING")
        numbers = int(match["minutes"]), int(match["points"])
        found.append(Exercise(match["title"], match["kind"], *numbers, nb.cells[: starts[0]], nb.cells[start:end]))
    return found


def from_text(text: str) -> NotebookNode:
    """The source notebook of an author's text, in its normal form: no outputs, ids that stay the same."""
    import jupytext

    nb = jupytext.reads(text, "py:percent")
    nb.cells = [cell for cell in nb.cells if cell.source]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nb.metadata = NotebookNode(kernelspec=kernel, language_info={"name": "python"})
    nb.nbformat, nb.nbformat_minor = 4, 5
    for number, cell in enumerate(nb.cells, 1):
        about = {role: cell.metadata[role] for role in ROLES if role in cell.metadata}
        points = cell.metadata.get("points")
        cell.metadata, cell.id = NotebookNode(), f"cell-{number}"
        for role, name in about.items():
            grade, solution, locked = ROLES[role]
            cell.id = f"{name}-tests" if role == "tests" else name
            cell.metadata.nbgrader = NotebookNode(schema_version=3, grade_id=cell.id, grade=grade, solution=solution,
                                                  locked=locked, task=False)
            if grade:
                cell.metadata.nbgrader.points = points
            if cell.cell_type == "code":
                cell.metadata.tags = ["raises-exception"]  # "Run All" continues past a missing answer
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(nb)
    return nb


def to_text(nb: NotebookNode) -> str:
    """The author's text of a source notebook: the inverse of `from_text`."""
    import jupytext

    nb = copy.deepcopy(nb)
    nb.metadata = NotebookNode(jupytext={"notebook_metadata_filter": "-all"})
    for cell in nb.cells:
        role, name = role_of(cell)
        points = cell.metadata.get("nbgrader", {}).get("points")
        cell.metadata = NotebookNode({role: name} if role else {})
        if points is not None:
            cell.metadata.points = points
    return jupytext.writes(nb, "py:percent")


def nbgrader_in(folder: Path):
    """nbgrader's API for a folder, with the committed settings; its gradebook is made there."""
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
    return api


def release(chosen: Iterable[str], folder: Path):
    """Generate releases below `folder` by nbgrader from the committed sources; returns nbgrader there."""
    api = nbgrader_in(folder)
    for name in chosen:
        shutil.copytree(EXERCISES / "source" / name, folder / "source" / name)
        outcome = api.generate_assignment(name, force=True, create=True)
        if not outcome["success"]:
            raise ValueError(f"nbgrader refuses {name}: {outcome.get('error', '')}\n{outcome['log']}")
    return api


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    text = commands.add_parser("text", help="write a source notebook as text")
    text.add_argument("lesson")
    text.add_argument("file", type=Path)
    build = commands.add_parser("build", help="write a source notebook from text")
    build.add_argument("file", type=Path)
    build.add_argument("lesson")
    commands.add_parser("release", help="generate releases").add_argument("lessons", nargs="*", metavar="LESSON")
    options = parser.parse_args()
    if options.command == "text":
        options.file.write_text(to_text(read(options.lesson, "source")), encoding="utf-8")
    elif options.command == "build":
        nb, path = from_text(options.file.read_text(encoding="utf-8")), path_of(options.lesson, "source")
        split(nb)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nb, path)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            chosen = options.lessons or names()
            release(chosen, Path(scratch))
            for name in chosen:
                path_of(name, "release").parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path_of(name, "release", Path(scratch)), path_of(name, "release"))
                print(path_of(name, "release").relative_to(lessons.NOTEBOOKS.parent))


if __name__ == "__main__":
    main()
