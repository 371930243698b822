"""The ledger: what is written comes back, and nothing gets in that must not."""

import json
import math
from pathlib import Path

import pytest
from records import make_run
from tiny import CPU, random_dataset, tiny_net, tiny_recipe

from course_utils.files import write_atomically
from course_utils.ledger import LedgerError, Run, load_results, results_table
from course_utils.training import fit

RESULTS = Path(__file__).parents[1] / "notebooks" / "results"


def test_a_run_comes_back_as_it_was(tmp_path):
    run = fit(tiny_net(), tiny_recipe(1), random_dataset(), machine=CPU)
    assert Run.load(run.save(tmp_path / "deep" / "run.json")) == run
    assert json.loads((tmp_path / "deep" / "run.json").read_text())["schema"] == "course-run/1"


def record(**changes) -> dict:
    return json.loads(json.dumps(make_run().__dict__)) | changes


BROKEN = {
    "nothing": "", "not JSON": "{", "a list": "[]", "another schema": record(schema="course-run/2"),
    "a field too many": record(extra=1), "a field too few": {k: v for k, v in record().items() if k != "seconds"},
    "a recipe that is text": record(recipe="vgg"), "a curve that is not a list": record(curve={}),
    "a row without a rate": record(curve=[{k: v for k, v in record()["curve"][0].items() if k != "rate"}]),
    "data without a name": record(data={"train": 1}), "finished without a curve": record(curve=[]),
    "a result without accuracy": record(result={"on": "test"}), "an accuracy of text": record(
        result=record()["result"] | {"accuracy": "91%"}),
    "an accuracy in percent": record(result=record()["result"] | {"accuracy": 91.0}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_not_a_record_is_refused(tmp_path, kind):
    path, content = tmp_path / "run.json", BROKEN[kind]
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(LedgerError, match="run.json: not a.*record the run again") as refusal:
        Run.load(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_record_is_a_ledger_error(tmp_path):
    with pytest.raises(LedgerError, match="no.json"):
        Run.load(tmp_path / "no.json")


def test_a_loss_that_is_not_a_number_is_not_written(tmp_path):
    path = make_run().save(tmp_path / "run.json")
    before = path.read_text()
    with pytest.raises(ValueError):
        make_run(loss=math.nan).save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_results_are_finished_runs_on_cifar_10(tmp_path):
    for name in ("b", "a"):
        make_run(name=name).save(tmp_path / f"{name}.json")
    assert [(stem, run.recipe["name"]) for stem, run in load_results(tmp_path).items()] == [("a", "a"), ("b", "b")]
    assert load_results(tmp_path / "empty") == {}


@pytest.mark.parametrize(("run", "word"), [(make_run(data="SYNTHETIC"), "SYNTHETIC"), (make_run(4, 2), "unfinished")])
def test_a_result_on_the_stand_in_or_unfinished_is_refused(tmp_path, run, word):
    make_run().save(tmp_path / "good.json")
    run.save(tmp_path / "bad.json")
    with pytest.raises(LedgerError, match=f"bad.*{word}"):
        load_results(tmp_path)


def test_the_results_of_the_course_load():
    for run in load_results(RESULTS).values():
        assert len(run.curve) == run.recipe["epochs"]
        assert run.result["on"] == "test"
        assert sum(map(sum, run.result["confusion"])) == run.data["test"] == 10_000


def test_the_table_of_results():
    lines = results_table([make_run(), make_run(data="SYNTHETIC", epochs=4, done=2)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| vgg | CIFAR-10 | 4 | 91.00% | test | 14.99 M | 2.0 min | A processor, 2 threads, bfloat16 |" in lines
    assert "SYNTHETIC" in lines[3]
    assert "unfinished" in lines[3]


def test_writing_replaces_a_file_whole(tmp_path):
    path = write_atomically(tmp_path / "a", b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(TypeError):
        write_atomically(path, "text")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
