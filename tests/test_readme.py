"""README says what the ledger and lesson 0 say."""

import re
from pathlib import Path

import readme

from course_utils import records
from course_utils.author.lessons import NOTEBOOKS

ROOT = Path(readme.README).parent


def test_the_table_is_that_of_the_ledger():
    text = readme.README.read_text()
    assert text.count("| vgg-short") == 4
    assert readme.with_results(text) == text, "run `python tests/readme.py`"


def test_what_it_promises_first_is_the_recorded_mean():
    promise, _, _ = readme.README.read_text().partition("\n## ")
    runs = records.by_recipe(records.load_results(NOTEBOOKS / "results").values())["speedrun-progressive"]
    views, one = (records.mean_interval([getattr(run.result, key) for run in runs])[0]
                  for key in ("accuracy_with_views", "accuracy"))
    minutes, _ = records.mean_interval([run.seconds.training / 60 for run in runs])
    numbers = {5: "five", 8: "eight"}
    told = (f"in {numbers[round(minutes)]} minutes, to {views:.2%} with six views of each test image "
            f"and {one:.2%} with one, in the mean of {numbers[len(runs)]} recorded runs")
    assert told in " ".join(promise.split())


def test_the_ladder_is_that_of_lesson_0():
    assert readme.LADDER.read_bytes() == readme.ladder(), "run `python tests/readme.py`"


def test_every_link_within_the_repository_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", readme.README.read_text())
    inside = [link for link in links if not link.startswith("http")]
    assert len(inside) > 5
    assert [link for link in inside if not (ROOT / link).exists()] == []
