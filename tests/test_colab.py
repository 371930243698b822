"""Colab, without Colab: the cell that fetches the course, what is already there, and forms as Colab reads them."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from email.message import Message
from pathlib import Path

import nbformat
import pytest
from packaging.specifiers import SpecifierSet
from test_packaging import PROJECT, ROOT, pins

from course_utils.author import lessons, links

HAS = pins(ROOT / "tests" / "colab_versions.txt")
COURSE = links.Repository("ada/course", "v1")
COMMITTED = lessons.load(lessons.NOTEBOOKS)
EVERY_LESSON = pytest.mark.parametrize("lesson", COMMITTED, ids=[lesson.name for lesson in COMMITTED])


def git(folder, *arguments):
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def colab(tmp_path):
    """A machine of Colab: `google.colab` is loaded before any cell, and GitHub has the course at v1 and later."""
    if not shutil.which("git"):
        pytest.skip("no git here")
    origin = tmp_path / "github" / "ada" / "course"
    (origin / "course_utils").mkdir(parents=True)
    git(origin, "init")
    for version in ("v1", "later"):
        (origin / "course_utils" / "__init__.py").write_text(f"VERSION = {version!r}\n")
        git(origin, "add", ".")
        git(origin, "commit", "-m", version)
        if version == "v1":
            git(origin, "tag", version)
    google = tmp_path / "site" / "google" / "colab"
    google.mkdir(parents=True)
    (google / "__init__.py").touch()
    (tmp_path / "content").mkdir()
    return tmp_path


def run_cells(machine, *cells, on_colab=True, github="github", options=()):
    """Run cells one after another in a fresh process, in Colab's working folder."""
    address = (machine / github).as_uri()
    environment = os.environ | {
        "PYTHONPATH": str(machine / "site"),
        "PYTHONSAFEPATH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{address}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }
    run = "import google.colab\n" * on_colab + f"for cell in {list(cells)!r}:\n    exec(cell, globals())"
    return subprocess.run(
        [sys.executable, *options, "-c", run], cwd=machine / "content", env=environment, capture_output=True, text=True
    )


SHOW = "import course_utils, os\nprint(course_utils.VERSION, os.path.basename(os.getcwd()))"


def test_on_colab_the_course_is_fetched_at_its_tag(colab):
    done = run_cells(colab, COURSE.fetch, SHOW)
    assert (done.stdout, done.stderr, done.returncode) == ("v1 course\n", "", 0)


def test_running_the_cell_again_is_harmless(colab):
    again = run_cells(colab, COURSE.fetch, COURSE.fetch, SHOW, COURSE.fetch, SHOW)
    assert (again.stdout, again.stderr) == ("v1 course\n" * 2, "")
    (colab / "content" / "course" / "kept").touch()
    restarted = run_cells(colab, COURSE.fetch, SHOW, github="gone")  # a new kernel begins where the first began
    assert (restarted.stdout, restarted.stderr) == ("v1 course\n", "")
    assert (colab / "content" / "course" / "kept").exists() and os.listdir(colab / "content") == ["course"]


def test_in_a_clone_the_cell_does_nothing_even_on_colab(colab):
    (colab / "content" / "course_utils").mkdir()
    done = run_cells(colab, COURSE.fetch, "print(sorted(os.listdir()), sys.path[0].endswith('content'))")
    assert (done.stdout, done.stderr) == ("['course_utils'] False\n", "")


def test_where_the_course_is_installed_the_cell_does_nothing(colab):
    look = "import os, sys\nbefore = os.getcwd(), list(sys.path)"
    done = run_cells(colab, look, COURSE.fetch, "print(before == (os.getcwd(), sys.path))", on_colab=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert os.listdir(colab / "content") == []


def test_where_the_course_is_missing_one_line_says_how_to_get_it(colab):
    bare = {"on_colab": False, "options": ["-S"]}  # without site-packages, where the course is installed
    missing = run_cells(colab, COURSE.fetch, SHOW, **bare)
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (1, "", 1)
    assert missing.stderr.startswith("course_utils is missing in this kernel: run `pip install -e .`")
    assert os.listdir(colab / "content") == []
    clone, folder = re.search("`!git (.+?)`, then `%cd (.+?)`", missing.stderr).groups()
    get = f"import os, subprocess, sys\nsubprocess.run({['git', *clone.split()]}, check=True, capture_output=True)"
    enter = f"os.chdir({folder!r})\nsys.path.insert(0, os.getcwd())"
    assert run_cells(colab, get, enter, COURSE.fetch, SHOW, **bare).stdout == "v1 course\n"


@pytest.mark.parametrize(
    ("name", "ref", "github"),
    [("ada/course", "v1", "gone"), ("ada/other", "v1", "github"), ("ada/course", "v9", "github")],
    ids=["no network", "no repository", "no tag"],
)
def test_a_failed_fetch_is_one_clear_line_and_can_be_repeated(colab, name, ref, github):
    repository = links.Repository(name, ref)
    failed = run_cells(colab, repository.fetch, SHOW, github=github)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert failed.stderr.startswith(f"{repository.address} was not fetched (") and "fatal: " in failed.stderr
    assert failed.stderr.endswith("): look whether it opens, then run this cell again\n")
    assert os.listdir(colab / "content") == []
    (colab / "github" / "ada" / "other").symlink_to("course")
    git(colab / "github" / "ada" / "course", "tag", "v9", "v1")
    repeated = run_cells(colab, repository.fetch, SHOW)
    assert (repeated.stdout, repeated.stderr) == (f"v1 {repository.folder}\n", "")


@pytest.fixture
def installed(tmp_path):
    """A function that makes a folder with pip, to which packages of the given versions seem to be installed there."""
    (tmp_path / "pip").symlink_to(Path(pytest.importorskip("pip").__file__).parent)

    def make(versions):
        for name, version in versions.items():
            about = Message()
            about["Metadata-Version"], about["Name"], about["Version"] = "2.1", name, version
            folder = tmp_path / f"{name}-{version}.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(about.as_string())
            (folder / "INSTALLER").write_text("pip\n")
            (folder / "RECORD").touch()
        return tmp_path

    return make


def would_install(folder, *requirements):
    """pip's answer to what it would install, where it has what is in a folder, no site-packages and no index."""
    command = [sys.executable, "-S", "-m", "pip", "--isolated", "--quiet", "install"]
    command += ["--dry-run", "--no-index", "--report", "-"]
    environment = os.environ | {"PYTHONPATH": str(folder), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run([*command, *requirements], env=environment, capture_output=True, text=True)


def test_pip_would_replace_nothing_that_colab_has(installed):
    done = would_install(installed(HAS), *PROJECT["dependencies"])
    assert done.returncode == 0, done.stderr
    assert re.search(r'"install": \[\]', done.stdout)
    assert {re.match(r"\w+", each)[0] for each in PROJECT["dependencies"]} <= HAS.keys()
    assert SpecifierSet(PROJECT["requires-python"]).contains(HAS["python"])


def test_pip_would_replace_a_torch_that_is_too_old(installed):
    refused = would_install(installed(HAS | {"torch": "2.10.0+cu128"}), *PROJECT["dependencies"])
    assert refused.returncode == 1 and "No matching distribution found for torch" in refused.stderr


def cells_of(lesson):
    return [cell for cell in nbformat.read(lesson.path, as_version=4).cells if cell.cell_type == "code"]


def sources():
    """The text of all code that readers run on Colab, by where it stands."""
    for path in sorted((ROOT / "course_utils").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for lesson in COMMITTED:
        for number, cell in enumerate(cells_of(lesson)):
            yield f"{lesson.path.name}, code cell {number}", cell.source
    yield "the cell for Colab", links.load(lessons.NOTEBOOKS).fetch


def test_no_code_imports_what_newer_pythons_have_dropped_from_the_standard_library():
    """The Pythons between ours and Colab's dropped what ours warns of when it is imported."""
    imported = set()
    for _, source in sources():
        with warnings.catch_warnings(action="error"):  # such as an invalid escape, an error one day
            tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    imported.discard("msvcrt")  # on Windows alone, where it is imported
    standard = [name for name in sorted(imported) if name.partition(".")[0] in sys.stdlib_module_names]
    assert {"ast", "pathlib", "tomllib"} <= set(standard)
    command = [sys.executable, "-S", "-W", "error::DeprecationWarning", "-c", f"import {', '.join(standard)}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_colabs_python_compiles_all_code():
    python = shutil.which("python3.13") or ""
    if not python or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip("no Python 3.13 here")
    compile_all = "import json, sys\nfor each in json.load(sys.stdin): compile(each[1], each[0], 'exec')"
    done = subprocess.run(
        [python, "-W", "error", "-c", compile_all], input=json.dumps(list(sources())), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@EVERY_LESSON
def test_forms_read_as_colab_reads_them(lesson):
    (cell,) = (cell for cell in cells_of(lesson) if "parameters" in cell.metadata.get("tags", []))
    for line in cell.source.splitlines():
        default, choices, options = re.fullmatch(r"\w+ = (\S+) +#@param *(\[.+\])? *(?:\{(.+)\})?", line).groups()
        default = json.loads(default.lower())
        options = {key: json.loads(value) for key, value in re.findall(r"(\w+): ?([^, ]+)", options or "")}
        if choices:
            assert default in json.loads(choices), line
            assert options == ({} if type(default) is str else {"type": "raw"}), line
        elif options == {"type": "boolean"}:
            assert type(default) is bool, line
        else:
            assert options.keys() == {"type", "min", "max", "step"} and options["type"] == "slider", line
            low, high, step = (options[key] for key in ("min", "max", "step"))
            steps = (default - low) / step  # between two, a touch would change what the lesson starts with
            assert low <= default <= high and abs(steps - round(steps)) < 1e-6, line
            assert (type(default) is int) == (type(low) is type(step) is int), line
