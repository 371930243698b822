"""The notebook gate: a lesson that keeps every rule passes, every broken one is caught, and the committed ones pass."""

import json

import nbformat
import pytest
import toys
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from course_utils.author import gate, lessons, links
from course_utils.author.gate import normalise, stamp_of
from course_utils.show import ledger, progress

REPOSITORY = links.Repository("ada/course", "v1")

RECORD = {
    "data": {"name": "CIFAR-10"},
    "model": {"parameters": 14_990_922},
    "result": {"accuracy": 0.89123},
    "curve": [{"loss": 2.3}, {"loss": 0.5}],
    "seconds": {"training": 600.0},
}
PROSE = """\
The net of 14,990,922<!--ledger: vgg:model.parameters--> parameters (15.0 M<!--ledger: vgg:model.parameters / 1e6-->)
reached **89.12%**<!--ledger: vgg:result.accuracy-->, which is
1.12 points<!--ledger: vgg:result.accuracy - plain:result.accuracy--> more,
in 10 minutes<!--ledger: vgg:seconds.training / 60-->, with a last loss of 0.50<!-- ledger:vgg:curve.-1.loss -->.

| net | published |
|---|---|
| VGG | 92.45% <!--source: Zagoruyko 2015--> |"""


@pytest.fixture
def folder(tmp_path):
    """A course with one lesson, `00_toy.ipynb`, that keeps every rule, and two recorded runs."""
    text = new_output("stream", text="14,990,922 parameters\n")
    nb = toys.notebook("import numpy\nfrom course_utils import data", "print(1)")
    nb.cells.insert(4, new_markdown_cell(PROSE + "\n\n![A ladder](ladder.png)"))
    for count, cell in enumerate((cell for cell in nb.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
    nb.cells[3].outputs, nb.cells[3].metadata.tags = [text], ["nbval-check-output"]
    toys.write_course(tmp_path, lesson_00_toy=nb)
    course = tmp_path / "course.toml"
    repository = f'[repository]\naddress = "{REPOSITORY.address}"\nref = "{REPOSITORY.ref}"\n'
    course.write_text(repository + course.read_text())
    (tmp_path / "results").mkdir()
    records = {"vgg": RECORD, "plain": RECORD | {"result": {"accuracy": 0.88}}}
    records["fake"] = RECORD | {"data": {"name": "SYNTHETIC"}}
    for name, record in records.items():
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(record))
    nb = links.link_lesson(nb, "00_toy.ipynb", REPOSITORY)
    gate.save(nb, tmp_path / "00_toy.ipynb", stamped=True)
    return tmp_path


def found(folder, change=None):
    """What the gate finds in the toy lesson after a change to it."""
    path = folder / "00_toy.ipynb"
    nb = nbformat.read(path, as_version=4)
    if change:
        change(nb)
        nbformat.write(nb, path)
    return gate.findings(path)


def test_a_lesson_that_keeps_every_rule_passes(folder):
    assert found(folder) == []


def edit(number, old, new):
    """A change: one text for another in the source of the cell `number`, counted from 1."""

    def change(nb):
        source = nb.cells[number - 1].source
        assert old in source
        nb.cells[number - 1].source = source.replace(old, new, 1)

    return change


def put(number, **output):
    """A change: an output for the cell `number`: a display of `data`, or a stream."""
    kind = "display_data" if "data" in output else "stream"
    return lambda nb: nb.cells[number - 1].outputs.append(new_output(kind, **output))


def error(nb):
    nb.cells[3].outputs = [new_output("error", ename="ValueError", evalue="no", traceback=[])]


def clear(*numbers):
    def change(nb):
        for number in numbers:
            nb.cells[number - 1].update(execution_count=None, outputs=[])

    return change


def append(cell):
    return lambda nb: nb.cells.append(cell)


def tag(number, *tags):
    return lambda nb: nb.cells[number - 1].metadata.update(tags=list(tags))


REACHED = {progress.RESULT: {"accuracy": 0.5, "on": "test", "data": "SYNTHETIC"}}
LONG = "\n".join(f"x{i} = {i}" for i in range(26))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (clear(4), "cell 4: not executed"),
        (error, "cell 4: ended in ValueError"),
        (put(4, name="stderr", text="careful"), "cell 4: wrote to stderr: 'careful'"),
        (lambda nb: nb.metadata.update(papermill={"duration": 1.5}), "not normalised"),
        (lambda nb: nb.metadata.update(widgets={}), "not normalised"),
        (lambda nb: nb.cells[3].metadata.update(execution={"iopub.execute_input": "now"}), "not normalised"),
        (lambda nb: nb.cells[3].update(id="other"), "not normalised"),
        (lambda nb: nb.cells[3].update(execution_count=7), "not normalised"),
        (edit(4, "import numpy", "import numpy, math"), "the code has changed since"),
        (lambda nb: nb.metadata.course.clear(), "the code has changed since"),
        (put(4, name="stdout", text="x" * 1_500_000), "1.5 MB, more than 1.5 MB"),
        (put(4, name="stdout", text="saved /home/ada/run.json"), "cell 4: the absolute path /home/ada/run.json"),
        (edit(4, "import numpy", "path = '/tmp/x'"), "cell 4: the absolute path /tmp/x"),
        (edit(6, "The net", r"C:\Users\ada"), "cell 6: the absolute path"),
        (put(4, name="stdout", text=" 40%|####      | 4/10"), "cell 4: a progress bar"),
        (put(4, name="stdout", text="one\rtwo"), "cell 4: a progress bar"),
        (put(4, name="stdout", text="\x1b[31mred"), "cell 4: a progress bar, a colour code"),
        (put(4, data={"text/plain": "<object at 0x7f3bc0de>"}), "a memory address: '0x7f3bc0de'"),
        (put(4, data={"application/vnd.jupyter.widget-view+json": {}}), "cell 4: a widget"),
        (put(4, name="stdout", text="SYNTHETIC"), "cell 4: made from the stand-in"),
        (put(4, data=REACHED), "cell 4: made from the stand-in"),
        (tag(3), "0 cells tagged parameters, not one"),
        (tag(4, "parameters"), "2 cells tagged parameters, not one"),
        (edit(3, "EPOCHS = 2", "EPOCHS = 1 + 1"), "is not of the form `NAME = literal"),
        (edit(3, "EPOCHS = 2  #@param", "EPOCHS = 2  #"), "is not of the form `NAME = literal"),
        (edit(3, "EPOCHS = 2", "epochs = 2"), "is not of the form `NAME = literal"),
        (edit(3, "EPOCHS = 2", "EPOCHS = 11"), "EPOCHS must be a whole number from 1 to 10, not 11"),
        (edit(3, "EPOCHS = 2", "EPOCHS = 3"), "EPOCHS is 3, but 2 in the preset quick"),
        (edit(3, "EPOCHS", "ROUNDS"), "the preset smoke sets EPOCHS, which the parameters cell lacks"),
        (edit(3, "max:10", "step:10"), "EPOCHS has no min and max"),
        (edit(3, "max:10", "max:9"), "preset full: EPOCHS must be a whole number from 1 to 9, not 10"),
        (edit(3, ', "synthetic"', ""), "no DATASET with the choices auto, cifar10, synthetic"),
        (clear(5), "cell 5: tagged nbval-check-output without a text output"),
        (lambda nb: nb.cells[4].update(execution_count=None), "cell 5: tagged nbval-check-output without"),
        (lambda nb: nb.cells[4].update(outputs=[]), "cell 5: tagged nbval-check-output without"),
        (append(new_code_cell(LONG)), "cell 10: 26 lines of code, more than 25"),
        (edit(4, "import numpy", "import pandas"), "cell 4: imports pandas, which readers may not have"),
        (edit(4, "import numpy", "import numpy.nowhere"), "cell 4: imports numpy.nowhere, which does not exist"),
        (edit(4, "import numpy", "import numpy.a.b"), "cell 4: imports numpy.a.b, which does not exist"),
        (append(new_code_cell("x = (")), "cell 10: '(' was never closed"),
        (edit(4, "import data", "import nothing"), "cell 4: course_utils has no nothing"),
        (edit(4, "import data", "import *"), "cell 4: course_utils has no *"),
        (edit(1, "ada/course/v1", "ada/course/v2"), "not those of course.toml: run `course links`"),
        (edit(2, "ada/course", "bob/course"), "not those of course.toml"),
        (tag(2), "not those of course.toml"),
        (lambda nb: nb.cells.insert(0, nb.cells.pop(1)), "not those of course.toml"),
        (lambda nb: append(new_code_cell("1", metadata=nb.cells[1].metadata))(nb), "not those of course.toml"),
        (lambda nb: nb.cells.pop(1), "not those of course.toml"),
        (lambda nb: nb.metadata.update(accelerator="TPU"), "not those of course.toml"),
        (lambda nb: nb.metadata.pop("colab"), "not those of course.toml"),
        (lambda nb: nb.cells[1].update(execution_count=1), "not normalised"),
        (edit(1, "# 0. Toy", "# 0. Other"), "cell 1: not a markdown cell that begins with the title"),
        (lambda nb: nb.cells.insert(0, new_code_cell("1")), "cell 1: not a markdown cell that begins with the title"),
        (append(new_markdown_cell("# Again")), "2 headings of the first level, not one"),
        (append(new_markdown_cell("#### Deep")), "the heading 'Deep' skips a level"),
        (edit(7, "Exercises", "Drills"), "no heading 'Exercises'"),
        (edit(6, "![A ladder]", "![]"), "cell 6: an image without alternative text"),
        (edit(6, "![A ladder]", '<img src="x.png">'), "cell 6: an image without alternative text"),
        (edit(6, "89.12%", "89.13%"), "89.13 in prose, but vgg:result.accuracy is 89.12"),
        (edit(6, "1.12 points", "-1.12 points"), "-1.12 in prose, but vgg:result.accuracy - plain:"),
        (edit(6, "14,990,922", "14,990,923"), "14,990,923 in prose"),
        (edit(6, "10 minutes", "ten minutes"), "a ledger comment without a number right before it"),
        (edit(6, "vgg:result.acc", "nin:result.acc"), "not in the ledger (FileNotFoundError"),
        (edit(6, "vgg:result.acc", "vgg:result.ac"), "not in the ledger (KeyError"),
        (edit(6, "vgg:result.acc", "fake:result.acc"), "fake was recorded on SYNTHETIC"),
        (edit(6, "model.parameters / 1e6", "model.parameters / 0"), "not in the ledger (ZeroDivisionError"),
        (edit(6, "model.parameters / 1e6", "model.parameters / ("), "not in the ledger (SyntaxError"),
        (edit(6, "model.parameters / 1e6", "model.parameters / len('x')"), "not in the ledger (ValueError"),
        (edit(6, "<!--ledger: vgg:result.accuracy-->", ""), "names no source"),
        (edit(6, " <!--source: Zagoruyko 2015-->", ""), "names no source"),
        (edit(6, "The net", "At 850 images/s the net"), "names no source"),
    ],
)
def test_a_broken_lesson_is_caught(folder, change, finding):
    findings = found(folder, change)
    assert any(finding in each for each in findings), findings


