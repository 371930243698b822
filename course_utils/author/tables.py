"""What README and TEACHING.md repeat from elsewhere: tables of lessons, runs, times and exercises, and pictures.

`python -m course_utils.author.tables` writes all of it anew.
"""

import base64
from pathlib import Path

import nbformat

from course_utils.author import exercises, lessons
from course_utils.author.lessons import NOTEBOOKS
from course_utils.named_recipes import RECIPES
from course_utils.plumbing.files import write_atomically
from course_utils.records import Run
from course_utils.show import ledger

ROOT = NOTEBOOKS.parent
# The rows of README: a recipe, and what its network is called there. One without a record is left out.
HIGHLIGHTS = {
    "vgg-modern": "VGG with batch norm and dropout", "vgg-modern-no-bn": "VGG without batch norm",
    "nin-modern": "Network in Network", "nin-modern-no-bn": "Network in Network without batch norm",
    "onecycle-resnet": "ResNet-18", "davidnet": "DavidNet", "speedrun": "the speedrun as published",
    "speedrun-progressive": "the speedrun as in lesson 11",
    "speedrun-progressive-11-epochs": "the same with an epoch more, ten new seeds",
}


def generated() -> dict[Path, bytes]:
    """The files with generated parts, each with the content that it should have."""
    runs = list(ledger.load_results(NOTEBOOKS / "results").values())
    tables = {ROOT / "README.md": {"lessons": lesson_rows(), "highlights": highlights(runs)},
              NOTEBOOKS / "results" / "README.md": {"results": ledger.results_table(runs)},
              NOTEBOOKS / "exercises" / "TEACHING.md": {"times": times(), "exercises": tasks()}}
    texts = {path: with_tables(path.read_text(encoding="utf-8"), parts).encode() for path, parts in tables.items()}
    pictures = {picture_path(lesson): picture(lesson) for lesson in lessons.load(NOTEBOOKS)}
    return texts | pictures


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


def lesson_rows() -> str:
    """A row for each lesson, with a picture and the minutes that it takes."""
    rows = []
    for lesson in lessons.load(NOTEBOOKS):
        shown = f'<img src="{picture_path(lesson).relative_to(ROOT).as_posix()}" width="150" alt="">'
        title = f"[{lesson.title}](notebooks/{lesson.path.name})"
        rows.append(f"| {lesson.number} | {shown} | {title} | {lesson.learn} | {lesson.seconds['quick'] / 60:.1f} |")
    return "\n".join(["| | | lesson | at its end you can | minutes |", "|--:|---|---|---|--:|", *rows])


def picture_path(lesson: lessons.Lesson) -> Path:
    return NOTEBOOKS / "pictures" / f"{lesson.number:02}.png"


def picture(lesson: lessons.Lesson) -> bytes:
    """The picture that stands for a lesson, a PNG: of the cell tagged `picture`, else the first one."""
    cells = nbformat.read(lesson.path, as_version=4).cells
    cells.sort(key=lambda cell: "picture" not in cell.metadata.get("tags", []))  # a stable sort
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    found = next((each["image/png"] for each in data if "image/png" in each), None)
    if found is None:
        raise lessons.LessonError(f"{lesson.path.name} shows no picture: execute it")
    return base64.b64decode(found)


def highlights(runs: list[Run]) -> str:
    """The runs that README names: published and ours, with the minutes of training on each kind of machine."""
    rows = ["| network | published | ours, 95% interval | runs | epochs | minutes of training |",
            "|---|--:|--:|--:|--:|---|"]
    groups = ledger.by_recipe(runs)
    for name in (name for name in HIGHLIGHTS if name in groups):
        group = groups[name]
        measure = "accuracy_with_views" if group[0].recipe.get("views") else "accuracy"
        accuracy, interval = ledger.accuracy_and_interval(group, measure)
        text = f"{accuracy:.2%} ± {100 * interval:.2f}" + (", six views" if measure != "accuracy" else "")
        epochs = group[0].recipe["epochs"]
        minutes = [f"{clock(ledger.epoch_seconds(alike) * epochs)} ({machine})"
                   for machine, alike in ledger.by_machine(group).items()]
        rows.append(f"| {HIGHLIGHTS[name]} | {published(name)} | {text} | {len(group)} | {epochs} | "
                    f"{'; '.join(minutes)} |")
    return "\n".join(rows)


def clock(seconds: float) -> str:
    """Minutes of training, or seconds where it is less than one."""
    return ledger.brief(seconds / 60) if seconds >= 60 else f"{ledger.brief(seconds)} s"


def published(name: str) -> str:
    """The accuracy that the source of a recipe gives; none for a recipe in other epochs than its own."""
    return RECIPES[name].published if name in RECIPES else ""


if __name__ == "__main__":
    write()
