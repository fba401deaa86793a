"""What is kept: by coverage, count and size, for each language on its own; characters of the scripts; and what is refused."""

from typing import Any

import numpy as np
import pytest
from compression.vocabulary_case import tiny_tokenizer

from polyhead.compression.subword_choice import Limits, choose_subwords, count_texts
from polyhead.compression.trimmed_tokenizer import Vocabulary
from polyhead.core.errors import SettingError
from polyhead.data.sentences import Sentence

TOKENIZER = tiny_tokenizer("bpe")
VOCABULARY = Vocabulary.read(TOKENIZER)
ALWAYS = choose_subwords({"de": np.zeros(100, dtype=np.int64)}, VOCABULARY, Limits(characters="seen"))
PARTS = set().union(*VOCABULARY.made_of.values())
OTHERS = sorted(number for number in VOCABULARY.made_of if number not in PARTS)[:6]  # no other subword is made of them


def counts(**by_place: int) -> np.ndarray:
    """Occurrences of `OTHERS` by their place, `a` first."""
    found = np.zeros(100, dtype=np.int64)
    for name, n in by_place.items():
        found[OTHERS["abcdef".index(name)]] = n
    return found


def kept(*languages: np.ndarray, **limits: Any) -> set[str]:
    """Which of `OTHERS` stay."""
    chosen = choose_subwords({f"x{i:c}": own for i, own in enumerate(languages, 97)}, VOCABULARY, Limits(**limits))
    return {name for name, number in zip("abcdef", OTHERS, strict=True) if number in chosen}


def test_by_default_nothing_that_was_seen_goes() -> None:
    assert kept(counts(a=1, f=1000)) == {"a", "f"}
    assert kept(counts(a=1), counts(b=1)) == {"a", "b"}


def test_each_language_has_its_own_coverage_and_counts() -> None:
    much, little = counts(a=10_000, b=9), counts(c=6, d=1)
    assert kept(much, little, coverage=0.9999) == {"a", "b", "c", "d"}
    assert kept(much, little, coverage=0.999) == {"a", "c", "d"}
    assert kept(much, little, min_count=2) == {"a", "b", "c"}
    assert kept(much, little, min_count=7) == {"a", "b"}


def test_a_size_serves_a_language_with_little_text_as_well() -> None:
    much, little = counts(a=9_000, b=1_000), counts(c=9, d=1)
    always = choose_subwords({"de": much, "nl": little}, VOCABULARY, Limits(min_count=10**6))
    size = len(always | VOCABULARY.with_parts([OTHERS[0], OTHERS[2]]))
    assert kept(much, little, max_size=size) == {"a", "c"}
    with pytest.raises(SettingError, match=r"max_size = 5: special tokens, bytes and single characters alone are \d+ subwords"):
        kept(much, little, max_size=5)


def test_a_subword_counts_as_often_as_in_the_reading_that_has_more_of_it() -> None:
    lines = ["abc abc", ["abc"], Sentence(("abc", "字"), (None, None), "de", "x:1")]
    found = count_texts({"de": lines}, TOKENIZER)["de"]
    assert found.words == {"abc": 4, "字": 1}
    assert not found.tenth
    ids = TOKENIZER("abc", add_special_tokens=False)["input_ids"]
    assert all(found.subwords[number] >= 4 for number in ids)
    assert np.array_equal(found.subwords, found.without_tenth)
    assert count_texts({"de": ["abc"] * 10}, TOKENIZER)["de"].tenth == {"abc": 1}


def test_characters_of_the_scripts_that_were_seen() -> None:
    tokenizer = tiny_tokenizer("wordpiece")
    vocabulary = Vocabulary.read(tokenizer)
    found = count_texts({"de": ["ab"]}, tokenizer)["de"].subwords
    names = {
        which: {vocabulary.subwords[number] for number in choose_subwords({"de": found}, vocabulary, Limits(characters=which))}
        for which in ("scripts", "seen")
    }
    assert {"a", "b"} <= names["seen"]
    assert "é" not in names["seen"]
    assert {"é", "ß"} <= names["scripts"]
    assert "字" not in names["scripts"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"coverage": 0}, "coverage = 0: expected a share above 0 and up to 1"),
        ({"coverage": 1.5}, "coverage = 1.5"),
        ({"min_count": 0}, "min_count = 0: expected a whole number"),
        ({"max_size": True}, "max_size = True"),
        ({"characters": "all"}, "characters = 'all': expected scripts or seen"),
    ],
)
def test_limits_that_are_not_allowed(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Limits(**limits)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({}, "no text: give the text of at least one language"),
        ({"German": ["a"]}, "text of 'German': expected a BCP-47 code"),
        ({"de": []}, "text of de: has no word"),
        ({"de": "a b"}, "text of de: is a string; expected lines"),
    ],
)
def test_texts_that_are_none(texts: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        count_texts(texts, TOKENIZER)


def test_nothing_to_trim() -> None:
    everything = np.zeros(100, dtype=np.int64)
    everything[sorted(VOCABULARY.subwords)] = 1
    with pytest.raises(SettingError, match=r"nothing to trim: the texts and limits keep all \d+ subwords"):
        choose_subwords({"de": everything}, VOCABULARY, Limits())
