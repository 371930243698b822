"""The web site: Sphinx makes it from the committed lessons, as `notebooks/conf.py` says, and executes nothing."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from course_utils.author import lessons

TOOLS = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline")


def check_tools() -> None:
    """LessonError if something that the site is built with isn't installed."""
    lessons.require(TOOLS, 'pip install -e ".[site]" in a clone of the course')


def build(out: Path) -> bool:
    """Build the site into `out`, which exists. Whether that worked: if Sphinx has a complaint, `out` stays as it is."""
    sphinx = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    with tempfile.TemporaryDirectory() as folder:  # what Sphinx leaves beside a site goes with it
        built = Path(folder) / "site"
        if subprocess.call([*sphinx, "-d", f"{folder}/doctrees", str(lessons.NOTEBOOKS), str(built)]):
            return False
        shutil.copytree(built, out, dirs_exist_ok=True)
    return True
