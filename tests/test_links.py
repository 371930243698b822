"""The repository's address: one place keeps it, every other follows, and the committed files agree."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from urllib.parse import parse_qs

import nbformat
import pytest
import toys
from nbformat.v4 import new_markdown_cell
from test_packaging import ROOT

from course_utils.author import lessons, links
from course_utils.author.cli import main
from course_utils.author.gate import stamp_of
from course_utils.plumbing import files

OLD, NEW = links.Repository("ada/course", "v1"), links.Repository("Bob-2/a_tour.v2", "v2.0-rc.1")
OTHERS = """\
[Page's own](https://colab.research.google.com/github/davidcpage/cifar10-fast/blob/master/bag_of_tricks.ipynb) and
[another](https://mybinder.org/v2/gh/jupyterlab/demo/HEAD?urlpath=lab/tree/demo), with
[a third](https://kaggle.com/kernels/welcome?src=https://github.com/ada/other/blob/main/demo.ipynb),
[its space](https://codespaces.new/ada/other),
[its class](https://colab.research.google.com/) and [a repository](https://github.com/ada/other)."""
SPACE = "[![Open in Codespaces](https://github.com/codespaces/badge.svg)]"
PULL = (
    "https://hub.example.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fada%2Fcourse"
    "&urlpath=lab%2Ftree%2Fcourse%2Fnotebooks%2F00_one.ipynb&branch=main"
)
PLACES = [
    "notebooks/course.toml", "pyproject.toml", "CITATION.cff", "README.md", "notebooks/exercises/TEACHING.md",
    "notebooks/00_one.ipynb", "notebooks/01_two.ipynb",
    *(f"notebooks/exercises/{stage}/00_one/00_one.ipynb" for stage in ("release", "source")),
]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A clone with two lessons, in agreement with OLD; a lesson and a page name other people's repositories too."""
    root = tmp_path / "course"
    first, second = toys.notebook("1"), toys.notebook("2")
    first.cells[0].source += "\n\nWhat this is about."
    second.cells.insert(1, new_markdown_cell(OTHERS))
    toys.write_course(root / "notebooks", lesson_00_one=first, lesson_01_two=second)
    for stage in ("release", "source"):
        (root / "notebooks" / "exercises" / stage / "00_one").mkdir(parents=True)
        nbformat.write(toys.notebook("1"), root / "notebooks" / "exercises" / stage / "00_one" / "00_one.ipynb")
    where = f'\n[repository]\naddress = "{OLD.address}"  # here\nref = "{OLD.ref}"\n'
    for path, text in {
        "notebooks/course.toml": (root / "notebooks" / "course.toml").read_text() + where,
        "pyproject.toml": f'[project]\nname = "course"\n[project.urls]\nRepository = "{OLD.address}"\n',
        "CITATION.cff": f'title: "The course"\nrepository-code: "{OLD.address}"\n',
        "README.md": f"# The course\n\n{OLD.badges('notebooks/00_one.ipynb')}\n{SPACE}(https://codespaces.new/{OLD.name})\n\n{OTHERS}\n",
        "notebooks/exercises/TEACHING.md": f"Send your students [this link]({PULL}).\n\n<{PULL}>. Or `{PULL}`.\n",
    }.items():
        (root / path).write_text(text)
    monkeypatch.setattr(lessons, "NOTEBOOKS", root / "notebooks")
    links.rewrite(root / "notebooks", OLD)
    return root


def state(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def status_of(arguments):
    try:
        return main(["links", *arguments])
    except SystemExit as stop:  # argparse's way to end
        return stop.code


def test_every_place_gets_the_new_address(course, capsys):
    assert status_of(["--repo", NEW.name, "--ref", NEW.ref]) == 0
    assert capsys.readouterr().out == f"{NEW.address} at {NEW.ref}: {', '.join(PLACES)}\n"
    now = {place: (course / place).read_text() for place in PLACES}
    assert tomllib.loads(now["notebooks/course.toml"])["repository"] == {"address": NEW.address, "ref": NEW.ref}
    assert tomllib.loads(now["pyproject.toml"])["project"]["urls"] == {"Repository": NEW.address}
    assert now["CITATION.cff"].endswith(f'\nrepository-code: "{NEW.address}"\n')
    release = "exercises/release/00_one/00_one.ipynb"  # a source's badges open what is made of it
    opens = {"00_one.ipynb": "00_one.ipynb", "01_two.ipynb": "01_two.ipynb", release: release,
             release.replace("release", "source"): release}
    for file, name in opens.items():
        nb = nbformat.read(course / "notebooks" / file, as_version=4)
        cells = nb.cells
        assert nb.metadata.get("accelerator") == (None if name == release else "GPU") and nb.metadata.colab
        badges = [line.rpartition("](")[2].removesuffix(")") for line in cells[0].source.splitlines()[2:5]]
        assert badges == [
            f"https://colab.research.google.com/github/Bob-2/a_tour.v2/blob/v2.0-rc.1/notebooks/{name}",
            f"https://mybinder.org/v2/gh/Bob-2/a_tour.v2/v2.0-rc.1?urlpath=lab/tree/notebooks/{name}",
            f"https://kaggle.com/kernels/welcome?src={NEW.address}/blob/v2.0-rc.1/notebooks/{name}",
        ]
        (fetch,) = (cell.source for cell in cells if "colab" in cell.metadata.get("tags", []))
        assert f'"{NEW.address}"' in fetch and f'"--branch={NEW.ref}"' in fetch and '"a_tour.v2"' in fetch
        assert next(cell.source for cell in cells if cell.cell_type == "code") == fetch
    assert f"{NEW.badges('notebooks/00_one.ipynb')}\n{SPACE}(https://codespaces.new/{NEW.name})" in now["README.md"]
    pulled = [parse_qs(query) for query in re.findall(r"git-pull\?([^)>`]+)", now["notebooks/exercises/TEACHING.md"])]
    opened = ["lab/tree/a_tour.v2/notebooks/00_one.ipynb"]
    assert pulled == [{"repo": [NEW.address], "urlpath": opened, "branch": ["main"]}] * 3
    for text in now.values():
        assert not any(old in text for old in (OLD.name, "ada%2F", "tree%2Fcourse%2F"))


def test_links_to_other_peoples_work_are_left_alone(course):
    links.rewrite(course / "notebooks", NEW)
    assert OTHERS in (course / "README.md").read_text()
    assert nbformat.read(course / "notebooks" / "01_two.ipynb", as_version=4).cells[1].source == OTHERS


def test_only_the_address_changes(course):
    path, first = course / "notebooks" / "00_one.ipynb", nbformat.read(course / "notebooks" / "00_one.ipynb", 4)
    first.cells[3].update(execution_count=1, outputs=[nbformat.v4.new_output("stream", text="kept")])
    first.metadata["course"] = {"stamp": stamp_of(first)}
    nbformat.write(first, path)
    before = state(course)
    assert len(links.rewrite(course / "notebooks", NEW)) == len(PLACES)
    linked = nbformat.read(path, as_version=4)
    assert [cell.id for cell in linked.cells[2:]] == [cell.id for cell in first.cells[2:]]
    assert linked.cells[2:] == first.cells[2:] and linked.cells[0].source.endswith("\n\nWhat this is about.")
    assert stamp_of(linked) == linked.metadata["course"]["stamp"]
    links.rewrite(course / "notebooks", OLD)
    assert state(course) == before


def test_a_second_time_changes_nothing(course, capsys):
    status_of(["--repo", NEW.name, "--ref", NEW.ref])
    before = state(course)
    written = {path: path.stat().st_mtime_ns for path in course.rglob("*")}
    capsys.readouterr()
    assert status_of([]) == status_of(["--repo", NEW.name]) == status_of(["--ref", NEW.ref]) == 0
    assert capsys.readouterr().out == f"{NEW.address} at {NEW.ref}: nothing to change\n" * 3
    assert state(course) == before
    assert {path: path.stat().st_mtime_ns for path in course.rglob("*")} == written


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        *([["--repo", name], f"named as OWNER/NAME, such as ada/course, not {name!r}"] for name in (
            "", "ada", "ada/", "/course", "ada/course/x", "https://github.com/ada/course", "ada/course.git", "ada/..",
            "-ada/course", "ada/co urse", 'ada/"', "ada/course\n", "ädä/course")),
        *([["--ref", ref], f"expected a tag or a branch without a slash, such as v0.1.0, not {ref!r}"] for ref in (
            "", "v1/x", "v1..2", "--upload-pack=x", "v 1", 'v"', "v1.", "v1\n", "a" * 40)),
        (["--repo"], "argument --repo: expected one argument"),
        (["ada/course"], "unrecognized arguments: ada/course"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(course, capsys, arguments, complaint):
    before = state(course)
    assert status_of([f"{arguments[0]}={arguments[1]}"] if len(arguments) == 2 else arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("course: ") and said.err.count("\n") == 1
    assert complaint in said.err
    assert state(course) == before


@pytest.mark.parametrize(
    ("place", "content", "complaint"),
    [
        ("notebooks/01_two.ipynb", None, "01_two.ipynb"),
        ("notebooks/01_two.ipynb", '{"cells": [', "not appear to be JSON"),
        ("README.md", None, "README.md"),
        ("CITATION.cff", "title: x\n", "CITATION.cff: 0 lines that begin with 'repository-code: ', not one"),
        ("notebooks/course.toml", "[[lesson]]\n", "course.toml can't be used: 'repository'"),
        ("notebooks/course.toml", "address = \n", "course.toml can't be used"),
        ("notebooks/course.toml", '[repository]\naddress = "x"\nref = "v1"\n', "named as OWNER/NAME"),
        ("notebooks/course.toml", '[repository]\naddress = 3\nref = "v1"\n', "course.toml can't be used"),
        ("notebooks/course.toml", '[repository]\naddress = "ada/course"\nref = 1\n', "course.toml can't be used"),
    ],
)
def test_a_file_that_cannot_be_used_stops_all_before_anything_is_written(course, capsys, place, content, complaint):
    (course / place).unlink()
    if content:
        (course / place).write_text(content)
    before = state(course)
    assert status_of(["--ref", "v9"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("course: ") and said.count("\n") == 1 and complaint in said
    assert state(course) == before


KILLED = """\
import os, signal, sys
from pathlib import Path
from course_utils.author import links
from course_utils.plumbing import files

def kill_at(write, real=os.replace):
    calls = 0
    def replace(*paths):
        nonlocal calls
        if calls == write:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        real(*paths)
    os.replace = replace

kill_at(int(sys.argv[2]))
links.rewrite(Path(sys.argv[1]), links.Repository(*sys.argv[3:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
@pytest.mark.parametrize("done", range(len(PLACES)))
def test_what_a_kill_left_unfinished_is_completed(course, capsys, tmp_path, done):
    whole = shutil.copytree(course, tmp_path / "whole")
    links.rewrite(whole / "notebooks", NEW)
    script = [sys.executable, "-c", KILLED, str(course / "notebooks"), str(done), NEW.name, NEW.ref]
    before = state(course)
    assert subprocess.run(script).returncode == -signal.SIGKILL
    left = state(course)
    assert [place for place in PLACES if left[place] != before[place]] == PLACES[:done]
    assert len([path for path in left if files.PARTIAL in path]) == 1
    repeated = ["--repo", NEW.name, "--ref", NEW.ref] if done == 0 else []  # course.toml holds the rest
    assert status_of(repeated) == 0
    assert capsys.readouterr().out.endswith(f": {', '.join(PLACES[done:])}\n")
    assert state(course) == state(whole)


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_file_that_differs_is_found(course, place):
    path = course / place
    path.write_text(path.read_text().replace(OLD.name, "eve/course").replace("ada%2Fcourse", "eve%2Fcourse"))
    assert list(links.differing(course / "notebooks", links.load(course / "notebooks"))) == [path]


def test_what_is_committed_agrees_with_course_toml():
    wanted = links.differing(lessons.NOTEBOOKS, links.load(lessons.NOTEBOOKS))
    assert [path.relative_to(ROOT).as_posix() for path in wanted] == [], "run `course links`"


def test_under_another_address_no_file_keeps_the_old_one(tmp_path):
    old = links.load(lessons.NOTEBOOKS)
    for name in ("README.md", "CITATION.cff", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("notebooks", "course_utils", "binder"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".*", "runs"))
    links.rewrite(tmp_path / "notebooks", NEW)
    for path, content in state(tmp_path).items():
        assert old.name.encode() not in content and old.name.replace("/", "%2F").encode() not in content, path
    assert NEW.badges("notebooks/00_start_here.ipynb") in (tmp_path / "README.md").read_text()
