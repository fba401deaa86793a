"""The runs that tests of the page are drawn from hold what a real run's files hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from report.page_case import write_run

from polyhead.report.document import read_document
from polyhead.report.finished_run import finished_run
from polyhead.report.heads_form import HeadsRecord


@pytest.mark.parametrize("seed", range(3))
def test_weights_sum_to_one_and_intervals_hold_their_figure(tmp_path: Path, seed: int) -> None:
    run = finished_run(write_run(tmp_path, seed=seed))
    assert run.heads is not None
    languages = read_document(tmp_path / "heads.json", HeadsRecord).languages
    for own in languages:
        for example in own.examples:
            rows = [row for layer in example.weights for head in layer for row in head]
            assert {len(row) for row in rows} == {len(example.words) + 1}
            assert {round(1000 * sum(row)) for row in rows} == {1000}
            assert all(value == round(value, 3) for row in rows for value in row)
        effects = own.effects
        low, middle, high = (np.array(matrix) for matrix in (effects.low, effects.difference, effects.high))
        assert ((low < middle) & (middle < high)).all()
        shares = own.attention.shares.values()
        assert all(sum(matrix[i][j] for matrix in shares) < 1 for i in range(6) for j in range(8))
    for row in run.record.statistics:
        assert row.interval is not None
        assert row.interval[0] < row.gain < row.interval[1]


def test_a_head_that_is_gone_has_no_figures_at_all(tmp_path: Path) -> None:
    write_run(tmp_path, missing=((2, 4),))
    run = finished_run(tmp_path)
    assert run.record.first.scores[2][4] is None
    assert "2.4" not in run.record.first.ranking
    own = json.loads((tmp_path / "heads.json").read_text(encoding="utf-8"))["languages"][2]
    assert own["attention"]["relations"]["nsubj"]["to_head"]["shares"][2][4] is None
    assert {value for row in own["examples"][0]["weights"][2][4] for value in row} == {None}
