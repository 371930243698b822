"""README says what the ledger and lesson 0 say."""

import re
from pathlib import Path

import readme

ROOT = Path(readme.README).parent


def test_the_table_is_that_of_the_ledger():
    text = readme.README.read_text()
    assert text.count("| vgg-short") == 4
    assert readme.with_results(text) == text, "run `python tests/readme.py`"


def test_the_ladder_is_that_of_lesson_0():
    assert readme.LADDER.read_bytes() == readme.ladder(), "run `python tests/readme.py`"


def test_every_link_within_the_repository_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", readme.README.read_text())
    inside = [link for link in links if not link.startswith("http")]
    assert len(inside) > 5
    assert [link for link in inside if not (ROOT / link).exists()] == []
