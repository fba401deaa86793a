"""Tables of the pages on vocabularies, with and without what trimming took, and on exports."""

from typing import Any

from page_tables import exports, runtimes, segmentation, vocabulary


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


def test_exports_and_their_runtimes() -> None:
    graph = {"runtime": "onnx int8", "pruned_share": 0.5, "megabytes": 120.4, "resident_megabytes": 300.2}
    took = {"seconds": 41.2, "export_peak_megabytes": 2900.0, "difference": 1e-6, "int8_difference": 0.25}
    torch = {**graph, "runtime": "torch"}
    assert exports({"exports": [graph | took, graph | took | {"int8_difference": None}, torch]}).splitlines()[2:] == [
        "| 50 % | onnx int8 | 41 | 2900 | 120 | 300 | 2.5e-01 |",
        "| 50 % | onnx int8 | 41 | 2900 | 120 | 300 | 1.0e-06 |",
        "| 50 % | torch |  |  | 120 | 300 |  |",
    ]
    times = {"batch": 1, "length": 16, "median_seconds": 0.0123, "speed_up": 1.5, "speed_up_quartiles": [1.4, 1.6]}
    assert "| 50 % | 1 × 16 | onnx int8 | 12.3 | 1.50 (1.40 to 1.60) |" in runtimes({"rows": [graph | times]})
