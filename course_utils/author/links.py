"""The repository's address and what repeats it: badges, launch links, the cell that fetches the course on Colab.

`notebooks/course.toml` is the one place where the address is kept. All else is made from it, by `course links`.
"""

import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_utils.author import lessons
from course_utils.author.lessons import LessonError
from course_utils.plumbing.files import PARTIAL, write_atomically

GITHUB = "https://github.com/"
BADGES = {  # where a badge opens a notebook: its picture, and the link that it leads to
    "in Colab": ("https://colab.research.google.com/assets/colab-badge.svg",
                 "https://colab.research.google.com/github/{name}/blob/{ref}/{path}"),
    "on Binder": ("https://mybinder.org/badge_logo.svg",
                  "https://mybinder.org/v2/gh/{name}/{ref}?urlpath=lab/tree/{path}"),
    "on Kaggle": ("https://kaggle.com/static/images/open-in-kaggle.svg",
                  "https://kaggle.com/kernels/welcome?src=https://github.com/{name}/blob/{ref}/{path}"),
}
CODESPACES = "https://github.com/codespaces/badge.svg)](https://codespaces.new/{name}"
TAG = "colab"  # of the cell that fetches the course
COLAB = {"accelerator": "GPU", "colab": {"provenance": []}}  # what Colab reads in a notebook's metadata
FETCH = """\
#@title On Colab, fetch the course; anywhere else, make sure that it is there
import importlib.util
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.isdir("course_utils"):
    if not os.path.isdir("{folder}"):
        source = "{address}"
        fetch = ["git", "clone", "--quiet", "--depth=1", "--branch={ref}", source]
        fetched = subprocess.run(fetch, capture_output=True, text=True)
        if fetched.returncode:
            why = " ".join(fetched.stderr.split())
            raise SystemExit(f"{{source}} was not fetched ({{why}}): look whether it opens, then run this cell again")
    os.chdir("{folder}")
    sys.path.insert(0, os.getcwd())
elif importlib.util.find_spec("course_utils") is None:
    raise SystemExit("course_utils is missing in this kernel: run `pip install -e .` for it in a clone of the course, "
                     "or here `!git clone --depth=1 --branch={ref} {address}`, "
                     "then `%cd {folder}`")"""


@dataclass(frozen=True)
class Repository:
    """Where the course lives on GitHub, as OWNER/NAME, and the tag or branch that a reader is given."""

    name: str
    ref: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z\d][a-z\d-]*/(?!\.+$)[\w.-]+(?<!\.git)", self.name, re.ASCII | re.IGNORECASE):
            raise LessonError(f"a repository on GitHub is named as OWNER/NAME, such as ada/course, not {self.name!r}")
        if not re.fullmatch(r"(?![\da-f]{40}$)\w+([.-]\w+)*", self.ref, re.ASCII):
            raise LessonError(f"expected a tag or a branch without a slash, such as v0.1.0, not {self.ref!r}")

    @property
    def address(self) -> str:
        return GITHUB + self.name

    @property
    def folder(self) -> str:
        return self.name.partition("/")[2]

    @property
    def fetch(self) -> str:
        """The source of the cell that brings the course to a machine of Colab, and says how where it is missing."""
        return FETCH.format(address=self.address, ref=self.ref, folder=self.folder)

    def badges(self, path: str) -> str:
        """Pictures, in Markdown, that open a notebook, by its path in the repository, in Colab, Binder and Kaggle."""
        return "\n".join(f"[![Open {where}]({picture})]({link.format(name=self.name, ref=self.ref, path=path)})"
                         for where, (picture, link) in BADGES.items())


def load(folder: Path) -> Repository:
    """The repository that `course.toml` in a folder names; LessonError if it names none."""
    return lessons.from_course_toml(folder, lambda course: Repository(
        course["repository"]["address"].removeprefix(GITHUB), course["repository"]["ref"]))


def differing(folder: Path, repository: Repository) -> dict[Path, bytes]:
    """The files in and beside a folder of lessons that don't agree with a repository, with what should be in them."""
    return {path: new for path, new in _linked(folder, repository) if path.read_bytes() != new}


def rewrite(folder: Path, repository: Repository) -> list[str]:
    """Make whatever stands in and beside a folder of lessons agree with a repository. The names of the files changed.

    Everything is read and made before the first file is written. That is course.toml: if the rest is cut off,
    `course links` completes it, and removes what was half-written.
    """
    try:
        wanted = differing(folder, repository)
        for path, new in wanted.items():
            write_atomically(path, new)
        for place in {folder.parent, folder, *(path.parent for path in wanted)}:
            for partial in place.glob(f"{PARTIAL}*"):
                partial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise LessonError(str(error)) from error
    return [path.relative_to(folder.parent).as_posix() for path in wanted]


