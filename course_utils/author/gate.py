"""The notebook gate: the rules for committed lessons, and the commands that make lessons keep them.

    python -m course_utils.author.gate execute NOTEBOOK...        run in place at the defaults, normalise, stamp, check
    python -m course_utils.author.gate normalise [NOTEBOOK...]    drop what differs from machine to machine
    python -m course_utils.author.gate stamp [NOTEBOOK...]        declare the outputs those of the code as it is
    python -m course_utils.author.gate check [NOTEBOOK...]        every rule

Without a notebook, a command takes every lesson.
"""

import argparse
import ast
import copy
import hashlib
import importlib.util
import json
import math
import operator
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course_utils.author import lessons, links, runner
from course_utils.author.lessons import LessonError
from course_utils.plumbing.files import write_atomically
from course_utils.show import progress

PYTHON = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
          "language_info": {"name": "python"}}  # a notebook's metadata, whichever Python ran it
ALLOWED = sys.stdlib_module_names | {"torch", "torchvision", "numpy", "matplotlib", "IPython", "course_utils"}
SECTIONS = ("Exercises", "What we learned", "References")
MAX_BYTES, MAX_LINES = 1_500_000, 25
PATHS = re.compile(r"(?<![\w.~/-])(?:/(?:home|root|work|tmp|Users)/|[A-Z]:\\+Users)[^\s'\"]*")
JUNK = re.compile(r"\r|\x1b\[|\d%\||\bit/s\b|\b0x[0-9a-f]{6,}")
NUMBER = r"(?P<number>(?:(?<![\w.])[-\N{MINUS SIGN}])?\d[\d,]*(?:\.\d+)?)"
RECORDED = re.compile(NUMBER + r"(?P<unit>[^\d<\n|]{0,20})<!--\s*ledger:\s*(?P<formula>[^>]*?)\s*-->")
MEASURED = re.compile(r"\d\.\d+\s*(?:\\?%|percent|points?\b)|\d\s*images(?:/s| per second)")
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


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


def whole(book: Book) -> Iterator[str]:
    """What course.toml says of the lesson, the notebook's form, its freshness and size."""
    if book.lesson is None:
        yield "not listed in course.toml"
    elif links.link_lesson(book.nb, book.lesson.path.name, book.repository) != book.nb:
        yield "the badges, the cell for Colab or its metadata are not those of course.toml: run `course links`"
    if normalise(book.nb) != book.nb:
        yield "not normalised: run `python -m course_utils.author.gate normalise`"
    if book.nb.metadata.get("course", {}).get("stamp") != stamp_of(book.nb):
        yield "the code has changed since its outputs were made: run `python -m course_utils.author.gate execute`"
    if book.bytes >= MAX_BYTES:
        yield f"{book.bytes / 1e6:.1f} MB, more than {MAX_BYTES / 1e6} MB: fewer or coarser figures"


def code(book: Book) -> Iterator[str]:
    """Code cells: executed, short, without local paths; those that are to be compared have a text to compare."""
    for at, cell in book.cells("code"):
        if cell.execution_count is None and not has_tag(cell, links.TAG):
            yield f"{at}: not executed"
        if found := PATHS.search(cell.source):
            yield f"{at}: the absolute path {found[0]}"
        lines = sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.splitlines())
        if lines > MAX_LINES:
            yield f"{at}: {lines} lines of code, more than {MAX_LINES}"
        texts = cell.execution_count is not None and any(text_of(output).strip() for output in cell.outputs)
        if has_tag(cell, "nbval-check-output") and not texts:
            yield f"{at}: tagged nbval-check-output without a text output: nothing would be compared"


def outputs(book: Book) -> Iterator[str]:
    """Outputs: no error and no warning, nothing that differs between machines, made from CIFAR-10."""
    for at, cell in book.cells("code"):
        for output in cell.outputs:
            text, data = text_of(output), output.get("data", {})
            if output.output_type == "error":
                yield f"{at}: ended in {output.ename}"
            if output.get("name") == "stderr":
                yield f"{at}: wrote to stderr: {text.strip()[:60]!r}"
            if found := PATHS.search(text):
                yield f"{at}: the absolute path {found[0]}"
            if found := JUNK.search(text):
                yield f"{at}: a progress bar, a colour code or a memory address: {found[0]!r}"
            if any("widget" in kind for kind in data):
                yield f"{at}: a widget"
            synthetic = "SYNTHETIC" in text and not has_tag(cell, "shows-stand-in")
            if synthetic or data.get(progress.RESULT, {"data": "CIFAR-10"})["data"] != "CIFAR-10":
                yield f"{at}: made from the stand-in; execute again on CIFAR-10"


