"""Targets go by their language and the file that was scored, as long as no other target would be called the same."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import DATA, cell, record, statistic

from polyhead.report.page import page
from polyhead.report.reading import short, shown_names
from polyhead.report.tables import contrast_table, data_table, metric_table, score_table

GERMAN = "de=long/de.dev.conllu:long/de.test.conllu"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["ud/de_gsd", GERMAN], ["ud/de_gsd", "de: de.test.conllu"]),
        (["de@words=a/x.conllu"], ["de@words: x.conllu"]),
        (["de=a/x:a/t", "de=a/y:b/t"], ["de=x:t", "de=y:t"]),
        (["de=a/t", "de=b/t", "nl=b/t"], ["de=a/t", "de=b/t", "nl: t"]),
    ],
)
def test_names_are_short_and_distinct(names: list[str], shown: list[str]) -> None:
    assert list(shown_names(names).values()) == shown


def test_short_stays_as_it_is() -> None:
    assert short(GERMAN) == "de=de.dev.conllu:de.test.conllu"


def test_every_table_uses_them() -> None:
    own = cell(1)
    own["targets"][0]["name"] = GERMAN
    noise = {"noise": {"mean": 0.1, "standard_error": 0.1}, "gain_minus_noise": {"value": 0.1, "interval": [0.1, 0.2]}}
    rows = [statistic(GERMAN, 0.5, **noise), statistic(GERMAN, 0.5, arm="ranked - random")]
    data = [{**DATA, "name": GERMAN, "language": "de", "split": split} for split in ("dev", "test")]
    case = record(own, statistics=rows, facts={"data": [DATA, *data]})
    for table in (score_table(case), metric_table(case), contrast_table(case)):
        assert "| de: de.test.conllu |" in table
        assert "dev.conllu" not in table
    assert "| de: de.test.conllu | test |" in data_table(case)
    assert "| de=de.dev.conllu:de.test.conllu | dev |" in data_table(case), "this row is not of the scored file"
    assert "- de: de.test.conllu (ranked): gain minus" in page(case)
    assert "long/" not in page(case)
