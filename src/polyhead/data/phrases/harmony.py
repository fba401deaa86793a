"""Turkish case suffixes after proper names: vowel harmony, buffer consonants and hardened d, as they are spoken."""

from typing import Final

_BACK: Final = "aıou"
_FRONT: Final = "eiöü"
_VOWELS: Final = _BACK + _FRONT
_HARD: Final = "çfhkpsşt"
# The high vowel that follows each vowel; the low one is a after back vowels and e after front ones.
_HIGH: Final = {"a": "ı", "ı": "ı", "o": "u", "u": "u", "e": "i", "i": "i", "ö": "ü", "ü": "ü"}
_LOWER: Final = str.maketrans({"I": "ı", "İ": "i", "é": "e", "á": "a", "ó": "o", "í": "i", "ã": "a"})


def harmonised(spoken: str, pattern: str) -> str:
    """The suffix that `pattern` is after a word that sounds as `spoken`.

    In a pattern `A` is a or e, `I` one of ı i u ü, `D` d or t; a letter in parentheses stands after a vowel only.

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