def test_a_lesson_that_course_toml_does_not_list_is_caught(folder):
    (folder / "00_toy.ipynb").rename(folder / "01_other.ipynb")
    assert gate.findings(folder / "01_other.ipynb") == ["01_other.ipynb: not listed in course.toml"]


def test_the_stand_in_may_be_shown_on_purpose(folder):
    def change(nb):
        put(4, name="stdout", text="SYNTHETIC")(nb)
        tag(4, "shows-stand-in")(nb)

    assert found(folder, change) == []


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1 + 2 + 3 / 2", 4.5),
        ("(1 + 2 + 3) / 2", 3),
        ("vgg:seconds.training - 2 * vgg:seconds.training / 1e2", 588),
        ("mean(run:result.accuracy) * 100", 92),
        ("mean(run-7-epochs:result.accuracy)", 0.5),
        ("vgg:curve.-1.loss", 0.5),
    ],
)
def test_a_formula_is_read_as_arithmetic_and_a_mean_is_over_a_recipes_seeds(folder, formula, value):
    for name, accuracy in {"run-seed0": 0.9, "run-seed1": 0.94, "run-7-epochs-seed0": 0.5}.items():
        record = RECORD | {"result": {"accuracy": accuracy}}
        (folder / "results" / f"{name}.json").write_text(json.dumps(record))
    assert gate.evaluate(formula, folder / "results") == pytest.approx(value)


