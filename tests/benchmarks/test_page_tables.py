"""Tables of the page on vocabularies, with and without what trimming took."""

from typing import Any

from page_tables import segmentation, vocabulary


def measured(**took: float) -> dict[str, Any]:
    shares = {"words": 100, "changed": 0.05, "unknown": 0.0, "subwords_per_word": [1.5, 1.6]}
    row = {"subwords": [250_037, 16_024], "megabytes": [1112.3, 393.4], "tokenizer_megabytes": 0.8, "held_out": {"de": shares}}
    return {name: {"de, all seen": row | took} for name in ("e5", "xlmr", "mbert")}


def test_what_trimming_took_is_shown_where_it_was_measured() -> None:
    assert "processor s" not in vocabulary(measured())
    lines = vocabulary(measured(cpu_seconds=7.1, peak_megabytes=1157.9)).splitlines()
    assert "| XLM-R base's shape | de | all seen | 250,037 | 16,024 | 1112 | 393 | 35 % | 0.8 | 7 | 1158 |" in lines


def test_a_tokenizer_has_its_words_in_the_table_once() -> None:
    assert len(segmentation(measured()).splitlines()) == 2 + 2
