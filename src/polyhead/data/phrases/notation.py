"""The notation of the phrase tables: `word/TAG`, `{role:form@controller+affix}` and `[core]` become tokens and references."""

import re
from dataclasses import dataclass

from polyhead.core.errors import DataFormatError
from polyhead.core.values import counted
from polyhead.data.tasks import UPOS

_TAGS = frozenset(UPOS)
_REFERENCE = re.compile(r"\{(?P<role>\w+)(?::(?P<form>[\w.]+))?(?:@(?P<by>\w+))?(?P<affixes>(?:\+\w+)*)\}")


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a table.

    Attributes:
        form: Its spelling inside a sentence.
        upos: Its part of speech.
        core: Whether a slot's label covers it: in `on Monday` the `Monday`, not the `on`.
    """

    form: str
    upos: str
    core: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a template for a filler or a function word.

    Attributes:
        role: A slot of the template, or a name under `words`.
        form: Name of its form; empty for the only one.
        controller: The role whose gender the form agrees with; empty for none.
        affixes: Affixes fused to it, innermost first.
    """

    role: str
    form: str = ""
    controller: str = ""
    affixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One filler in one language: its forms in the order of its class, and its gender (empty if it does not matter)."""

    forms: tuple[tuple[Token, ...], ...]
    gender: str = ""


def parse_tokens(text: str, tag: str, where: str) -> tuple[Token, ...]:
    """The tokens of one form; without brackets every token is core.

    Args:
        text: Words separated by spaces, `/TAG` on those whose tag is not `tag`, brackets around the core.
        tag: UPOS of words without `/TAG`; if empty, every word needs one.
        where: File and entry, for errors.

    Raises:
        DataFormatError: A word has no UPOS tag, brackets are not closed, or there is no word.

    >>> [(token.form, token.upos, token.core) for token in parse_tokens("on/ADP [Monday]", "PROPN", "en.toml")]
    [('on', 'ADP', False), ('Monday', 'PROPN', True)]
    """
    found: list[Token] = []
    core = "[" not in text
    for part in text.replace("[", " [ ").replace("]", " ] ").split():
        if part in "[]":
            if core == (part == "["):
                raise DataFormatError(f"{where}: {text!r} has an extra bracket; expected one pair around the core")
            core = part == "["
            continue
        form, _, own = part.partition("/")
        if not form or (own or tag) not in _TAGS:
            raise DataFormatError(f"{where}: {part!r} has no part of speech; expected word/TAG with a UPOS tag")
        found.append(Token(form, own or tag, core))
    if not found or (core and "[" in text) or text.count("[") > 1:
        raise DataFormatError(f"{where}: {text!r}; expected at least one word, and at most one pair of brackets")
    return tuple(found)


def parse_template(text: str, where: str) -> tuple[Token | Reference, ...]:
    """The tokens and references of a template, in order.

    Raises:
        DataFormatError: A part is neither `word/TAG` nor a reference.

    >>> parse_template("in/ADP {place} ?/PUNCT", "en.toml")[1]
    Reference(role='place', form='', controller='', affixes=())
    """
    found: list[Token | Reference] = []
    for part in text.split():
        if not part.startswith("{"):
            found += [Token(token.form, token.upos) for token in parse_tokens(part, "", where)]
            continue
        match = _REFERENCE.fullmatch(part)
        if match is None:
            raise DataFormatError(f"{where}: {part!r}; expected {{role:form@controller+affix}}, only the role is required")
        affixes = tuple(match["affixes"].split("+")[1:])
        found.append(Reference(match["role"], match["form"] or "", match["by"] or "", affixes))
    return tuple(found)


def parse_entry(text: str, tag: str, forms: int, where: str) -> Entry:
    """A filler written as `first form ; second form | gender`.

    Raises:
        DataFormatError: The number of forms is not that of its class.

    >>> parse_entry("Koffer|m", "NOUN", 1, "de.toml").gender
    'm'
    """
    body, _, gender = text.partition("|")
    written = body.split(";")
    if len(written) != forms:
        raise DataFormatError(f"{where}: {counted(len(written), 'form')} in {text!r}; expected {forms}, separated by ;")
    return Entry(tuple(parse_tokens(form, tag, where) for form in written), gender.strip())
