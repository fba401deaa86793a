"""Escaping of text from files and the command line for Markdown, Python code and terminals."""

import re
from typing import Final

# C0, DEL and C1 controls, line separators, bidirectional controls, and bytes of a file name that are not UTF-8.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_KEPT_BREAKS: Final = "\n\t"
_MARKUP: Final = re.compile(
    r"[\\`*|\[\]~]|<(?=[A-Za-z/!?])"
    r"|(?<![^\W_])_|_(?![^\W_])"  # an underscore inside a word does not start emphasis
    r"|&(?=#?\w+;)|:(?=//)|@|(?<=\bwww)\."
    r"|^(?:[-+=](?![\w.])|[#>])"
    rf"|(?:{'|'.join(rf'(?<=^[0-9]{{{n}}})' for n in range(1, 10))})[.)](?=\s|$)"  # the number of a list item
)


def terminal_text(text: str, *, breaks: bool = False) -> str:
    r"""The text with control characters escaped, so that it cannot move the cursor, colour the screen or fake a line.

    Args:
        text: A message, or a part of it.
        breaks: Keep line breaks and tabs.

    >>> terminal_text("a\x1b[31mb.tsv"), terminal_text("two\nlines"), terminal_text("two\nlines", breaks=True)
    ('a\\x1b[31mb.tsv', 'two\\x0alines', 'two\nlines')
    """
    return _CONTROLS.sub(lambda match: match[0] if breaks and match[0] in _KEPT_BREAKS else _escaped(match[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def markdown_text(text: object) -> str:
    r"""One line of Markdown that shows the text verbatim, in a paragraph, a list item, a heading or a table cell.

    >>> print(markdown_text("a|b `c` <i>d</i> [e](http://f)"), markdown_text("ud/de_gsd"))
    a\|b \`c\` \<i>d\</i> \[e\](http\://f) ud/de_gsd
    """
    return _MARKUP.sub(r"\\\g<0>", terminal_text(" ".join(str(text).split())))


def markdown_code(text: object) -> str:
    r"""The text as a Markdown code span; not for table cells, where `|` would end it.

    >>> print(markdown_code("polyhead run"), markdown_code("a`b"))
    `polyhead run` ``a`b``
    """
    line = terminal_text(" ".join(str(text).split()))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if line[:1] == "`" or line[-1:] == "`" or not line else f"{fence}{line}{fence}"


def python_string(text: str) -> str:
    r"""A Python string literal for the text, in double quotes where that needs no escapes.

    >>> print(python_string("my model"), python_string('a"b'))
    "my model" 'a"b'
    """
    literal = repr(text)
    return literal if '"' in literal else f'"{literal[1:-1]}"'