def parameters(book: Book) -> Iterator[str]:
    """The parameters cell, whose defaults are those of the preset quick, and the presets."""
    cells = book.cells("code", "parameters")
    if len(cells) != 1:
        yield f"{len(cells)} cells tagged parameters, not one"
        return
    at, cell = cells[0]
    try:
        declared = lessons.declared(cell.source)
    except ValueError as error:
        yield f"{at}: {error}"
        return
    for each in declared.values():
        if type(each.default) in (int, float) and not each.choices and math.inf in (each.high, -each.low):
            yield f"{at}: {each.name} has no min and max"
    if "DATASET" not in declared or declared["DATASET"].choices != lessons.DATASETS:
        yield f"{at}: no DATASET with the choices {', '.join(lessons.DATASETS)}"
    for preset, values in (book.lesson.presets if book.lesson else {}).items():
        for name, value in values.items():
            try:
                if declared[name].accept(value) != declared[name].default and preset == "quick":
                    yield f"{at}: {name} is {declared[name].default}, but {value} in the preset quick"
            except KeyError:
                yield f"course.toml: the preset {preset} sets {name}, which the parameters cell lacks"
            except LessonError as error:
                yield f"course.toml: preset {preset}: {error}"


def imports(book: Book) -> Iterator[str]:
    """Imports of what readers have, by names that are there."""
    for at, node in [(at, node) for at, cell in book.cells("code") for node in ast.walk(syntax(cell))]:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        for module in [node.module or "."] if isinstance(node, ast.ImportFrom) else names:
            if module.partition(".")[0] not in ALLOWED:
                yield f"{at}: imports {module}, which readers may not have"
            elif not is_there(module):
                yield f"{at}: imports {module}, which does not exist"
            elif isinstance(node, ast.ImportFrom):
                there = importlib.import_module(module)
                for name in names:
                    if not hasattr(there, name) and not is_there(f"{module}.{name}"):
                        yield f"{at}: {module} has no {name}"


def is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what it would lie in is no package
        return False


