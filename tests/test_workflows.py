"""What GitHub runs: workflows and the codespace name files that are there, and a Python that may run the course."""

import json
import re

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from test_packaging import PROJECT, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EVERY_WORKFLOW = pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])


@EVERY_WORKFLOW
def test_a_workflow_names_files_that_are_there_and_a_python_that_may_run_the_course(path):
    steps = [step for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values() for step in job["steps"]]
    texts = [step.get("run", "") + step.get("with", {}).get("cache-dependency-path", "") for step in steps]
    named = re.findall(r"tests/\w+\.py|\.ci/\w+|[\w/]*requirements\.txt|\w+\.toml", " ".join(texts))
    assert named and all((ROOT / name).exists() for name in named)
    for version in (step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")):
        assert SpecifierSet(PROJECT["requires-python"]).contains(version)


def test_a_codespace_is_made_as_binder_s_image_is_and_opens_the_first_lesson():
    space = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    python = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    assert space["image"].endswith(f"/python:{python}")
    opened = space["customizations"]["codespaces"]["openFiles"]
    named = [*re.findall(r"binder/[\w.]+", space["postCreateCommand"]), *opened]
    assert len(named) == 3 and all((ROOT / name).exists() for name in named)
