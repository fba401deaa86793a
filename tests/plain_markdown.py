"""Text that tries to be more than text, and the check that Markdown which holds it has only markup of our own."""

import re

import pytest

EVIL = "x|y`z`<script>alert(1)</script>[l](http://e.vil)![i](http://e.vil/p)\n\n# h\n```\n\x1b[31m**b**"
_TAGS = {"p", "h1", "h2", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "strong"}


def assert_plain(text: str) -> None:
    """Nothing but our own headings, tables, lists, bold lines and code blocks; no control character; no made-up heading."""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    made = (
        pytest.importorskip("markdown_it", reason="needs the extra report")
        .MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .render(text)
    )
    assert set(re.findall(r"<(\w+)", made)) <= _TAGS
    assert "<strong>b" not in made
    assert not re.search(r"<h\d>h</h\d>", made)
    assert len(re.findall(r"\bhttp:", made)) == len(re.findall(r"\bhttp", made)), "kept as text"