def layout(book: Book) -> Iterator[str]:
    """The title and the headings."""
    first = book.nb.cells[0]
    title = book.lesson.title if book.lesson else ""
    if first.cell_type != "markdown" or not first.source.startswith("# ") or title not in first.source.splitlines()[0]:
        yield f"cell 1: not a markdown cell that begins with the title, `# ... {title}`"
    text = "\n\n".join(cell.source for _, cell in book.cells("markdown"))
    headings = re.findall(r"^(#+) +(.*\S)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE)
    levels, texts = [len(marks) for marks, _ in headings], [text for _, text in headings]
    if levels.count(1) != 1:
        yield f"{levels.count(1)} headings of the first level, not one"
    for above, level, text in zip(levels, levels[1:], texts[1:], strict=False):
        if level > above + 1:
            yield f"the heading {text!r} skips a level"
    for section in SECTIONS:
        if section not in texts:
            yield f"no heading {section!r}"


def prose(book: Book) -> Iterator[str]:
    """Text: every number measured names its source and is that of the ledger, every image is described."""
    for at, cell in book.cells("markdown"):
        if found := PATHS.search(cell.source):
            yield f"{at}: the absolute path {found[0]}"
        if re.search(r'!\[\s*\]|<img\b(?![^>]*\balt="[^"]+")', cell.source):
            yield f"{at}: an image without alternative text"
        for block in re.split(r"\n\s*\n", cell.source):
            for match in RECORDED.finditer(block):
                try:
                    yield from (f"{at}: {problem}" for problem in differs(match, book.results))
                except (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError) as error:
                    yield f"{at}: {match[0]!r}: not in the ledger ({type(error).__name__}: {error})"
            rest = RECORDED.sub("", block)
            if re.search(r"<!--\s*ledger:", rest):
                yield f"{at}: a ledger comment without a number right before it"
            if (found := MEASURED.search(rest)) and not re.search(r"<!--\s*source:\s*\w", rest):
                yield f"{at}: the number in {rest[max(0, found.start() - 20) : found.end()]!r} names no source"


def differs(match: re.Match, results: Path) -> Iterator[str]:
    """Compare a number in prose with the value of the formula beside it, to the digits written."""
    value = evaluate(match["formula"], results) * (100 if re.search("%|point", match["unit"]) else 1)
    number = match["number"].replace(",", "").replace("\N{MINUS SIGN}", "-")
    digits = len(number.partition(".")[2])
    if abs(value - float(number)) > 0.5 * 10**-digits * (1 + 1e-9):
        yield f"{match['number']} in prose, but {match['formula']} is {value:.{digits}f}"


def evaluate(formula: str, results: Path) -> float:
    """The value of a formula of numbers, + - * / and brackets, `RECORD:path.in.json` and `mean(RECIPE:path.in.json)`.

    The mean is over the seeds that are recorded of a recipe.
    """

    def value(node: ast.expr) -> float:
        match node:
            case ast.BinOp() if type(node.op) in OPERATORS:
                return OPERATORS[type(node.op)](value(node.left), value(node.right))
            case ast.Constant(float() | int() as number):
                return number
            case ast.Constant(str() as address):
                return recorded(address, results)
            case ast.Call(ast.Name("mean"), [ast.Constant(str() as address)], []):
                recipe, _, path = address.partition(":")
                records = [file.stem for file in sorted(results.glob(f"{recipe}-seed*.json"))]
                return statistics.fmean(recorded(f"{record}:{path}", results) for record in records)
            case _:
                raise ValueError(f"expected numbers, RECORD:path, mean(RECIPE:path) and + - * /, not {formula!r}")

    quoted = re.sub(r"[\w-]+:[\w.-]+", lambda address: repr(address[0]), formula)
    return value(ast.parse(quoted, mode="eval").body)


def recorded(address: str, results: Path) -> float:
    """The number that `RECORD:path.in.json` addresses."""
    record, _, path = address.partition(":")
    node = json.loads((results / f"{record}.json").read_text(encoding="utf-8"))
    if node["data"]["name"] != "CIFAR-10":
        raise ValueError(f"{record} was recorded on {node['data']['name']}")
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, list) else node[key]
    return float(node)


def findings(path: Path) -> list[str]:
    """What every rule finds in a notebook, as "NAME: ..." lines."""
    book = Book(path)
    for at, cell in book.cells("code"):
        try:
            syntax(cell)
        except SyntaxError as error:
            return [f"{path.name}: {at}: {error.msg}"]
    rules = (whole, code, outputs, parameters, imports, layout, prose)
    return [f"{path.name}: {finding}" for rule in rules for finding in rule(book)]


def save(nb: NotebookNode, path: Path, stamped: bool) -> None:
    nb = normalise(nb)
    if stamped:
        nb.metadata.course = {"stamp": stamp_of(nb)}
    write_atomically(path, f"{nbformat.writes(nb)}\n".encode())


def execute(path: Path) -> None:
    """Run a lesson at its defaults and put its outputs in place; if a cell fails, LessonError and nothing changed."""
    with tempfile.TemporaryDirectory() as folder:
        done = Path(folder) / path.name
        runner.execute_notebook(path, done, {}, Path(folder))
        save(nbformat.read(done, as_version=4), path, stamped=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("execute", "normalise", "stamp", "check"))
    parser.add_argument("notebooks", nargs="*", type=Path)
    options = parser.parse_args()
    problems = []
    for path in options.notebooks or [lesson.path for lesson in lessons.load(lessons.NOTEBOOKS)]:
        if not path.is_file():
            parser.error(f"there is no notebook {path}")
        try:
            if options.command == "execute":
                execute(path)
            elif options.command in ("normalise", "stamp"):
                save(nbformat.read(path, as_version=4), path, stamped=options.command == "stamp")
            problems += findings(path) if options.command in ("execute", "check") else []
        except (OSError, ValueError, SyntaxError, IndexError) as error:  # no notebook, or none of a lesson's form
            problems.append(f"{path.name}: {error}")
    print("\n".join(problems) or f"{options.command}: done, nothing found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
