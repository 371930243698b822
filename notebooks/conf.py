"""The web site, as Sphinx builds it from the committed notebooks; `course site` runs it. Nothing is executed."""

import tomllib

from docutils import nodes
from sphinx.application import Sphinx

from course_utils import lessons
from course_utils.runner import expected_time

COURSE = tomllib.loads((lessons.NOTEBOOKS / "course.toml").read_text(encoding="utf-8"))
REPOSITORY = COURSE.get("repository", {"address": "https://github.com/OWNER/NAME", "ref": "main"})


def in_repository(path: str) -> str:
    """A link, in Markdown, to a folder of the repository."""
    return f"[`{path}`]({REPOSITORY['address']}/tree/{REPOSITORY['ref']}/{path})"


def table_of_lessons() -> str:
    lines = ["| lesson | what for | time |", "|---|---|--:|"]
    for each in lessons.load(lessons.NOTEBOOKS):
        link = f"[{each.number}. {each.title}]({each.path.name})"
        lines.append(f"| {link} | {each.learn} | {expected_time(each, 'quick')} |")
    return "\n".join(lines)


project = "Convolutional networks on CIFAR-10"
author = "The course authors"
html_title = "From a night to two seconds"
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
include_patterns = ["*.md", "*.ipynb"]  # nothing below this folder
suppress_warnings = ["mystnb.unknown_mime_type"]  # a lesson's result; it has a text beside it

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # a cell's Markdown output may hold a table or a formula
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {
    "lessons": table_of_lessons(),
    "reference": COURSE["reference"],
    "repository": f"[the repository]({REPOSITORY['address']})",
    "exercises": in_repository("notebooks/exercises"),
    "results": in_repository("notebooks/results"),
}

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/ladder.svg"
html_sourcelink_suffix = ""
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": REPOSITORY["address"],
    "repository_branch": REPOSITORY["ref"],
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
    """Put its alternative text in the place of an image that another host would have to send, such as a badge."""
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].startswith(("http:", "https:")):
            image.replace_self(nodes.Text(image.get("alt", image["uri"])))


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", describe_figures)
    app.connect("doctree-read", keep_to_this_host)
