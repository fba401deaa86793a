"""Single characters worth keeping: those of the text, the alphabets of its scripts, digits and punctuation."""

import unicodedata
from collections.abc import Iterable, Mapping

# Share of a text's letters below which a script counts as foreign to it: a name, a quotation.
_FOREIGN = 0.01


def script(character: str) -> str:
    """The script of a letter, by the first word of its Unicode name.

    >>> script("é"), script("字"), script("ж"), script("か")
    ('LATIN', 'CJK', 'CYRILLIC', 'HIRAGANA')
    """
    return unicodedata.name(character, "").partition(" ")[0].partition("-")[0]


def scripts_of(characters: Mapping[str, int]) -> frozenset[str]:
    """The scripts of at least 1 % of the letters of a text.

    Args:
        characters: How often the text has each.

    >>> sorted(scripts_of({"a": 500, "ж": 500, "字": 1, "1": 40}))
    ['CYRILLIC', 'LATIN']
    """
    found: dict[str, int] = {}
    for character, n in characters.items():
        if _is_letter(character):
            found[script(character)] = found.get(script(character), 0) + n
    return frozenset(name for name, n in found.items() if n >= _FOREIGN * sum(found.values()))


def is_worth_keeping(character: str, scripts: Iterable[str]) -> bool:
    """Whether a text in these scripts may need a character that was not seen in it.

    Letters and digits of the scripts, all punctuation, and printable ASCII.

    >>> [is_worth_keeping(character, ["LATIN"]) for character in "xž7—«+жक"]
    [True, True, True, True, True, True, False, False]
    """
    if character.isascii():
        return character.isprintable()
    if unicodedata.category(character)[0] == "P":
        return True
    return (_is_letter(character) or character.isdigit()) and script(character) in scripts


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"
