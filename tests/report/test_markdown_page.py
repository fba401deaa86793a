"""The page as Markdown: the tables of the HTML page, the heads that went first, what was not measured."""

from pathlib import Path

from report.curve_document import CURVE
from report.page_case import edited, write_many, write_run

from polyhead.report.finished_run import finished_run, finished_runs
from polyhead.report.markdown_page import head_table, markdown_page


def test_the_lowest_heads_stand_in_order_with_effects_and_intervals(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    lines = head_table(run).splitlines()
    assert lines[0].startswith("| place | head |  | ud/en_ewt | ud/de_gsd |")
    assert [line.split(" | ")[1] for line in lines[2:]] == run.record.first.ranking[:12]
    assert [line.split(" | ")[2] for line in lines[2:]] == ["pruned"] * 4 + [""] * 8
    assert run.heads is not None
    layer, head = map(int, run.record.first.ranking[0].split("."))
    effects = run.heads.languages[0].effects
    value, low, high = (matrix[layer][head] for matrix in (effects.difference, effects.low, effects.high))
    assert f"| {value:+z.2f} ({low:+z.2f} to {high:+z.2f}) |" in lines[2]


def test_a_head_without_an_effect_or_interval_is_a_dash(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    layer, head = map(int, run.record.first.ranking[0].split("."))
    assert run.heads is not None
    run.heads.languages[0].effects.low[layer][head] = None
    assert head_table(run).splitlines()[2].split(" | ")[3] == "–"


def test_several_runs_share_tables_and_have_their_own(tmp_path: Path) -> None:
    text = markdown_page(finished_runs(write_many(tmp_path, 2)))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[:3] == ["# 2 runs side by side", "## Gains side by side", "## How far rankings agree between runs"]
    assert [line for line in headings if line.startswith("# run-")] == [
        "# run-0: pos: ud/en_ewt to 5 targets",
        "# run-1: pos: ud/en_ewt to 5 targets",
    ]
    assert headings.count("## Provenance") == 2


def test_a_curve_has_its_areas(tmp_path: Path) -> None:
    runs = [finished_run(write_run(tmp_path))]
    assert "Pruning curve" not in markdown_page(runs)
    text = markdown_page(runs, curves=[CURVE])
    assert "## Pruning curve: ud/en_ewt, dev\n\n| order | area | 95 % interval |" in text
    assert "| gradient, lowest first | 0.9700 | 0.9600 to 0.9800 |" in text


def test_what_was_not_measured_and_how_methods_differ_is_said(tmp_path: Path) -> None:
    bare = finished_run(write_run(tmp_path / "bare", profile=False))
    assert "The effect of single heads in each language was not measured." in markdown_page([bare])
    run = finished_run(write_run(tmp_path / "one"))
    assert "differ by method" not in markdown_page([run])
    run = edited(run.folder, lambda record: record["cells"][0]["ranking_cost"].update(method="shapley"))
    assert "Seeds are scored by shapley, languages by gradient" in markdown_page([run])
