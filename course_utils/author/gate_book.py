"""A notebook as the gate sees it: its cells by number and kind, its normal form, and the stamp of its code."""

import ast
import copy
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course_utils.author import lessons, links


@dataclass
class Book:
    """A notebook with what it is checked against: its entry in course.toml (if any), recorded runs, the repository."""

    nb: NotebookNode
    bytes: int
    lesson: lessons.Lesson | None
    results: Path
    repository: links.Repository

    @classmethod
    def open(cls, path: Path) -> "Book":
        known = {lesson.name: lesson for lesson in lessons.load(path.parent)}
        nb = nbformat.read(path, as_version=4)
        repository = links.load(path.parent)
        return cls(nb, path.stat().st_size, known.get(path.stem), path.parent / "results", repository)

    def cells(self, kind: str, tag: str | None = None) -> list[tuple[str, NotebookNode]]:
        """("cell N", cell) of the cells of a type that aren't empty, N counted from 1; with a tag if one is named."""
        numbered = [(f"cell {i}", cell) for i, cell in enumerate(self.nb.cells, 1)]
        chosen = [each for each in numbered if each[1].cell_type == kind and each[1].source.strip()]
        return [each for each in chosen if tag is None or tag in each[1].metadata.get("tags", [])]

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


def text_of(output: NotebookNode) -> str:
    """The text of an output: of a stream, or of the text types of a display."""
    data = output.get("data", {})
    return "".join(output.get("text", "")) + "\n".join("".join(data[key]) for key in data if key.startswith("text/"))


def for_colab(cell: NotebookNode) -> bool:
    return links.TAG in cell.metadata.get("tags", [])


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

    trees = [plain(syntax(cell)) for cell in nb.cells if cell.cell_type == "code" and not for_colab(cell)]
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:16]


def normalise(nb: NotebookNode) -> NotebookNode:
    """A copy without what differs from run to run and machine to machine: times, kernel versions, ids, counts."""
    nb, count, seen = copy.deepcopy(nb), 0, set()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    colab = {key: nb.metadata[key] for key in links.COLAB if key in nb.metadata}
    nb.metadata = NotebookNode(
        kernelspec=kernel, language_info={"name": "python"}, course=nb.metadata.get("course", {}), **colab
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    for cell in nb.cells:
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in ("tags", "cellView") and v})
        digest = links.id_of(cell.source)
        while digest in seen:
            digest = hashlib.sha256(digest.encode()).hexdigest()[:8]
        seen.add(digest)
        cell.id = digest
        if for_colab(cell):
            cell.update(execution_count=None, outputs=[])
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
    return nb