def test_a_mean_over_no_recorded_seed_is_refused(folder):
    with pytest.raises(ValueError):
        gate.evaluate("mean(vgg:result.accuracy)", folder / "results")


def test_comments_and_layout_leave_the_stamp_fresh(folder):
    nb = nbformat.read(folder / "00_toy.ipynb", as_version=4)
    before = stamp_of(nb)
    edit(4, "import numpy\n", "import   numpy  # a comment\n\n")(nb)
    assert stamp_of(nb) == before
    edit(4, "import data", "import records")(nb)
    assert stamp_of(nb) != before


def test_normalising_twice_changes_nothing_and_ids_differ(folder):
    nb = nbformat.read(folder / "00_toy.ipynb", as_version=4)
    nb.cells += [new_code_cell("again()"), new_code_cell("again()")]
    once = normalise(nb)
    assert normalise(once) == once
    assert len({cell.id for cell in once.cells}) == len(once.cells)


def test_a_lesson_is_executed_in_place_and_passes(folder):
    path = folder / "00_toy.ipynb"
    found(folder, edit(5, "print(1)", "print(EPOCHS)\n1 + 1"))
    gate.execute(path)
    outputs = nbformat.read(path, as_version=4).cells[4].outputs
    assert [output.get("text") or output.data["text/plain"] for output in outputs] == ["2\n", "2"]
    assert gate.findings(path) == []


def test_a_lesson_that_fails_is_left_as_it_was(folder):
    path = folder / "00_toy.ipynb"
    found(folder, edit(5, "print(1)", "1 / 0"))
    before = path.read_bytes()
    with pytest.raises(lessons.LessonError, match=r"cell \[4\] '1 / 0': ZeroDivisionError"):
        gate.execute(path)
    assert path.read_bytes() == before


COMMITTED = sorted(lessons.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])
def test_a_committed_lesson_keeps_every_rule(path):
    assert gate.findings(path) == []


@pytest.mark.skipif(not COMMITTED, reason="no lessons yet")
def test_course_toml_lists_the_committed_lessons_and_no_others():
    assert [lesson.path for lesson in lessons.load(lessons.NOTEBOOKS)] == COMMITTED


def test_recorded_runs_are_finished_and_come_from_cifar10():
    ledger.load_results(lessons.NOTEBOOKS / "results")  # refuses any other
