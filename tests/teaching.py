"""What TEACHING.md repeats from elsewhere: the lessons' times, and the list of exercises.

python tests/teaching.py writes both anew.
"""

import exercises

from course_utils.author import lessons

TEACHING = exercises.EXERCISES / "TEACHING.md"


def times() -> str:
    """A row for each lesson, with the seconds that course.toml tells."""
    rows = [f"| {lesson.number} {lesson.title} | {lesson.seconds['smoke']} | {lesson.seconds['quick']} |"
            for lesson in lessons.load(lessons.NOTEBOOKS)]
    return "\n".join(["| lesson | `smoke` | `quick` |", "|---|--:|--:|", *rows])


def tasks() -> str:
    """A row for each exercise, with a link from the lesson's number to the student's notebook."""
    rows = []
    for name in exercises.names():
        link = f"[{int(name[:2])}](release/{name}/{name}.ipynb)"
        for number, task in enumerate(exercises.split(exercises.read(name, "source")), 1):
            rows.append(f"| {link} | {number}. {task.title} | {task.kind} | {task.minutes} | {task.points} |")
    return "\n".join(["| lesson | exercise | kind | minutes | points |", "|--:|---|---|--:|--:|", *rows])


def with_tables(text: str) -> str:
    """TEACHING.md's text with both tables as they stand."""
    for name, table in (("times", times()), ("exercises", tasks())):
        begin, end = f"<!-- {name}: written by `python tests/teaching.py` -->\n", f"\n<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{TEACHING.name} has no place for {name}: {begin.strip()} ...{end.strip()}")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    TEACHING.write_text(with_tables(TEACHING.read_text(encoding="utf-8")), encoding="utf-8")
