"""The rooms of the package: what the lessons build is short, and no room imports from one above it."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import course_utils

PACKAGE = Path(course_utils.__file__).parent
MAY_IMPORT = {  # room: the rooms that it may import from; "core" is what the lessons build
    "plumbing": {"plumbing"},
    "core": {"core", "plumbing"},
    "show": {"show", "core", "plumbing"},
    "author": {"author", "show", "core", "plumbing"},
}
LINES = 2_000  # of "core", to be read in an evening


def name_of(path: Path) -> str:
    """A module's name as it is imported: `course_utils.models` for that package's `__init__.py`."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    if module == "course_utils.__main__":
        return "author"
    first = module.split(".")[1] if "." in module else ""
    return first if first in MAY_IMPORT else "core"


def imports(tree: ast.AST, inside_functions: bool = True) -> Iterator[str]:
    """The modules of the package that a module imports."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
        module = node.module if isinstance(node, ast.ImportFrom) else ""
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        full = [f"{module}.{name}" if module else name for name in names]
        yield from (name if name in MODULES else module for name in full if name.startswith("course_utils"))
        yield from imports(node, inside_functions)


def test_imports_are_found_wherever_they_stand():
    source = "import course_utils.data\nclass A:\n  from course_utils import recipe\n  def f(self):\n    if 1:\n"
    tree = ast.parse(f"import torch\n{source}      from course_utils.show.plots import mosaic\n")
    at_import = ["course_utils.data", "course_utils.recipe"]
    assert list(imports(tree)) == [*at_import, "course_utils.show.plots"]
    assert list(imports(tree, inside_functions=False)) == at_import


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_itself_and_those_below(module):
    imported = imports(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    assert [name for name in imported if room_of(name) not in MAY_IMPORT[room_of(module)]] == []


def loaded_by(module: str) -> set[str]:
    """What importing a module imports first: the modules that it names and the packages that these lie in."""
    found = set()
    for name in imports(ast.parse(MODULES[module].read_text(encoding="utf-8")), inside_functions=False):
        while name:
            found.add(name)
            name = name.rpartition(".")[0]
    return {name for name in found if not f"{module}.".startswith(f"{name}.")}


def test_no_modules_import_each_other_in_a_circle():
    graphlib.TopologicalSorter({module: loaded_by(module) for module in MODULES}).prepare()  # CycleError names them


def test_what_the_lessons_build_is_read_in_an_evening():
    """Lines that say something: blank ones don't count."""
    paths = [path for name, path in MODULES.items() if room_of(name) == "core"]
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) < LINES
