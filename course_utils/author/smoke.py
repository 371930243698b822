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
from collections import Counter
from pathlib import Path

import papermill

from course_utils.author import lessons
from course_utils.author.runner import kernel_environment
from course_utils.plumbing.processor import usable_cores

WORKERS = 2
PYTEST = [
    sys.executable, "-m", "pytest", ".", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300",
    "--nbval-kernel-startup-timeout=300", f"-n{WORKERS}", "--dist=loadfile", "-pno:cacheprovider", "--color=no", "-q",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON")
    parser.add_argument("--dataset", choices=lessons.DATASETS, default=os.environ.get("COURSE_DATASET", "auto"))
    parser.add_argument("--junit", type=Path)
    options = parser.parse_args()
    try:
        chosen = lessons.choose(lessons.load(lessons.NOTEBOOKS), options.lessons)
        plans = lessons.plan(chosen, "smoke", options.dataset)
    except lessons.LessonError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as reports:
        for lesson, parameters in zip(chosen, plans, strict=True):
            source, copy = lessons.literal(lesson.path), lessons.literal(Path(folder) / lesson.path.name)
            papermill.execute_notebook(source, copy, parameters, prepare_only=True, language="python")
        junit = options.junit.resolve() if options.junit else Path(reports) / "junit.xml"
        threads = {"OMP_NUM_THREADS": str(max(1, usable_cores() // WORKERS))}
        environment = threads | os.environ | kernel_environment()
        status = subprocess.call([*PYTEST, f"--junitxml={junit}"], cwd=folder, env=environment)
        if not junit.exists():  # pytest has said why it ran nothing
            return status
        seconds: Counter[str] = Counter()
        for case in xml.etree.ElementTree.parse(junit).iter("testcase"):
            seconds[case.get("classname", "")] += float(case.get("time", 0))
    for name, taken in sorted(seconds.items()):
        print(f"{name}: {taken:.1f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
