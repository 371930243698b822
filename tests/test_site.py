"""The web site, built once as `course site` builds it: complete, described, without any other host."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin

import nbformat
import pytest
import toys
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.author import cli, lessons, links
from course_utils.author.cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="Chromium isn't installed")
LESSONS = lessons.load(lessons.NOTEBOOKS)
EVERY_LESSON = pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.name for lesson in LESSONS])
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """The tags of a page with their attributes, in order."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, wanted):
        return [attributes for tag, attributes in self.tags if tag == wanted]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    try:
        lessons.require(cli.SITE_TOOLS, "pip install them")
    except lessons.LessonError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("site")
    assert main(["site", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def pages(built):
    found = [path for path in built.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(built).as_posix(): Page(path.read_text()) for path in found}


def article(page):
    """The images of a page's text, without the theme's."""
    return [image for image in page.all("img") if "_images/" in image["src"]]


def launched(page):
    """Where a page's launch buttons lead."""
    return {link["href"] for link in page.all("a") if "dropdown-item" in link.get("class", "")}


@EVERY_LESSON
def test_a_lesson_has_a_page_with_all_of_its_figures_described(pages, lesson):
    cells = nbformat.read(lesson.path, as_version=4).cells
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    described = [data["text/plain"] for data in shown if "image/png" in data]
    assert all(described)
    assert [image["alt"] for image in article(pages[f"{lesson.name}.html"])] == described
    assert f"{lesson.name}.html" in {link.get("href") for link in pages["index.html"].all("a")}


def test_the_ladder_is_on_the_front_page(pages):
    (ladder,) = article(pages["index.html"])
    assert ladder["src"] == "_images/00.png" and "two seconds" in ladder["alt"]


def test_of_the_exercises_only_the_releases_and_the_notes_for_teachers_are_published(built):
    shown = {path.parts[path.parts.index("exercises") + 1] for path in built.rglob("exercises/*")}
    assert {name.partition(".")[0] for name in shown} == {"release", "TEACHING"}


def opens(lesson):
    """The addresses at which Colab and Binder open a lesson."""
    name, ref = links.load(lessons.NOTEBOOKS).name, links.load(lessons.NOTEBOOKS).ref
    path = f"notebooks/{lesson.name}.ipynb"
    return {
        f"https://colab.research.google.com/github/{name}/blob/{ref}/{path}",
        f"https://mybinder.org/v2/gh/{name}/{ref}?urlpath=lab/tree/{path}",
    }


@EVERY_LESSON
def test_a_lessons_launch_buttons_open_that_very_notebook(pages, lesson):
    assert opens(lesson) <= launched(pages[f"{lesson.name}.html"])


def test_the_front_page_opens_the_first_lesson(pages):
    assert opens(LESSONS[0]) <= {link.get("href") for link in pages["index.html"].all("a")}


def test_nothing_is_loaded_from_another_host(built, pages):
    loaded = {tag[LOADED[kind]] for page in pages.values() for kind, tag in page.tags if tag.get(LOADED.get(kind))}
    assert len(loaded) > 20
    assert {each for each in loaded if re.match(r"(\w+:)?//", each)} == set()
    styles = [path.read_text() for path in built.rglob("*.css")]
    assert [found for style in styles for found in re.findall(r"(?:url\(|@import)\W*(?:\w+:)?//[^)\s]*", style)] == []


def test_every_link_within_the_site_leads_somewhere(built, pages):
    ids = {name: {tag["id"] for _, tag in page.tags if tag.get("id")} for name, page in pages.items()}
    found, broken = 0, []
    for name, page in pages.items():
        for _, tag in page.tags:
            target, anchor = urldefrag(urljoin(name, tag.get("href") or tag.get("src") or "#"))
            if re.match(r"\w+:|//", target):
                continue
            found += 1
            target = unquote(target.partition("?")[0])
            if not (built / target).exists() or anchor and target in ids and unquote(anchor) not in ids[target]:
                broken.append(f"{name}: {target}#{anchor}")
    assert found > 1000 and broken == []


@pytest.mark.slow
@IN_CHROMIUM
def test_in_a_browser_pages_load_formulas_show_and_search_finds(built, pages, address, tmp_path):
    for name in sorted(pages.keys() - {"genindex.html"}):
        shown, said = browse(address + name + "?q=whitening" * (name == "search.html"), tmp_path)
        assert said == [], name
        formula = r"""\$[^$"]+\$""" if name.startswith("slides/") else 'class="math '
        assert shown.count("<mjx-container") == len(re.findall(formula, (built / name).read_text())), name
        assert "<mjx-merror" not in shown
        assert name != "search.html" or "08_davidnet.html" in shown.partition('id="search-results"')[2]


@pytest.mark.slow
@IN_CHROMIUM
def test_on_a_phone_no_page_is_wider_than_the_screen(pages, address):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(300_000)  # ms: a busy machine takes long to start
        for name in sorted(pages):
            page.goto(address + name)
            assert page.evaluate("document.documentElement.scrollWidth") == 390, name
        browser.close()


@pytest.fixture(scope="module")
def address(built):
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=built)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def browse(address, folder):
    """A page's document once its scripts have run, and what they complained of; no other host can be reached."""
    rules = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    command = [CHROMIUM, "--headless", "--disable-gpu", f"--user-data-dir={folder}", f"--host-resolver-rules={rules}"]
    command += ["--no-sandbox"] * (hasattr(os, "geteuid") and os.geteuid() == 0)
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=30000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    said = re.findall(r":CONSOLE[:(]\d+\)?\] (.*)", done.stderr)
    return done.stdout, [line for line in said if "[PST]: " not in line]  # the theme logs what it does


@pytest.fixture
def toy(built, tmp_path, monkeypatch):
    """A course of one lesson with exercises, with the real conf.py; the value is its folder."""
    sources = new_markdown_cell("# Toy lesson"), new_code_cell("learn"), new_markdown_cell("## Exercises\n\n1. Think.")
    lesson = new_notebook(cells=list(sources), metadata=PYTHON)
    lesson = links.link_lesson(lesson, "00_toy.ipynb", links.Repository("a/b", "v1"))
    folder = toys.write_course(tmp_path / "notebooks", lesson_00_toy=lesson)
    (folder / "course.toml").write_text(
        'reference = "a toy"\n[repository]\naddress = "https://github.com/a/b"\nref = "v1"\n'
        + (folder / "course.toml").read_text()
    )
    shutil.copy(lessons.NOTEBOOKS / "conf.py", folder)
    shutil.copytree(lessons.NOTEBOOKS / "_static", folder / "_static")
    task = new_notebook(cells=[new_markdown_cell("# Toy exercises")], metadata=PYTHON)
    for kind in ("source", "release"):
        (folder / "exercises" / kind / "00_toy").mkdir(parents=True)
        nbformat.write(task, folder / "exercises" / kind / "00_toy" / "00_toy.ipynb")
    (folder / "exercises" / "TEACHING.md").write_text(
        "# For teachers\n\n[Do](release/00_toy/00_toy.ipynb), [solved](source/00_toy/00_toy.ipynb), [all](source), "
        "[presets](../course.toml), [lesson](../00_toy.ipynb)"
    )
    (folder / "index.md").write_text("# Toys\n\n:::{toctree}\n00_toy\n:::\n\n{{ exercises }}\n")
    monkeypatch.setattr(lessons, "NOTEBOOKS", folder)
    return folder


def test_links_to_what_the_site_lacks_lead_to_the_repository(toy, tmp_path):
    assert main(["site", "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "00_toy.html").read_text()
    assert "learn" in page and "On Colab, fetch" not in page and "badge" not in " ".join(re.findall("<img[^>]*>", page))
    colab = "https://colab.research.google.com/github/a/b/blob/v1/notebooks/00_toy.ipynb"
    assert re.search(rf'href="{colab}"[^>]*>Open in Colab</a>', page)
    page = (tmp_path / "out" / "exercises" / "TEACHING.html").read_text()
    for place in (
        "blob/v1/notebooks/exercises/source/00_toy/00_toy.ipynb",
        "tree/v1/notebooks/exercises/source",
        "blob/v1/notebooks/course.toml",
    ):
        assert f'href="https://github.com/a/b/{place}"' in page
    assert 'href="release/00_toy/00_toy.html"' in page and 'href="../00_toy.html"' in page


def test_exercises_have_a_page_which_their_lesson_names(toy, tmp_path):
    assert main(["site", "--out", str(tmp_path / "out")]) == 0
    task = "exercises/release/00_toy/00_toy"
    assert f'href="{task}.html"' in (tmp_path / "out" / "00_toy.html").read_text().partition("Exercises<a")[2]
    binder = f"https://mybinder.org/v2/gh/a/b/v1?urlpath=lab/tree/notebooks/{task}.ipynb"
    colab = f"https://colab.research.google.com/github/a/b/blob/v1/notebooks/{task}.ipynb"
    assert {binder, colab} <= set(launched(Page((tmp_path / "out" / f"{task}.html").read_text())))


def test_what_course_toml_does_not_list_stays_out_of_the_site(toy, tmp_path, capfd):
    for place in ("Untitled.ipynb", "exercises/release/Untitled.ipynb", "exercises/release/00_toy/Untitled.ipynb"):
        nbformat.write(new_notebook(cells=[new_markdown_cell("no title")]), toy / place)
    (toy / "notes.md").write_text("mine")
    assert main(["site", "--out", str(tmp_path / "out")]) == 0, capfd.readouterr().err
    assert not [path for path in (tmp_path / "out").rglob("*.html") if path.stem in ("Untitled", "notes")]


def test_without_the_lessons_it_says_so_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path / "gone")
    assert main(["site", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    where = f"no course.toml in {tmp_path / 'gone'}: install from a clone of the course"
    assert (said.out, said.err) == ("", f"course: {where}\n") and not (tmp_path / "out").exists()


def test_a_warning_fails_the_build_and_the_earlier_site_stays(toy, tmp_path, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("before")
    (toy / "index.md").write_text("# Toys\n\n[nowhere](nowhere.md)\n\n:::{toctree}\n00_toy\n:::\n")
    assert main(["site", "--out", str(out)]) == 1
    said = capfd.readouterr()
    assert "nowhere" in said.err and said.err.endswith("course: the site was not built\n") and said.out == ""
    assert [path.name for path in out.iterdir()] == ["index.html"] and (out / "index.html").read_text() == "before"


def test_without_sphinx_it_says_what_to_install_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "SITE_TOOLS", ("sphinx_of_another_world",))
    assert main(["site", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "sphinx_of_another_world" in said and 'pip install -e ".[site]"' in said
    assert not (tmp_path / "out").exists()


def test_the_site_never_goes_among_the_lessons(built, capsys):
    assert main(["site", "--out", str(lessons.NOTEBOOKS)]) == 2
    assert "holds the lessons themselves" in capsys.readouterr().err
