"""Web pages from jinja2 templates; jinja2 comes with torch."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str | Path, **values: Any) -> str:
    """The template file with `values` filled in and escaped for HTML.

    The template may include the files beside it. Raises jinja2's UndefinedError where it uses a value not given.
    """
    path = Path(template)
    pages = Environment(
        loader=FileSystemLoader(path.parent), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )
    return pages.get_template(path.name).render(values)
