"""Text from files stays text: in Markdown of every kind of line, in Python code, on a terminal."""

import ast
import html
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.escaping import markdown_code, markdown_text, python_string, terminal_text
from polyhead.report.tables import markdown

markdown_it = pytest.importorskip("markdown_it", reason="needs the extra report")
# What Markdown could make something of, in every order
_PARTS = [*"`*_[]()<>|\\!#+-=~.:/@&;$ a1\n\r\x1b\x85", "http://", "www.", "&lt;", "<b>", "<1", "é", "\u202e"]
MARKUP = st.lists(st.sampled_from(_PARTS), max_size=12).map("".join) | st.sampled_from(
    ["12. x", "123) x", "- x", "+ x", "===", ">x", "# x"]
)


def rendered(text: str) -> str:
    made: str = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    return made


def shown(text: str) -> str:
    """The text as a reader is to see it, on one line."""
    return html.escape(terminal_text(" ".join(text.split())))


@given(MARKUP)
@settings(deadline=None, max_examples=500)
def test_markdown_shows_the_text_in_any_place(text: str) -> None:
    if not shown(text):
        return
    assert rendered(markdown_text(text)) == f"<p>{shown(text)}</p>\n"
    assert rendered(f"a {markdown_text(text)} b") == f"<p>a {shown(text)} b</p>\n"
    assert rendered(f"- {markdown_text(text)}") == f"<ul>\n<li>{shown(text)}</li>\n</ul>\n"
    cells = re.findall(r"<t[hd] style[^>]*>(.*?)</t[hd]>", rendered(markdown(["a", text], [[text, "b"]])), flags=re.DOTALL)
    assert cells == ["a", shown(text), shown(text), "b"]


@given(MARKUP)
@settings(deadline=None, max_examples=300)
def test_a_code_span_holds_the_text(text: str) -> None:
    inside = re.fullmatch(r"<p>x <code>(.*)</code> y</p>\n", rendered(f"x {markdown_code(text)} y"))
    assert inside is not None
    assert inside[1].strip() == shown(text).strip()


def test_ordinary_names_are_left_as_they_are() -> None:
    for text in (
        "ud/de_gsd",
        "de: test.conllu",
        "gradient, mean-rank",
        "-0.25 to +1.50",
        "0.3 1.2",
        "x-y/z.tsv",
        "<0.0001",
        "日本語",
        "AT&T",
    ):
        assert markdown_text(text) == text


def test_addresses_do_not_become_links_where_bare_ones_do() -> None:
    assert markdown_text("see http://a.b/c, www.a.b, x@y.z") == r"see http\://a.b/c, www\.a.b, x\@y.z"


@given(st.text(max_size=20))
def test_a_python_string_is_one_literal_of_printable_characters(text: str) -> None:
    literal = python_string(text)
    assert ast.literal_eval(literal) == text
    assert "\n" not in literal
    assert not any(unicodedata.category(character) == "Cc" for character in literal)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\x1b[31mred\x1b[0m", r"a\x1b[31mred\x1b[0m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\x07\x08\x7f", r"a\x0db\x07\x08\x7f"),
        ("two\nlines", r"two\x0alines"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\udce9"),
    ],
)
def test_a_terminal_is_sent_no_control_character(text: str, said: str) -> None:
    assert terminal_text(text) == said
    assert terminal_text("a\n\tb\x1b", breaks=True) == "a\n\tb\\x1b"
