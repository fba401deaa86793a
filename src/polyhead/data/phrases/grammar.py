"""One language's table: its templates, fillers, function words, fused forms and spelling."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Final

from polyhead.core.errors import DataFormatError
from polyhead.data.phrases.inventory import OPENER, inventory, read_table
from polyhead.data.phrases.notation import Entry, Reference, Token, parse_entry, parse_template, parse_tokens

# Settings of a class are stored beside its fillers, under names that no filler has.
_TAG, _FORMS, _LIKE = "_tag", "_forms", "_like"
_SETTINGS: Final = frozenset({_TAG, _FORMS, _LIKE})


@dataclass(frozen=True, slots=True)
class Affix:
    """An affix written together with a word.

    Attributes:
        prefix: Put before the first token.
        fuse: Beginnings of the token, and what prefix and beginning become together.
        suffix: A pattern of `harmonised`, put after the last token.
        joint: Text between the token and the suffix.
    """

    prefix: str = ""
    fuse: Mapping[str, str] = field(default_factory=dict, hash=False)
    suffix: str = ""
    joint: str = ""


@dataclass(frozen=True, slots=True)
class Sandhi:
    """A word that changes before another: `a` before a vowel becomes `an`."""

    word: str
    before: re.Pattern[str]
    becomes: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A class of fillers in one language: the names of its forms (one empty name if there is only one), and the fillers."""

    forms: tuple[str, ...]
    entries: Mapping[str, Entry] = field(hash=False)


@dataclass(frozen=True, eq=False)
class Grammar:
    """A language's table, parsed.

    Attributes:
        name: Name of the table.
        schema: Version of its form.
        language: BCP-47 code.
        cased: Whether a sentence begins with a capital.
        upper: Capitals that differ from Unicode's, by lower-case letter.
        space: Text between words.
        closing: Characters without a space before them.
        opening: Characters without a space after them.
        templates: By frame.
        fillers: By class.
        words: Function words that agree: by name and form.
        affixes: By name.
        contractions: Pairs of words that are written as one.
        sandhi: In the order in which they are tried.
        spoken: Pronunciation of names whose spelling does not show it, by their last word.
    """

    name: str
    schema: int
    language: str
    cased: bool
    space: str
    closing: str
    templates: Mapping[str, tuple[Token | Reference, ...]]
    fillers: Mapping[str, Filled]
    upper: Mapping[str, str] = field(default_factory=dict)
    opening: str = ""
    words: Mapping[str, Mapping[str, tuple[Token, ...]]] = field(default_factory=dict)
    affixes: Mapping[str, Affix] = field(default_factory=dict)
    contractions: Mapping[tuple[str, str], Token] = field(default_factory=dict)
    sandhi: tuple[Sandhi, ...] = ()
    spoken: Mapping[str, str] = field(default_factory=dict)


@cache
def grammar(name: str) -> Grammar:
    """The table of that language, its names checked against `inventory()`.

    Raises:
        UnknownNameError: There is no such table.
        DataFormatError: A template or filler is missing, unknown or cannot be read.
    """
    table = {"name": name, **read_table(name)}
    _check_keys(f"{name}.toml", table, Grammar)
    known = inventory()
    _same_names(f"{name}.toml: templates", set(table["templates"]), set(known.frames))
    _same_names(f"{name}.toml: fillers", set(table["fillers"]), set(known.fillers))
    templates = table["templates"]
    parsed = {
        "templates": {
            frame: parse_template(f"{{{OPENER}}} {templates[frame]}", f"{name}.toml: templates.{frame}") for frame in known.frames
        },
        "fillers": {kind: _filled(name, kind, rows) for kind, rows in table["fillers"].items()},
        "words": {word: _word(name, word, rows) for word, rows in table.get("words", {}).items()},
        "affixes": {affix: _affix(f"{name}.toml: affixes.{affix}", row) for affix, row in table.get("affixes", {}).items()},
        "contractions": _contractions(name, table.get("contractions", {})),
        "sandhi": tuple(_sandhi(f"{name}.toml: sandhi", row) for row in table.get("sandhi", [])),
    }
    return Grammar(**{**table, **parsed})


def _check_keys(where: str, table: Mapping[str, Any], kind: type[Grammar | Affix | Sandhi]) -> None:
    wanted = {item.name for item in fields(kind) if item.default is item.default_factory is MISSING}
    optional = {item.name for item in fields(kind)} - wanted
    missing, foreign = sorted(wanted - table.keys()), sorted(table.keys() - wanted - optional)
    if missing or foreign:
        allowed = ", ".join([*sorted(wanted), *(f"{name} (optional)" for name in sorted(optional))])
        raise DataFormatError(f"{where}: missing {missing}, unknown {foreign}; expected {allowed}")


def _affix(where: str, row: Mapping[str, Any]) -> Affix:
    _check_keys(where, row, Affix)
    return Affix(**row)


def _sandhi(where: str, row: Mapping[str, str]) -> Sandhi:
    _check_keys(where, row, Sandhi)
    try:
        return Sandhi(row["word"], re.compile(row["before"]), row["becomes"])
    except re.error as error:
        raise DataFormatError(f"{where}: before = {row['before']!r}: {error}; expected a regular expression") from None


def _same_names(where: str, found: set[str], wanted: set[str]) -> None:
    missing, foreign = sorted(wanted - found), sorted(found - wanted)
    if missing or foreign:
        raise DataFormatError(f"{where}: missing {missing}, not in frames.toml {foreign}; expected the names of frames.toml")


def _filled(name: str, kind: str, rows: Mapping[str, Any]) -> Filled:
    where = f"{name}.toml: fillers.{kind}"
    like = read_table(rows[_LIKE])["fillers"][kind] if _LIKE in rows else {}
    texts = {filler: text for filler, text in {**like, **rows}.items() if filler not in _SETTINGS}
    _same_names(where, set(texts), set(inventory().fillers[kind]))
    forms = tuple(rows.get(_FORMS, [""]))
    tag = rows.get(_TAG, like.get(_TAG, ""))
    ordered = inventory().fillers[kind]
    return Filled(forms, {filler: parse_entry(texts[filler], tag, len(forms), f"{where}.{filler}") for filler in ordered})


def _word(name: str, word: str, rows: Mapping[str, str]) -> dict[str, tuple[Token, ...]]:
    where = f"{name}.toml: words.{word}"
    forms = {form: parse_tokens(text, rows.get(_TAG, ""), where) for form, text in rows.items() if form != _TAG}
    return {form: tuple(Token(token.form, token.upos) for token in tokens) for form, tokens in forms.items()}


def _contractions(name: str, rows: Mapping[str, str]) -> dict[tuple[str, str], Token]:
    found = {}
    for pair, text in rows.items():
        where = f"{name}.toml: contractions.{pair!r}"
        words, tokens = pair.split(), parse_tokens(text, "", where)
        if len(words) != 2 or len(tokens) != 1:
            raise DataFormatError(f'{where}: expected "two words" = "one/TAG"')
        found[words[0], words[1]] = Token(tokens[0].form, tokens[0].upos)
    return found