def link_lesson(nb: NotebookNode, name: str, repository: Repository, gpu: bool = True) -> NotebookNode:
    """A copy of a lesson with badges under its title, the cell for Colab before all code, and Colab's metadata.

    name: of the file that the badges open, below `notebooks/`. gpu: whether Colab is asked for one. Outputs stay as
    they are: anywhere but on Colab, that cell does nothing and has no count.
    """
    nb = copy.deepcopy(nb)
    cells = [cell for cell in nb.cells if TAG not in cell.metadata.get("tags", [])]
    linked = [link_text(cell.source, repository) if cell.cell_type == "markdown" else cell.source for cell in cells]
    if cells[0].cell_type == "markdown":
        title, _, rest = linked[0].partition("\n")
        rest = re.sub(rf"\A(\s*\[!\[Open ({'|'.join(BADGES)})\]\(.*\))+\s*", "", rest).strip("\n")
        linked[0] = f"{title}\n\n{repository.badges(f'notebooks/{name}')}\n\n{rest}".rstrip("\n")
    for cell, source in zip(cells, linked, strict=True):
        if source != cell.source:
            cell.source, cell.id = source, id_of(source)
    hidden = {"cellView": "form", "tags": [TAG, "remove-cell"]}  # on Colab and on the web site
    fetch = new_code_cell(repository.fetch, id=id_of(repository.fetch), metadata=hidden)
    first = next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    nb.cells = [*cells[:first], fetch, *cells[first:]]
    nb.metadata.update(copy.deepcopy({key: value for key, value in COLAB.items() if gpu or key != "accelerator"}))
    return nb


def link_text(text: str, repository: Repository) -> str:
    """A text with its links that open the course, those of Colab, Binder, Kaggle, Codespaces and nbgitpuller, and with
    the command that clones it.

    nbgitpuller's keep their branch: nbgitpuller takes a tag for one, then fails on a reader's second click.
    """

    def pull(match: re.Match) -> str:
        query = dict(parse_qsl(match[0])) | {"repo": repository.address}
        if "urlpath" in query:
            query["urlpath"] = re.sub(r"(?<=tree/)[^/]+", repository.folder, query["urlpath"], count=1)
        return urlencode(query, quote_via=quote, safe="")

    for link in (*(link for _, link in BADGES.values()), CODESPACES):
        known = re.escape(link.format(name="NAME", ref="REF", path="notebooks/"))
        known = known.replace("NAME", r"[^/\s]+/[^/\s)]+").replace("REF", r"[^/?\s]+")
        text = re.sub(known, link.format(name=repository.name, ref=repository.ref, path="notebooks/"), text)
    clone = f"`git clone {repository.address}`, then `cd {repository.folder}`"
    text = re.sub(r"`git clone \S+`, then `cd \S+`", clone, text)
    return re.sub(r"(?<=/git-pull\?)[\w%.~+=&:/-]*[\w/]", pull, text)


def id_of(source: str) -> str:
    """A cell's id: it follows from the source, so that what is done elsewhere in a notebook leaves it as it is."""
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LessonError(f"{path} can't be read: {error}") from error


def _notebook(path: Path) -> NotebookNode:
    try:
        return nbformat.reads(_read(path), as_version=4)
    except LessonError:
        raise
    except Exception as error:  # nbformat has no one kind
        raise LessonError(f"{path} is not a notebook: {str(error).partition(chr(10))[0]}") from error


def _linked(folder: Path, repository: Repository) -> Iterator[tuple[Path, bytes]]:
    """Every file that may hold the address, with what should be in it, course.toml first."""
    root, address = folder.parent, repository.address
    settings = {folder / "course.toml": {"address = ": address, "ref = ": repository.ref},
                root / "pyproject.toml": {"Repository = ": address},
                root / "CITATION.cff": {"repository-code: ": address}}
    for path, values in settings.items():
        text = _read(path)
        for key, value in values.items():
            text, count = re.subn(rf'(?m)^({key})"[^"]*"', rf'\1"{value}"', text)
            if count != 1:
                raise LessonError(f"{path.name}: {count} lines that begin with {key!r}, not one")
        yield path, text.encode()
    for path in (root / "README.md", *sorted(folder.rglob("[!.]*.md"))):
        yield path, link_text(_read(path), repository).encode()
    for lesson in lessons.load(folder):
        nb = link_lesson(_notebook(lesson.path), lesson.path.name, repository)
        yield lesson.path, f"{nbformat.writes(nb)}\n".encode()
    for stage in ("release", "source"):  # a source's badges open what is made of it
        for path in sorted((folder / "exercises" / stage).glob("[!.]*/[!.]*.ipynb")):
            name = f"exercises/release/{path.parent.name}/{path.name}"
            nb = link_lesson(_notebook(path), name, repository, gpu=False)
            yield path, f"{nbformat.writes(nb)}\n".encode()
