"""A frame and its fillers worded in one language: the words with their parts of speech, entities and slots."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

from polyhead.errors import DataFormatError
from polyhead.phrases.grammar import Affix, Grammar
from polyhead.phrases.harmony import harmonised
from polyhead.phrases.inventory import OPENER, Frame, Role, inventory
from polyhead.phrases.notation import Reference, Token

_OPENER = Role(OPENER, OPENER, "", "")
NOTHING = "none"
"""The opener that stands for none."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sentence with all its gold labels.

    Attributes:
        words: Surface tokens.
        upos: A part of speech for each.
        entities: IOB2 tags of PER, ORG, LOC and MISC.
        slots: IOB2 tags of slots.
    """

    words: tuple[str, ...]
    upos: tuple[str, ...]
    entities: tuple[str, ...]
    slots: tuple[str, ...]


# A token on its way to the sentence, with the label types it carries: (token, slot, entity, whether a span begins with it).
_Placed: TypeAlias = tuple[Token, str, str, bool]


def realised(frame: Frame, fillers: Mapping[str, str], grammar: Grammar) -> Phrase:
    """The sentence.

    Args:
        frame: What is said.
        fillers: By role the filler's name, `opener` included.
        grammar: In which language.

    Raises:
        DataFormatError: The table has no such form; the message names table, template and form.
    """
    roles = _roles(frame)
    placed: list[_Placed] = []
    for part in grammar.templates[frame.name]:
        if isinstance(part, Token):
            placed.append((part, "", "", False))
            continue
        role = roles.get(part.role)
        filler = fillers[part.role] if role is not None else ""
        if filler == NOTHING:
            continue
        gender = _gender(frame, part, fillers, grammar) if part.controller else ""
        tokens = _tokens(grammar, frame, part, filler, gender)
        if role is None:
            placed += [(token, "", "", False) for token in tokens]
            continue
        begins = True
        for token in tokens:
            placed.append((token, role.slot, role.entity, begins) if token.core else (token, "", "", False))
            begins = begins and not token.core
    if grammar.contractions or grammar.sandhi:
        placed = _joined(placed, grammar)
    return _labelled(placed, grammar)


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


@cache
def _tokens(grammar: Grammar, frame: Frame, part: Reference, filler: str, gender: str) -> tuple[Token, ...]:
    """What a reference becomes; the same for every sentence with that filler, so worked out once."""
    where = f"{grammar.name}.toml: templates.{frame.name}"
    form = ".".join(filter(None, (part.form, gender)))
    if filler:
        kind = grammar.fillers[_roles(frame)[part.role].filler_class]
        if form not in kind.forms:
            raise DataFormatError(f"{where}: {part.role} in the form {form!r}; expected one of {', '.join(kind.forms)}")
        tokens = kind.entries[filler].forms[kind.forms.index(form)]
    else:
        try:
            tokens = grammar.words[part.role][form]
        except KeyError:
            found = f"{part.role!r} in the form {form!r}"
            raise DataFormatError(f"{where}: {found}; expected a role of {frame.name}, or a form under words") from None
    for name in part.affixes:
        if name not in grammar.affixes:
            raise DataFormatError(f"{where}: affix {name!r}; expected one of {', '.join(grammar.affixes)}")
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


def _joined(placed: list[_Placed], grammar: Grammar) -> list[_Placed]:
    """Neighbours contracted (`a el` to `al`), and words changed before others (`a` to `an`)."""
    found: list[_Placed] = []
    for item in placed:
        token = item[0]
        if found:
            before = found[-1][0]
            merged = grammar.contractions.get((before.form, token.form))
            if merged is not None:
                found[-1] = (merged, "", "", False)
                continue
            for rule in grammar.sandhi:
                if before.form == rule.word and rule.before.match(token.form):
                    found[-1] = (replace(before, form=rule.becomes), *found[-1][1:])
                    break
        found.append(item)
    return found


def _labelled(placed: list[_Placed], grammar: Grammar) -> Phrase:
    words = [token.form for token, _, _, _ in placed]
    if grammar.cased:
        first = next(place for place, word in enumerate(words) if word[0].isalpha())
        letter = words[first][0]
        words[first] = grammar.upper.get(letter, letter.upper()) + words[first][1:]
    return Phrase(
        tuple(words),
        tuple([token.upos for token, _, _, _ in placed]),
        tuple([_tag(entity, begins) for _, _, entity, begins in placed]),
        tuple([_tag(slot, begins) for _, slot, _, begins in placed]),
    )


@cache
def _tag(kind: str, begins: bool) -> str:
    return f"{'B' if begins else 'I'}-{kind}" if kind else "O"
