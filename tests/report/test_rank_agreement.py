"""How far rankings agree: within a run over seeds and languages, between runs of one encoder alone."""

from pathlib import Path

import pytest
from report.page_case import edited, write_many, write_run
from scipy.stats import spearmanr

from polyhead.report.finished_run import finished_run, finished_runs
from polyhead.report.rank_agreement import agreement_table, between_runs, within_run


def test_within_a_run_seeds_and_languages_are_compared(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    found = within_run(run)
    assert found is not None
    assert found.names[:6] == (*(f"seed {seed}" for seed in range(42, 47)), "ud/en_ewt")
    assert found.rho[0][0] is None  # one run of a seed has nothing to agree with
    assert run.heads is not None
    one, other = run.record.first.scores, run.heads.languages[0].scores["gradient"]
    expected = spearmanr([v for row in one for v in row], [v for row in other for v in row]).statistic
    assert found.rho[0][5] == found.rho[5][0] == pytest.approx(expected)
    assert f"| {expected:.2f} |" in agreement_table(found)


def test_one_seed_without_a_profile_has_nothing_to_compare(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path, profile=False), lambda record: record.update(cells=record["cells"][:1]))
    assert within_run(run) is None


def test_runs_of_one_encoder_are_compared_and_others_named(tmp_path: Path) -> None:
    paths = [*write_many(tmp_path, 2), write_run(tmp_path / "other", model_hash="c" * 64)]
    found, why = between_runs(finished_runs(paths))
    assert found is not None
    assert found.names == ("run-0", "run-1")
    assert found.rho[0][0] is not None  # two seeds agree to some degree
    assert why == "Not compared, because they start from another encoder: other."
    alone, why = between_runs(finished_runs([paths[0], paths[2]]))
    assert alone is None
    assert "No two runs start from the same encoder" in why
