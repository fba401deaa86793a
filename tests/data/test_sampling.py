"""Seeded parts of a corpus."""

import pytest

from polyhead.core.errors import SettingError
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import sample


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3"])
def test_a_sample_has_a_whole_number_of_sentences(n: object) -> None:
    with pytest.raises(SettingError, match=r"sample of .* sentences: expected a whole number, 1 or more"):
        sample(open_corpus("phrases/en", "dev"), n, seed=1)  # type: ignore[arg-type]
