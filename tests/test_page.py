"""Pages from templates: escaped, and never with a hole."""

import pytest
from jinja2 import UndefinedError

from course_utils.show import page


def test_values_are_escaped_and_what_the_template_includes_is_not(tmp_path):
    (tmp_path / "page.css").write_text("p > b { margin: 0 }\n")
    (tmp_path / "page.html.j2").write_text('{% include "page.css" %}\n<p title="{{ name }}">{{ name }}</p>\n')
    text = page.render(tmp_path / "page.html.j2", name="<b>\"'&")
    assert text == 'p > b { margin: 0 }\n<p title="&lt;b&gt;&#34;&#39;&amp;">&lt;b&gt;&#34;&#39;&amp;</p>\n'


def test_a_missing_value_is_an_error(tmp_path):
    (tmp_path / "page.html.j2").write_text("{{ name }}")
    with pytest.raises(UndefinedError, match="name"):
        page.render(tmp_path / "page.html.j2")
