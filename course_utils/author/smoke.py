"""Run lessons once and check them twice, as CI does: that no cell fails, and that checked outputs are as committed.

    python -m course_utils.author.smoke [--dataset auto|cifar10|synthetic] [--junit FILE] [LESSON...]

Copies with the smoke parameters, their committed outputs kept, go to a temporary folder, where nbval runs them and
compares the cells tagged nbval-check-output. Prints the seconds of each lesson and exits with pytest's status.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from collections import defaultdict
from pathlib import Path

import papermill

from course_utils.author import lessons
from course_utils.machine import usable_cores

WORKERS = 2


def prepare(names: list[str], dataset: str, folder: Path) -> None:
    """Write a copy of each lesson, with the smoke preset's parameters injected, to a folder."""
    chosen = lessons.choose(lessons.load(lessons.NOTEBOOKS), names)
    for lesson, parameters in zip(chosen, lessons.plan(chosen, "smoke", dataset), strict=True):
        source, copy = lessons.literal(lesson.path), lessons.literal(folder / lesson.path.name)
        papermill.execute_notebook(source, copy, parameters, prepare_only=True, language="python")


def run(folder: Path, junit: Path) -> int:
    """Run the notebooks of a folder under nbval; pytest's exit status."""
    threads = str(max(1, usable_cores() // WORKERS))
    nbval = ["--nbval-lax", "--nbval-current-env"]
    nbval += ["--nbval-cell-timeout=300", "--nbval-kernel-startup-timeout=300"]
    options = [f"-n{WORKERS}", "--dist=loadfile", f"--junitxml={junit}", "-pno:cacheprovider", "--color=no", "-q"]
    return subprocess.call(
        [sys.executable, "-m", "pytest", *nbval, *options, "."],
        cwd=folder,
        env={"OMP_NUM_THREADS": threads} | os.environ,
    )


def seconds(junit: Path) -> dict[str, float]:
    """The seconds that each notebook's cells took together."""
    total: defaultdict[str, float] = defaultdict(float)
    for case in xml.etree.ElementTree.parse(junit).iter("testcase"):
        total[case.get("classname", "")] += float(case.get("time", 0))
    return dict(sorted(total.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON")
    parser.add_argument("--dataset", choices=lessons.DATASETS, default=os.environ.get("COURSE_DATASET", "auto"))
    parser.add_argument("--junit", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "lessons"
        folder.mkdir()
        junit = options.junit.resolve() if options.junit else Path(temporary) / "junit.xml"
        prepare(options.lessons, options.dataset, folder)
        status = run(folder, junit)
        for name, taken in seconds(junit).items():
            print(f"{name}: {taken:.1f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
