"""What README and TEACHING.md repeat from elsewhere: tables of runs, times and exercises, the picture of the ladder.

`python -m course_utils.author.tables` writes all of it anew.
"""

import base64
from pathlib import Path

import nbformat

from course_utils.author import exercises, lessons
from course_utils.author.lessons import NOTEBOOKS
from course_utils.plumbing.files import write_atomically
from course_utils.show import ledger

ROOT = NOTEBOOKS.parent


def generated() -> dict[Path, bytes]:
    """The files with generated parts, each with the content that it should have."""
    results = ledger.results_table(list(ledger.load_results(NOTEBOOKS / "results").values()))
    tables = {ROOT / "README.md": {"results": results},
              NOTEBOOKS / "exercises" / "TEACHING.md": {"times": times(), "exercises": tasks()}}
    texts = {path: with_tables(path.read_text(encoding="utf-8"), parts).encode() for path, parts in tables.items()}
    return texts | {NOTEBOOKS / "ladder.png": ladder()}


def write() -> None:
    for path, content in generated().items():
        write_atomically(path, content)


def with_tables(text: str, tables: dict[str, str]) -> str:
    """A text with each table between the two comments that bear its name; ValueError where they are missing."""
    for name, table in tables.items():
        begin, end = f"<!-- {name}: written by `python -m course_utils.author.tables` -->", f"<!-- end of {name} -->"
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"no place for the table of {name}: expected {begin} and {end} around it")
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def times() -> str:
    """A row for each lesson, with the seconds recorded in course.toml."""
    rows = [f"| {lesson.number} {lesson.title} | {lesson.seconds['smoke']} | {lesson.seconds['quick']} |"
            for lesson in lessons.load(NOTEBOOKS)]
    return "\n".join(["| lesson | `smoke` | `quick` |", "|---|--:|--:|", *rows])


def tasks() -> str:
    """A row for each exercise, with a link from the lesson's number to the student's notebook."""
    rows = [f"| [{int(name[:2])}](release/{name}/{name}.ipynb) "
            f"| {number}. {task.title} | {task.kind} | {task.minutes} | {task.points} |"
            for name in exercises.names()
            for number, task in enumerate(exercises.split(exercises.read(name, "source")), 1)]
    return "\n".join(["| lesson | exercise | kind | minutes | points |", "|--:|---|---|--:|--:|", *rows])


def ladder() -> bytes:
    """The first picture of lesson 0, a PNG."""
    cells = nbformat.read(NOTEBOOKS / "00_start_here.ipynb", as_version=4).cells
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return base64.b64decode(next(each["image/png"] for each in data if "image/png" in each))


if __name__ == "__main__":
    write()
