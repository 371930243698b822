"""Lesson 1 in JupyterLab, worked through in Chromium by mouse and keyboard, as a reader does."""

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest

from course_utils.author import lessons

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("jupyterlab")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium isn't installed")]
PATIENCE = 240  # seconds until a wait is given up, and the test fails


@pytest.fixture
def lesson(tmp_path):
    """A copy of lesson 1, in a folder that JupyterLab will serve."""
    original = next(each for each in lessons.load(lessons.NOTEBOOKS) if each.number == 1).path
    (tmp_path / "work").mkdir()
    return Path(shutil.copy(original, tmp_path / "work"))


@pytest.fixture
def lab(lesson, tmp_path):
    """The address of a JupyterLab that keeps its settings to itself and puts the whole notebook on the page."""
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    folders = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    folders |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    environment = os.environ | {name: str(tmp_path / folder) for name, folder in folders.items()}
    environment["PYTHONPATH"] = str(lessons.NOTEBOOKS.parent)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--IdentityProvider.token=t"]
    command += [f"--port={address.rpartition(':')[2]}", f"--ServerApp.root_dir={tmp_path / 'work'}"]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        while not answers(f"{address}/api?token=t"):
            assert server.poll() is None, (tmp_path / "log").read_text()
        yield f"{address}/lab/tree/{lesson.name}?token=t"
    finally:
        server.terminate()
        server.wait(PATIENCE)


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=PATIENCE).status == 200
    except OSError:
        return False


@pytest.fixture
def page():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


def choose(page, menu, command):
    """Open a menu and click what it offers."""
    page.click(f'.lm-MenuBar-itemLabel:text-is("{menu}")')
    page.click(f'.lm-Menu-item[data-command="{command}"]')


def at_smoke_on_the_stand_in(source):
    """The parameters with other values, as a reader would type them."""
    (lesson_1,) = (each for each in lessons.load(lessons.NOTEBOOKS) if each.number == 1)
    for name, value in {"DATASET": '"synthetic"', **lesson_1.preset("smoke")}.items():
        source, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", source)
        assert count == 1
    return source


def test_a_reader_changes_a_parameter_runs_lesson_1_and_sees_its_figures(lesson, lab, page):
    cells = nbformat.read(lesson, as_version=4).cells
    code = [number for number, cell in enumerate(cells) if cell.cell_type == "code"]
    (tagged,) = (number for number in code if "parameters" in cells[number].metadata.get("tags", []))
    changed = at_smoke_on_the_stand_in(cells[tagged].source)
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))

    page.goto(lab)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    shown = page.locator(".jp-Notebook .jp-Notebook-cell")
    sync_api.expect(shown).to_have_count(len(cells))
    choose(page, "Edit", "editmenu:clear-all")
    shown.nth(tagged).locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(changed)

    shown.first.click()
    seen = 0
    for number in range(len(cells)):  # cell by cell, until the first figure is there
        choose(page, "Run", "runmenu:run")
        if number in code:
            seen += 1
            sync_api.expect(prompt(shown, number)).to_have_text(f"[{seen}]:", timeout=1000 * PATIENCE)
            if any("image/png" in output.get("data", {}) for output in cells[number].outputs):
                break
    figure = shown.nth(number).locator("img")
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500

    choose(page, "Run", "runmenu:run-all")
    sync_api.expect(prompt(shown, code[-1])).to_have_text(f"[{seen + len(code)}]:", timeout=1000 * PATIENCE)
    with page.expect_response(lambda response: response.request.method == "PUT" and lesson.name in response.url):
        choose(page, "File", "docmanager:save")

    done = nbformat.read(lesson, as_version=4).cells
    outputs = [output for cell in done for output in cell.get("outputs", [])]
    figures = [output.data["text/plain"] for output in outputs if "image/png" in output.get("data", {})]
    assert done[tagged].source == changed
    assert [done[number].execution_count for number in code] == list(range(seen + 1, seen + len(code) + 1))
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    assert len(figures) > 5 and "SYNTHETIC" in figures[0]
    assert said == []


def prompt(shown, number):
    """What stands at the left of a code cell: [*]: while it runs, then its count."""
    return shown.nth(number).locator(".jp-InputPrompt")
