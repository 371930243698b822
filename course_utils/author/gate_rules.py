"""The rules for committed lessons, each a function of a `Book` that yields what it finds wrong."""

import ast
import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from course_utils.author import lessons, links
from course_utils.author.gate_book import Book, for_colab, normalise, stamp_of, syntax, text_of
from course_utils.author.lessons import LessonError, Parameter
from course_utils.show import progress

ALLOWED = sys.stdlib_module_names | {"torch", "torchvision", "numpy", "matplotlib", "IPython", "course_utils"}
SECTIONS = ("Exercises", "What we learned", "References")
MAX_BYTES, MAX_LINES = 1_500_000, 25
PATHS = re.compile(r"(?<![\w.~/-])(?:/(?:home|root|work|tmp|Users)/|[A-Z]:\\+Users)[^\s'\"]*")
JUNK = re.compile(r"\r|\x1b\[|\d%\||\bit/s\b|\b0x[0-9a-f]{6,}")
ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*) = ([^#=]+?) +#(@param [^=]+)")
NUMBER = r"(?P<number>(?:(?<![\w.])[-\N{MINUS SIGN}])?\d[\d,]*(?:\.\d+)?)"
RECORDED = re.compile(NUMBER + r"(?P<unit>[^\d<\n|]{0,20})<!--\s*ledger:(?P<terms>[^>]*?)-->")
MEASURED = re.compile(r"\d\.\d+\s*(?:\\?%|percent|points?\b)|\d\s*images(?:/s| per second)")

RULES: list[Callable[[Book], Iterator[str]]] = []


def rule(function: Callable[[Book], Iterator[str]]) -> Callable[[Book], Iterator[str]]:
    RULES.append(function)
    return function


@rule
def listed(book: Book) -> Iterator[str]:
    if book.lesson is None:
        yield "not listed in course.toml"


@rule
def executed(book: Book) -> Iterator[str]:
    for at, cell in book.cells("code"):
        if cell.execution_count is None and not for_colab(cell):
            yield f"{at}: not executed"
    for at, _, output in book.outputs:
        if output.output_type == "error":
            yield f"{at}: ended in {output.ename}"
        if output.get("name") == "stderr":
            yield f"{at}: wrote to stderr: {output.text.strip()[:60]!r}"


@rule
def normalised(book: Book) -> Iterator[str]:
    if normalise(book.nb) != book.nb:
        yield "not normalised: run `python -m course_utils.author.gate normalise`"


@rule
def fresh(book: Book) -> Iterator[str]:
    if book.nb.metadata.get("course", {}).get("stamp") != stamp_of(book.nb):
        yield "the code has changed since its outputs were made: run `python -m course_utils.author.gate execute`"


@rule
def small(book: Book) -> Iterator[str]:
    if book.bytes >= MAX_BYTES:
        yield f"{book.bytes / 1e6:.1f} MB, more than {MAX_BYTES / 1e6} MB: fewer or coarser figures"


@rule
def clean(book: Book) -> Iterator[str]:
    places = [(at, cell.source) for kind in ("code", "markdown") for at, cell in book.cells(kind)]
    for at, text in places + [(at, text_of(output)) for at, _, output in book.outputs]:
        if found := PATHS.search(text):
            yield f"{at}: the absolute path {found[0]}"
    for at, _, output in book.outputs:
        if found := JUNK.search(text_of(output)):
            yield f"{at}: a progress bar, a colour code or a memory address: {found[0]!r}"
        if any("widget" in kind for kind in output.get("data", {})):
            yield f"{at}: a widget"


@rule
def real(book: Book) -> Iterator[str]:
    for at, cell, output in book.outputs:
        reached = output.get("data", {}).get(progress.RESULT, {"data": "CIFAR-10"})
        on_purpose = "shows-stand-in" in cell.metadata.get("tags", [])
        if reached["data"] != "CIFAR-10" or "SYNTHETIC" in text_of(output) and not on_purpose:
            yield f"{at}: made from the stand-in; execute again on CIFAR-10"


@rule
def linked(book: Book) -> Iterator[str]:
    if book.lesson and links.link_lesson(book.nb, book.lesson.path.name, book.repository) != book.nb:
        yield "the badges, the cell for Colab or its metadata are not those of course.toml: run `course links`"


@rule
def parameters(book: Book) -> Iterator[str]:
    cells, declared = book.cells("code", "parameters"), {}
    if len(cells) != 1:
        yield f"{len(cells)} cells tagged parameters, not one"
        return
    at, cell = cells[0]
    for line in cell.source.splitlines():
        try:
            name, default, form = ASSIGNMENT.fullmatch(line).groups()
            declared[name] = Parameter.from_cell(name, default, form)
        except (AttributeError, ValueError, SyntaxError):
            yield f"{at}: {line!r} is not of the form `NAME = literal  #@param ...`"
    for each in declared.values():
        if type(each.default) in (int, float) and not each.choices and math.inf in (each.high, -each.low):
            yield f"{at}: {each.name} has no min and max"
        try:
            each.accept(each.default)
        except LessonError as error:
            yield f"{at}: {error}"
    if "DATASET" not in declared or declared["DATASET"].choices != lessons.DATASETS:
        yield f"{at}: no DATASET with the choices {', '.join(lessons.DATASETS)}"
    for preset, values in book.lesson.presets.items() if book.lesson else ():
        for name, value in values.items():
            if name not in declared:
                yield f"course.toml: the preset {preset} sets {name}, which the parameters cell lacks"
                continue
            try:
                if declared[name].accept(value) != declared[name].default and preset == "quick":
                    yield f"{at}: {name} is {declared[name].default}, but {value} in the preset quick"
            except LessonError as error:
                yield f"course.toml: preset {preset}: {error}"


@rule
def checked(book: Book) -> Iterator[str]:
    for at, cell in book.cells("code", "nbval-check-output"):
        if cell.execution_count is None or not any(text_of(output).strip() for output in cell.outputs):
            yield f"{at}: tagged nbval-check-output without a text output: nothing would be compared"


@rule
def short(book: Book) -> Iterator[str]:
    for at, cell in book.cells("code"):
        lines = sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.splitlines())
        if lines > MAX_LINES:
            yield f"{at}: {lines} lines of code, more than {MAX_LINES}"


@rule
def imports(book: Book) -> Iterator[str]:
    for at, cell in book.cells("code"):
        for node in ast.walk(syntax(cell)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            modules = [node.module or "."] if isinstance(node, ast.ImportFrom) else names
            for module in modules:
                if module.partition(".")[0] not in ALLOWED:
                    yield f"{at}: imports {module}, which readers may not have"
                elif importlib.util.find_spec(module) is None:
                    yield f"{at}: imports {module}, which does not exist"
                elif isinstance(node, ast.ImportFrom):
                    there = importlib.import_module(module)
                    for name in names:
                        if not hasattr(there, name) and importlib.util.find_spec(f"{module}.{name}") is None:
                            yield f"{at}: {module} has no {name}"


@rule
def layout(book: Book) -> Iterator[str]:
    first = book.nb.cells[0]
    title = book.lesson.title if book.lesson else ""
    if first.cell_type != "markdown" or not first.source.startswith("# ") or title not in first.source.splitlines()[0]:
        yield f"cell 1: not a markdown cell that begins with the title, `# ... {title}`"
    levels = [level for level, _ in book.headings]
    if levels.count(1) != 1:
        yield f"{levels.count(1)} headings of the first level, not one"
    for (above, _), (level, text) in zip(book.headings, book.headings[1:], strict=False):
        if level > above + 1:
            yield f"the heading {text!r} skips a level"
    for section in SECTIONS:
        if section not in [text for _, text in book.headings]:
            yield f"no heading {section!r}"


@rule
def described(book: Book) -> Iterator[str]:
    for at, cell in book.cells("markdown"):
        tags = re.findall(r"<img\b[^>]*>", cell.source)
        if re.search(r"!\[\s*\]", cell.source) or any(not re.search(r'\balt="[^"]+"', tag) for tag in tags):
            yield f"{at}: an image without alternative text"


@rule
def numbers(book: Book) -> Iterator[str]:
    for at, cell in book.cells("markdown"):
        for block in re.split(r"\n\s*\n", cell.source):
            for match in RECORDED.finditer(block):
                try:
                    yield from (f"{at}: {problem}" for problem in differs(match, book.results))
                except (OSError, LookupError, TypeError, ValueError) as error:
                    yield f"{at}: {match[0]!r}: not in the ledger ({type(error).__name__}: {error})"
            rest = RECORDED.sub("", block)
            if re.search(r"<!--\s*ledger:", rest):
                yield f"{at}: a ledger comment without a number right before it"
            if (found := MEASURED.search(rest)) and not re.search(r"<!--\s*source:\s*\w", rest):
                yield f"{at}: the number in {rest[max(0, found.start() - 20) : found.end()]!r} names no source"


def differs(match: re.Match, results: Path) -> Iterator[str]:
    """Compare a number in prose with the ledger's value, to the digits written."""
    first, *rest = re.split(r"\s+([-+/])\s+", match["terms"].strip())
    value = term(first, results)
    for sign, other in zip(rest[::2], rest[1::2], strict=True):
        operand = term(other, results)
        value = value / operand if sign == "/" else value + operand if sign == "+" else value - operand
    value *= 100 if re.search("%|point", match["unit"]) else 1
    number = match["number"].replace(",", "").replace("\N{MINUS SIGN}", "-")
    digits = len(number.partition(".")[2])
    if abs(value - float(number)) > 0.5 * 10**-digits * (1 + 1e-9):
        yield f"{match['number']} in prose, but {match['terms'].strip()} is {value:.{digits}f}"


def term(text: str, results: Path) -> float:
    """The number that `RECORD:path.in.json` addresses, or a plain number."""
    record, colon, path = text.partition(":")
    if not colon:
        return float(text)
    node = json.loads((results / f"{record}.json").read_text(encoding="utf-8"))
    if node["data"]["name"] != "CIFAR-10":
        raise ValueError(f"{record} was recorded on {node['data']['name']}")
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, list) else node[key]
    return float(node)
