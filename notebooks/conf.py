"""The web site, as Sphinx builds it from the committed notebooks; `course site` runs it. Nothing is executed."""

import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from course_utils.author import lessons, links
from course_utils.author.runner import expected_time

HERE = Path(__file__).parent
COURSE = tomllib.loads((HERE / "course.toml").read_text(encoding="utf-8"))
REPOSITORY = links.load(HERE)
LESSONS = lessons.load(HERE)


def table_of_lessons() -> str:
    lines = ["| lesson | what for | time |", "|---|---|--:|"]
    for each in LESSONS:
        link = f"[{each.number}. {each.title}]({each.path.name})"
        lines.append(f"| {link} | {each.learn} | {expected_time(each, 'quick').removeprefix('about ')} |")
    return "\n".join(lines)


def exercises(lesson: lessons.Lesson) -> Path:
    """Where a lesson's exercises are, if it has any."""
    return HERE / "exercises" / "release" / lesson.name / lesson.path.name


def contents_of_exercises() -> str:
    """The pages of exercises, as many as there are, and the notes for teachers."""
    found = [*(path for path in map(exercises, LESSONS) if path.exists()), HERE / "exercises" / "TEACHING.md"]
    pages = [path.relative_to(HERE).with_suffix("").as_posix() for path in found]
    return "\n".join([":::{toctree}", ":maxdepth: 1", "", *pages, ":::"])


project = "Convolutional networks on CIFAR-10"
author = "The course authors"
html_title = "From a night to two seconds"
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
include_patterns = ["index.md", "glossary.md", "exercises/TEACHING.md", *(path.relative_to(HERE).as_posix()
                    for each in LESSONS for path in (each.path, exercises(each)))]
suppress_warnings = ["mystnb.unknown_mime_type"]  # a lesson's result; it has a text beside it

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # a cell's Markdown output may hold a table or a formula
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {
    "badges": REPOSITORY.badges("notebooks/00_start_here.ipynb"),
    "exercises": contents_of_exercises(),
    "lessons": table_of_lessons(),
    "reference": COURSE["reference"],
}

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/ladder.svg"
html_sourcelink_suffix = ""
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": REPOSITORY.address,
    "repository_branch": REPOSITORY.ref,
    "path_to_docs": "notebooks",
    "use_repository_button": True,
    "navbar_persistent": [],
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    },
}


def describe_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Give each figure its alternative text, which the course's figures also show where there are no pictures."""
    for bundle in doctree.findall(nodes.container):
        kinds = {child["mime_type"]: child for child in bundle if bundle.get("nb_element") == "mime_bundle"}
        if {"image/png", "text/plain"} <= kinds.keys():
            for image in kinds["image/png"].findall(nodes.image):
                image["alt"] = kinds["text/plain"].astext()


def keep_to_this_host(app: Sphinx, doctree: nodes.document) -> None:
    """Put its alternative text in the place of an image that another host would have to send: a badge, as a button."""
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].startswith(("http:", "https:")):
            image.parent["classes"].append("badge-button")
            image.replace_self(nodes.Text(image.get("alt", image["uri"])))


def link_exercises(app: Sphinx, doctree: nodes.document) -> None:
    """Let a lesson's section of exercises begin with a link to those that check the answer."""
    name = app.env.docname
    page = f"exercises/release/{name}/{name}"
    if page in app.env.found_docs:
        section = next(each for each in doctree.findall(nodes.section) if "exercises" in each["ids"])
        link = nodes.reference("", "a notebook of their own", refuri=f"{page}.html")
        section.insert(
            1, nodes.paragraph("", "", nodes.Text("Exercises that check your answer are in "), link, nodes.Text("."))
        )


def link_to_repository(app: Sphinx, doctree: nodes.document) -> None:
    """Let a link to what the repository holds and the site has not, such as records or sources, lead there."""
    kinds = addnodes.pending_xref, addnodes.download_reference
    for link in list(doctree.findall(lambda node: isinstance(node, kinds))):
        folder = HERE if link["refdomain"] == "doc" else (HERE / app.env.docname).parent
        path = folder / link["reftarget"]
        if link["refdomain"] == "doc" and link["reftarget"] not in app.env.found_docs:
            path = next(path.parent.glob(f"{path.name}.*"))  # a document's name has no suffix
        if path.exists():
            place = path.resolve().relative_to(HERE.parent).as_posix()
            address = f"{REPOSITORY.address}/{'tree' if path.is_dir() else 'blob'}/{REPOSITORY.ref}/{place}"
            link.replace_self(nodes.reference("", "", *link.children, refuri=address))


def setup(app: Sphinx) -> None:
    for change in (describe_figures, keep_to_this_host, link_exercises, link_to_repository):
        app.connect("doctree-read", change, priority=400)  # before Sphinx collects images and downloads
