"""Binder: the same versions as everywhere, a build that repo2docker understands, and sessions that open a lesson."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from packaging.specifiers import SpecifierSet
from test_packaging import PROJECT, ROOT, pins

from course_utils.author import lessons, links
from course_utils.author.runner import SPINNING

BINDER = ROOT / "binder"
SCRIPTS = pytest.mark.parametrize("script", ["postBuild", "start"])
ON_POSIX = pytest.mark.skipif(os.name == "nt", reason="runs shell scripts")


def test_binder_has_the_pins_of_the_course_with_the_cpus_wheels():
    theirs, ours = pins(BINDER / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert theirs == {name: f"{pin}+cpu" if name in ("torch", "torchvision") else pin for name, pin in ours.items()}
    text = (BINDER / "requirements.txt").read_text()
    assert "\n--extra-index-url https://download.pytorch.org/whl/cpu\n" in text
    assert not re.search(r"^(-r|-e|\.)", text, re.MULTILINE)  # repo2docker copies this file alone before it installs


def test_binders_python_can_run_the_course():
    version = re.fullmatch(r"python-(3\.\d+)\n", (BINDER / "runtime.txt").read_text())[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)


@ON_POSIX
@SCRIPTS
def test_a_script_is_executable_and_bash_can_read_it(script):
    assert os.access(BINDER / script, os.X_OK)
    assert (BINDER / script).read_text().startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(BINDER / script)], capture_output=True).returncode == 0


@ON_POSIX
@pytest.mark.parametrize("course_status", [0, 1])
def test_the_image_gets_the_course_and_its_data_or_says_that_it_has_none(tmp_path, course_status):
    called, stub = tmp_path / "called", '#!/bin/sh\necho "$(basename $0) $*" >> {called}\nexit {status}\n'
    for name, status in (("pip", 0), ("course", course_status)):
        (tmp_path / name).write_text(stub.format(called=called, status=status))
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(BINDER / "postBuild")], cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr  # without a network the image is built all the same
    assert called.read_text() == "pip install --no-cache-dir --no-deps -e .\ncourse data\n"
    assert ("SYNTHETIC" in done.stdout) == (course_status != 0)


@ON_POSIX
def test_an_image_without_the_course_is_not_built(tmp_path):
    (tmp_path / "pip").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pip").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert subprocess.run([str(BINDER / "postBuild")], cwd=ROOT, env=os.environ | {"PATH": path}).returncode == 1


@ON_POSIX
@pytest.mark.parametrize(("threads", "turns"), [(None, None), ("1", "7")])
def test_a_session_becomes_the_command_at_the_preset_quick(threads, turns):
    script = "import os; print(os.getpid(), *(os.environ[name] for name in NAMES))"
    script = script.replace("NAMES", "('COURSE_PRESET', 'OMP_NUM_THREADS', 'GOMP_SPINCOUNT')")
    environment = os.environ | {"COURSE_PRESET": "full", "OMP_NUM_THREADS": threads or "", SPINNING[0]: turns or ""}
    session = subprocess.Popen(
        [str(BINDER / "start"), sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    )
    expected = f"{session.pid} quick {threads or 2} {turns or SPINNING[1]}\n"  # the same process: signals reach it
    assert session.communicate()[0] == expected


def test_the_links_open_jupyterlab_on_a_lesson():
    lesson = lessons.load(lessons.NOTEBOOKS)[0]
    repository = links.load(lessons.NOTEBOOKS)
    address = re.search(r"\((https://mybinder\.org/v2/\S+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    assert urlsplit(address).path == f"/v2/gh/{repository.name}/{repository.ref}"
    assert parse_qs(urlsplit(address).query) == {"urlpath": [f"lab/tree/notebooks/{lesson.path.name}"]}
    assert (ROOT / "notebooks" / lesson.path.name).exists() and "jupyterlab" in pins(BINDER / "requirements.txt")
    assert address in repository.badges(f"notebooks/{lesson.path.name}")


@ON_POSIX
@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("repo2docker"), reason="needs jupyter-repo2docker")
def test_repo2docker_builds_with_our_scripts(tmp_path):
    clean = tmp_path / "course"
    (clean / "notebooks").mkdir(parents=True)
    shutil.copytree(BINDER, clean / "binder")
    for name in ("requirements.txt", "pyproject.toml", "README.md"):  # the first must lose against binder's
        shutil.copy(ROOT / name, clean)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-id=1000", "--user-name=reader"]
    done = subprocess.run([*command, str(clean)], capture_output=True, text=True, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    python = (BINDER / "runtime.txt").read_text().strip().replace("-", "=")
    assert f"Building conda environment for {python}" in said
    steps = [line.strip() for line in said.splitlines() if re.match(r"\s*(RUN|COPY|ENV|ENTRYPOINT) ", line)]
    order = [
        next(i for i, step in enumerate(steps) if wanted in step)
        for wanted in (
            'pip install --no-cache-dir -r "binder/requirements.txt"', "src/ ${REPO_DIR}/", "RUN ./binder/postBuild",
            'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"', "ENTRYPOINT",
        )
    ]
    assert order == sorted(order)
    assert sum("pip install" in step for step in steps) == 1
