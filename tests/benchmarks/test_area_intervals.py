"""Means of areas over languages have an interval only where all languages have the same three fine-tunings or more."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from area_intervals import areas_of, minus, summary


def counts(rates: tuple[float, ...], seed: int) -> NDArray[np.int64]:
    """`[K + 1, sentences, columns]` of a tagger that is right at these rates."""
    rng, found = np.random.default_rng(seed), np.zeros((len(rates), 512, 5), dtype=np.int64)
    found[..., 0], found[..., 1] = [rng.binomial(10, rate, size=512) for rate in rates], 10
    return found


def test_a_mean_over_languages_needs_the_same_fine_tunings_in_each() -> None:
    curves = {language: {seed: [counts((0.9, 0.8, 0.7), seed)] for seed in (42, 43, 44)} for language in ("en", "de")}
    areas = areas_of(curves)
    whole = summary(areas, ("en", "de"))
    assert whole["value"] == pytest.approx(0.8 / 0.9, abs=0.02)
    assert whole["low"] < whole["value"] < whole["high"]  # type: ignore[operator]
    fewer = {"en": areas["en"], "de": {seed: own for seed, own in areas["de"].items() if seed != 44}}
    assert summary(fewer, ("en", "de"))["low"] is None
    assert summary(fewer, ("de",)) == {**summary(fewer, ("de",)), "low": None, "high": None, "detectable": None}


def test_differences_are_paired_by_fine_tuning_and_draw() -> None:
    one = areas_of({"en": {seed: [counts((0.9, 0.8), seed)] for seed in (42, 43, 44)}})
    assert summary(minus(one, one), ("en",)) == {"value": 0.0, "low": 0.0, "high": 0.0, "detectable": 0.0}
