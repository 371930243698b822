"""Records: what is written comes back, and nothing gets in that must not."""

import json
import math
from dataclasses import asdict

import pytest
from made_runs import make_run
from tiny import CPU, random_dataset, tiny_net, tiny_recipe

from course_utils.plumbing.files import write_atomically
from course_utils.records import RecordError, Run
from course_utils.training import fit


def test_a_run_comes_back_as_it_was(tmp_path):
    run = fit(tiny_net(), tiny_recipe(1), random_dataset(), machine=CPU)
    assert Run.load(run.save(tmp_path / "deep" / "run.json")) == run
    assert json.loads((tmp_path / "deep" / "run.json").read_text())["schema"] == "course-run/1"


def record(**changes) -> dict:
    return json.loads(json.dumps(asdict(make_run()))) | changes


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
def test_a_file_that_is_no_record_is_refused(tmp_path, kind):
    path, content = tmp_path / "run.json", BROKEN[kind]
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RecordError, match="run.json: not a.*record the run again") as refusal:
        Run.load(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_record_is_a_clear_error(tmp_path):
    with pytest.raises(RecordError, match="no.json"):
        Run.load(tmp_path / "no.json")


def test_a_loss_that_is_not_a_number_is_not_written(tmp_path):
    path = make_run().save(tmp_path / "run.json")
    before = path.read_text()
    with pytest.raises(ValueError):
        make_run(loss=math.nan).save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_writing_replaces_a_file_whole(tmp_path):
    path = write_atomically(tmp_path / "a", b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(TypeError):
        write_atomically(path, "text")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
