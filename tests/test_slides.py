"""Slides of a lesson: its questions and its figures, under their headings and in their order."""

import base64

import toys
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.author import lessons, slides


def test_a_lesson_becomes_its_questions_and_figures(tmp_path):
    figure = base64.b64encode(b"a picture").decode()
    shown = new_output("display_data", {"image/png": figure, "text/plain": 'Falling, "as a stone".'})
    notebook = new_notebook(cells=[
        new_markdown_cell("# Toy\n\nNo question here.\n\n## 1. Stones & feathers\n\nText."),
        new_markdown_cell("**Before you run it:** is $a < b$ 3.5<!--source: Galilei--> times as often?\n\nMore text."),
        new_code_cell("draw()", outputs=[new_output("stream", name="stdout", text="4"), shown]),
        new_markdown_cell("## 2. Nothing to see"),
    ])
    toys.write_course(tmp_path, lesson_00_toy=notebook)
    (lesson,) = lessons.load(tmp_path)
    asked, drawn = slides.slides(lesson)
    assert asked.heading == drawn.heading == "1. Stones & feathers"
    assert "<strong>Before you run it:</strong>" in asked.question and "3.5 times" in asked.question
    assert (drawn.figure, drawn.description) == (figure, 'Falling, "as a stone".')

    slides.write([lesson], tmp_path / "slides")
    page = (tmp_path / "slides" / "00_toy.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 3 and "Nothing to see" not in page
    assert "1. Stones &amp; feathers" in page and "as a stone&#34;" in page and "http" not in page
