"""A notebook as the gate sees it: its cells by number and kind, its normal form, and the stamp of its code."""

import ast
import copy
import hashlib
import json
import re
from functools import cached_property
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course_utils.author import lessons, links

PYTHON = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
          "language_info": {"name": "python"}}  # a notebook's metadata, whichever Python ran it


class Book:
    """A notebook with what it is checked against: its entry in course.toml (if any), recorded runs, the repository."""

    def __init__(self, path: Path) -> None:
        self.nb, self.bytes = nbformat.read(path, as_version=4), path.stat().st_size
        self.lesson = next((lesson for lesson in lessons.load(path.parent) if lesson.path == path), None)
        self.repository, self.results = links.load(path.parent), path.parent / "results"

    def cells(self, kind: str, tag: str | None = None) -> list[tuple[str, NotebookNode]]:
        """("cell N", cell) of the cells of a type that aren't empty, N counted from 1; with a tag if one is named."""
        return [(f"cell {i}", cell) for i, cell in enumerate(self.nb.cells, 1)
                if cell.cell_type == kind and cell.source.strip() and (tag is None or has_tag(cell, tag))]

    @property
    def outputs(self) -> list[tuple[str, NotebookNode, NotebookNode]]:
        """("cell N", cell, output) of every output."""
        return [(at, cell, output) for at, cell in self.cells("code") for output in cell.outputs]

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """(level, text) of the headings, outside code fences."""
        prose = "\n\n".join(cell.source for _, cell in self.cells("markdown"))
        text = re.sub(r"^```.*?^```", "", prose, flags=re.M | re.S)
        return [(len(marks), title) for marks, title in re.findall(r"^(#+) +(.*\S)", text, re.MULTILINE)]


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def text_of(output: NotebookNode) -> str:
    """The text of an output: of a stream, or of the text types of a display."""
    data = output.get("data", {})
    return "".join(output.get("text", "")) + "\n".join("".join(data[key]) for key in data if key.startswith("text/"))


def syntax(cell: NotebookNode) -> ast.Module:
    """The syntax tree of a code cell, with IPython's magics turned into calls."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def stamp_of(nb: NotebookNode) -> str:
    """A hash of the code cells' syntax trees: comments and layout don't count, nor does Python's version.

    The cell for Colab doesn't count either: it does nothing where lessons are executed.
    """

    def plain(node: object) -> object:
        if isinstance(node, ast.AST):
            fields = [(name, plain(value)) for name, value in ast.iter_fields(node)]
            return [type(node).__name__, *(each for each in fields if each[1] not in ("None", []))]
        return [plain(each) for each in node] if isinstance(node, list) else repr(node)

    trees = [plain(syntax(cell)) for cell in nb.cells if cell.cell_type == "code" and not has_tag(cell, links.TAG)]
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:16]


def normalise(nb: NotebookNode) -> NotebookNode:
    """A copy without what differs from run to run and machine to machine: times, kernel versions, ids, counts."""
    nb, count, seen = copy.deepcopy(nb), 0, set()
    kept = {key: nb.metadata[key] for key in links.COLAB if key in nb.metadata}
    nb.metadata = nbformat.from_dict(PYTHON | {"course": nb.metadata.get("course", {})} | kept)
    nb.nbformat, nb.nbformat_minor = 4, 5
    for cell in nb.cells:
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in ("tags", "cellView") and v})
        cell.id = links.id_of(cell.source)
        while cell.id in seen:
            cell.id = links.id_of(cell.id)
        seen.add(cell.id)
        if has_tag(cell, links.TAG):
            cell.update(execution_count=None, outputs=[])
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            for numbered in (cell, *(output for output in cell.outputs if "execution_count" in output)):
                numbered.execution_count = count
    return nb
