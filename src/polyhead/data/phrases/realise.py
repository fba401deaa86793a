"""A frame and its fillers as a sentence of one language: words with parts of speech, entities and slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, pairwise
from typing import Final

from polyhead.core.errors import DataFormatError
from polyhead.data.phrases.grammar import Affix, Grammar
from polyhead.data.phrases.inventory import OPENER, Frame, Role
from polyhead.data.phrases.notation import Reference, Token

_BACK: Final = "aıou"
_FRONT: Final = "eiöü"
_VOWELS: Final = _BACK + _FRONT
_HARD: Final = "çfhkpsşt"

# The high vowel that follows each vowel; the low vowel is a after back vowels and e after front ones.
_HIGH: Final = {"a": "ı", "ı": "ı", "o": "u", "u": "u", "e": "i", "i": "i", "ö": "ü", "ü": "ü"}
_LOWER: Final = str.maketrans({"I": "ı", "İ": "i", "é": "e", "á": "a", "ó": "o", "í": "i", "ã": "a"})


def harmonised(spoken: str, pattern: str) -> str:
    """The form of the Turkish suffix `pattern` after a word pronounced `spoken`.

    In a pattern `A` is a or e, `I` one of ı i u ü, `D` d or t; a letter in parentheses is used only after a vowel.

    >>> [harmonised(word, "DAn") for word in ("Paris", "Londra", "Tokyo", "New York")]
    ['ten', 'dan', 'dan', 'tan']
    >>> [harmonised(word, "(y)I") for word in ("Sofya", "Berlin", "Oslo", "Zürih")]
    ['yı', 'i', 'yu', 'i']
    """
    word = spoken.translate(_LOWER).lower()
    last_vowel = next((letter for letter in reversed(word) if letter in _VOWELS), "e")
    after_vowel = word[-1] in _VOWELS
    suffix = ""
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == "(":
            suffix += pattern[position + 1] if after_vowel else ""
            position += 3
            continue
        if letter == "A":
            letter = last_vowel = "a" if last_vowel in _BACK else "e"
        elif letter == "I":
            letter = last_vowel = _HIGH[last_vowel]
        elif letter == "D":
            letter = "t" if word[-1] in _HARD else "d"
        suffix += letter
        position += 1
    return suffix


_OPENER = Role(OPENER, OPENER, "", "")
NOTHING = "none"
"""The empty opener."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sentence, or a fixed part of one, with all its gold labels.

    Attributes:
        words: Surface tokens.
        upos: One part of speech per word.
        entities: IOB2 tags of PER, ORG, LOC and MISC.
        slots: IOB2 tags of slots.
    """

    words: tuple[str, ...]
    upos: tuple[str, ...]
    entities: tuple[str, ...]
    slots: tuple[str, ...]


def realised(frame: Frame, fillers: Mapping[str, str], grammar: Grammar) -> Phrase:
    """The sentence in one language.

    Args:
        frame: Its template.
        fillers: Name of the filler by role, `opener` included.
        grammar: Table of the language.

    Raises:
        DataFormatError: The table has no such form; the message names table, template and form.
    """
    words: list[str] = []
    upos: list[str] = []
    entities: list[str] = []
    slots: list[str] = []
    for part in _parts(grammar, frame):
        if isinstance(part, Reference):
            filler = fillers.get(part.role, "")
            if filler == NOTHING:
                continue
            part = _segment(grammar, frame, part, filler, _gender(frame, part, fillers, grammar) if part.controller else "")
        words += part.words
        upos += part.upos
        entities += part.entities
        slots += part.slots
    for place in reversed(range(len(words) - 1)) if grammar.contractions else ():  # `a el` becomes `al`
        if token := grammar.contractions.get((words[place], words[place + 1])):
            words[place : place + 2], upos[place : place + 2] = [token.form], [token.upos]
            del entities[place], slots[place]
    _change(words, grammar)
    return Phrase(tuple(words), tuple(upos), tuple(entities), tuple(slots))


@cache
def _parts(grammar: Grammar, frame: Frame) -> tuple[Phrase | Reference, ...]:
    """The template with adjacent words joined."""
    found: list[Phrase | Reference] = []
    for fixed, run in groupby(grammar.templates[frame.name], key=lambda part: isinstance(part, Token)):
        parts = list(run)
        found += [_labelled([part for part in parts if isinstance(part, Token)], None)] if fixed else []
        found += [part for part in parts if isinstance(part, Reference)]
    return tuple(found)


@cache
def _segment(grammar: Grammar, frame: Frame, part: Reference, filler: str, gender: str) -> Phrase:
    return _labelled(_tokens(grammar, frame, part, filler, gender), _roles(frame).get(part.role))


def _labelled(tokens: Sequence[Token], role: Role | None) -> Phrase:
    core = [role is not None and token.core for token in tokens]
    first = core.index(True) if True in core else 0

    def tags(kind: str) -> tuple[str, ...]:
        return tuple(f"{'B' if place == first else 'I'}-{kind}" if kind and inside else "O" for place, inside in enumerate(core))

    entity, slot = (role.entity, role.slot) if role is not None else ("", "")
    return Phrase(tuple(token.form for token in tokens), tuple(token.upos for token in tokens), tags(entity), tags(slot))


@cache
def _roles(frame: Frame) -> dict[str, Role]:
    return {OPENER: _OPENER, **{role.name: role for role in frame.roles}}


def _gender(frame: Frame, part: Reference, fillers: Mapping[str, str], grammar: Grammar) -> str:
    controller = _roles(frame).get(part.controller)
    where = f"{grammar.name}.toml: templates.{frame.name}"
    if controller is None:
        raise DataFormatError(f"{where}: {part.controller!r} after @; expected one of {', '.join(_roles(frame))}")
    filler = fillers[part.controller]
    gender = grammar.fillers[controller.filler_class].entries[filler].gender
    if not gender:
        raise DataFormatError(f"{where}: {controller.filler_class}.{filler} has no gender; write one after |")
    return gender


def _tokens(grammar: Grammar, frame: Frame, part: Reference, filler: str, gender: str) -> tuple[Token, ...]:
    where = f"{grammar.name}.toml: templates.{frame.name}"
    form = ".".join(filter(None, (part.form, gender)))
    if filler:
        kind = grammar.fillers[_roles(frame)[part.role].filler_class]
        if form not in kind.forms:
            allowed = ", ".join(kind.forms) or "no form: there is only one"
            raise DataFormatError(f"{where}: {part.role} in the form {form!r}; expected {allowed}")
        tokens = kind.entries[filler].forms[kind.forms.index(form)]
    else:
        try:
            tokens = grammar.words[part.role][form]
        except KeyError:
            found = f"{part.role!r} in the form {form!r}"
            raise DataFormatError(f"{where}: {found}; expected a role of {frame.name}, or a form under words") from None
    for name in part.affixes:
        if name not in grammar.affixes:
            allowed = ", ".join(grammar.affixes) or "none: no affixes are declared"
            raise DataFormatError(f"{where}: affix {name!r}; expected {allowed}")
        tokens = _fused(tokens, grammar.affixes[name], grammar.spoken)
    return tokens


def _fused(tokens: tuple[Token, ...], affix: Affix, spoken: Mapping[str, str]) -> tuple[Token, ...]:
    first, last = tokens[0], tokens[-1]
    if affix.suffix:
        ending = harmonised(spoken.get(last.form, last.form), affix.suffix)
        return (*tokens[:-1], replace(last, form=f"{last.form}{affix.joint}{ending}"))
    for beginning, fused in affix.fuse.items():
        if first.form.startswith(beginning):
            return (replace(first, form=fused + first.form.removeprefix(beginning)), *tokens[1:])
    return (replace(first, form=affix.prefix + first.form), *tokens[1:])


def _change(words: list[str], grammar: Grammar) -> None:
    """Apply sandhi (`a` to `an`) and capitalise the first letter, in place."""
    for rule in grammar.sandhi:
        for place, (word, after) in enumerate(pairwise(words)):
            if word == rule.word and rule.before.match(after):
                words[place] = rule.becomes
    if grammar.cased:
        first = next(place for place, word in enumerate(words) if word[0].isalpha())
        letter = words[first][0]
        words[first] = grammar.upper.get(letter, letter.upper()) + words[first][1:]
