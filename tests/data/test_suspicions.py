"""Text that looks misread is named in one line; ordinary text is not."""

import pytest

from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.suspicions import seen_before, suspicious_text


def dataset(*sentences: str, split: str = "train") -> Dataset:
    made = (Sentence(tuple(text.split()), ("O",) * len(text.split()), "en", "x:1") for text in sentences)
    return Dataset("en=x.txt", "en", split, tuple(made))


WORDS = [f"{letter}{number}" for letter in "abcde" for number in range(10)]


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        ([" ".join(WORDS)] * 3, []),
        ([" ".join(WORDS * 30)], ["the longest of 1 sentence has 1,500 words: are blank lines between sentences missing?"]),
        (WORDS, ["every sentence has one word: does a blank line follow each word?"]),
        (WORDS[:10], []),
        ([" ".join(f"nl:{word}" for word in WORDS)], ["all 50 different words begin with 'nl:': is that part of the text?"]),
        ([], []),
    ],
)
def test_what_looks_wrong_is_one_line_each(sentences: list[str], said: list[str]) -> None:
    assert list(suspicious_text(dataset(*sentences))) == said


def test_a_test_set_that_was_trained_on_is_named() -> None:
    train = dataset("a b", "c d", "e f")
    (said,) = seen_before([train], [dataset("a b", "c d", "x y", split="test")])
    assert said.startswith("en=x.txt test: 2 of 3 sentences are also in the text that is trained")
    assert not list(seen_before([train], [dataset("a b", *(f"x {i}" for i in range(20)), split="test")]))
    assert not list(seen_before([train], [dataset("x y", split="test"), dataset(split="test")]))
