"""README and TEACHING.md say what the records, course.toml and the exercises say, and name what is there."""

import re

import nbformat
import pytest

from course_utils.author import lessons, tables
from course_utils.show import ledger

README, TEACHING = tables.ROOT / "README.md", tables.NOTEBOOKS / "exercises" / "TEACHING.md"


def test_what_is_generated_is_up_to_date():
    stale = [path.name for path, content in tables.generated().items() if path.read_bytes() != content]
    assert stale == [], "run `python -m course_utils.author.tables`"


def test_a_table_is_written_between_its_comments_and_nowhere_else():
    begin, end = "<!-- ages: written by `python -m course_utils.author.tables` -->", "<!-- end of ages -->"
    assert tables.with_tables(f"a\n{begin}old{end}\nz", {"ages": "| 9 |"}) == f"a\n{begin}\n\n| 9 |\n\n{end}\nz"
    for text in (begin, end, f"{end} {begin}"):
        with pytest.raises(ValueError, match="no place for the table of ages: expected <!-- ages: "):
            tables.with_tables(text, {"ages": "| 9 |"})


def test_readme_opens_with_the_mean_of_the_recorded_speedruns():
    opening, _, _ = README.read_text(encoding="utf-8").partition("\n## ")
    runs = ledger.by_recipe(ledger.load_results(tables.NOTEBOOKS / "results").values())["speedrun-progressive"]
    views, one = (ledger.mean_interval([getattr(run.result, key) for run in runs])[0]
                  for key in ("accuracy_with_views", "accuracy"))
    minutes, _ = ledger.mean_interval([run.seconds.training / 60 for run in runs])
    recorded = (f"in {minutes:.0f} minutes, to {views:.2%} with six views of each test image and {one:.2%} with one, "
                f"in the mean of {len(runs)} recorded runs")
    assert recorded in " ".join(opening.split())


@pytest.mark.parametrize("path", [README, TEACHING], ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    inside = [link for link in links if not link.startswith("http")]
    assert len(inside) > 5
    assert [link for link in inside if not (path.parent / link).exists()] == []


def test_every_section_that_teaching_sends_a_class_to_is_there():
    text = TEACHING.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| [^|]+\| (section[^|]+) \|$", text, re.MULTILINE)
    sent = [(int(lesson), place) for lesson, place in rows]
    known = {lesson.number: headings(lesson) for lesson in lessons.load(lessons.NOTEBOOKS)}
    assert {lesson for lesson, _ in sent} == known.keys()
    for lesson, place in sent:
        for number in re.findall(r"\d+", place.partition(":")[0]):
            assert any(heading.startswith(f"## {number}. ") for heading in known[lesson]), (lesson, place)
        for title in re.findall(r"\*([A-Z][^*]+?)\*", place):
            assert any(title in heading for heading in known[lesson]), (lesson, place)


def headings(lesson):
    cells = nbformat.read(lesson.path, as_version=4).cells
    return [line for cell in cells for line in cell.source.splitlines() if line.startswith("#")]


@pytest.mark.parametrize(("seconds", "text"), [(1.368, "1.4 s"), (59.4, "59 s"), (60, "1"), (234, "3.9"), (4008, "67")])
def test_a_training_time_is_told_in_minutes_and_below_one_in_seconds(seconds, text):
    assert tables.clock(seconds) == text
