"""Seeded parts of a corpus."""

import pytest

from polyhead.core.errors import SettingError
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import halves, sample, sampled


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3"])
def test_a_sample_has_a_whole_number_of_sentences(n: object) -> None:
    with pytest.raises(SettingError, match=r"sample of .* sentences: expected a whole number, 1 or more"):
        sample(open_corpus("phrases/en", "dev"), n, seed=1)  # type: ignore[arg-type]


def test_the_places_of_a_sample_are_those_that_it_draws() -> None:
    data = open_corpus("phrases/en", "dev")
    n = len(data.sentences)
    places = sampled(n, 20, seed=3)
    assert sample(data, 20, seed=3).sentences == tuple(data.sentences[i] for i in places)
    assert sampled(n, None, seed=3) == sampled(n, n + 1, seed=3) == list(range(n))


@pytest.mark.parametrize("n", [2, 7])
def test_halves_are_disjoint_seeded_and_hold_everything(n: int) -> None:
    one, other = halves(n, seed=1)
    assert sorted(one + other) == list(range(n))
    assert (len(one) - len(other), one, other) == (n % 2, sorted(one), sorted(other))
    assert halves(n, seed=1) == (one, other)
    assert len({tuple(halves(n, seed=seed)[0]) for seed in range(9)}) > 1
    with pytest.raises(SettingError, match="1 sentence: at least 2"):
        halves(1, seed=1)
