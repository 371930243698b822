"""Slides of a lesson for a class: the questions before its experiments, and its figures, under their headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.author.lessons import Lesson
from course_utils.show.page import render

TEMPLATE = Path(__file__).with_name("slides.html.j2")
NOTE = re.compile(r"<!--.*?-->", re.DOTALL)  # where a number comes from


@dataclass(frozen=True)
class Slide:
    """A question as HTML, or a figure, base64 of a PNG, with its description; and the heading above it."""

    heading: str
    question: str = ""
    figure: str = ""
    description: str = ""


def slides(lesson: Lesson) -> Iterator[Slide]:
    """The slides of a lesson in its order; a heading with neither question nor figure has none."""
    from nbconvert.filters import markdown2html

    heading = lesson.title
    for cell in nbformat.read(lesson.path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for paragraph in NOTE.sub("", cell.source).split("\n\n"):
                if paragraph.startswith("#"):
                    heading = paragraph.splitlines()[0].lstrip("# ")
                elif paragraph.startswith("**Before"):
                    yield Slide(heading, question=markdown2html(paragraph))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                yield Slide(heading, figure=data["image/png"].strip(), description="".join(data["text/plain"]))


def write(lessons: list[Lesson], out: Path) -> None:
    """A page of slides for each lesson, in the folder `out` of a site, whose MathJax sets the formulas."""
    out.mkdir(parents=True, exist_ok=True)
    for lesson in lessons:
        page = render(TEMPLATE, lesson=lesson, slides=list(slides(lesson)))
        (out / f"{lesson.name}.html").write_text(page, encoding="utf-8")
