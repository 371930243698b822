"""TEACHING.md says what course.toml and the exercises say, and names what is there."""

import re

import nbformat
import teaching

from course_utils.author import lessons

TEXT = teaching.TEACHING.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_course():
    assert teaching.with_tables(TEXT) == TEXT, "run `python tests/teaching.py`"


def test_every_link_within_the_repository_leads_somewhere():
    inside = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if not link.startswith("http")]
    assert inside and [link for link in inside if not (teaching.TEACHING.parent / link).exists()] == []


def test_every_section_it_sends_a_class_to_is_there():
    sent = [(int(lesson), text) for lesson, text in re.findall(r"^\| (\d+) \| [^|]+\| (section[^|]+) \|$", TEXT, re.M)]
    assert {lesson for lesson, _ in sent} == set(range(11))
    known = {lesson.number: headings(lesson) for lesson in lessons.load(lessons.NOTEBOOKS)}
    for lesson, text in sent:
        for number in re.findall(r"\d+", text.partition(":")[0]):
            assert any(heading.startswith(f"## {number}. ") for heading in known[lesson]), (lesson, text)
        for title in re.findall(r"\*([A-Z][^*]+?)\*", text):
            assert any(title in heading for heading in known[lesson]), (lesson, text)


def headings(lesson):
    cells = nbformat.read(lesson.path, as_version=4).cells
    return [line for cell in cells for line in cell.source.splitlines() if line.startswith("#")]
