"""`polyhead report`: what it writes, what it refuses before it writes anything."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.cases import refused
from report.curve_document import CURVE
from report.page_case import write_many, write_run


def test_one_run_gets_its_page_beside_it(cli: Callable, tmp_path: Path) -> None:
    run = write_run(tmp_path / "one")
    found = cli("report", run)
    assert (found.code, found.out) == (0, f"page: {run / 'report.html'}\n")
    text = (run / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert not [word for word in ("http://", "https://", "@import", 'src="/') if word in text.replace("http://www.w3.org", "")]


def test_several_runs_markdown_pictures_and_curves(cli: Callable, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a" / "demo"), write_run(tmp_path / "b" / "demo", seed=1)]
    (tmp_path / "curve.json").write_text(json.dumps(CURVE))
    out, pictures = tmp_path / "both.html", tmp_path / "pictures"
    options = ["--out", out, "--markdown", tmp_path / "both.md", "--pictures", pictures, "--curve", tmp_path / "curve.json"]
    found = cli("report", *runs, *options, "--json")
    assert found.code == 0, found.err
    assert found.json["page"] == str(out)
    names = {Path(path).name for path in found.json["pictures"]}
    assert names == {path.name for path in pictures.iterdir()}
    assert {"gains.svg", "gains.png", "curve.svg", "agreement-of-runs.png", "heads-1-a-demo.svg", "heads-2-b-demo.png"} <= names
    assert (pictures / "gains.png").read_bytes().startswith(b"\x89PNG")
    markdown = (tmp_path / "both.md").read_text(encoding="utf-8")
    assert "# 2 runs side by side" in markdown
    assert "## Gains side by side" in markdown
    assert "## Pruning curve: ud/en_ewt, dev" in markdown
    assert markdown.count("## Lowest-ranked heads") == 2
    assert "Score on ud/en_ewt (dev) against the number of heads ablated" in out.read_text(encoding="utf-8")


def test_bad_runs_are_refused_and_nothing_is_written(cli: Callable, tmp_path: Path) -> None:
    good, bad = write_many(tmp_path, 2)
    out = tmp_path / "page.html"
    refused(cli("report", good, tmp_path / "nowhere", "--out", out), "nowhere: no such folder")
    (bad / "result.json").write_text("{", encoding="utf-8")
    refused(cli("report", good, bad, "--out", out), "result.json: not the result of a run, or damaged (not JSON: Expecting")
    (bad / "result.json").write_text("[]", encoding="utf-8")
    refused(cli("report", good, bad, "--out", out), "not the result of a run")
    (bad / "result.json").unlink()
    refused(cli("report", bad, "--out", out), "holds no run")
    refused(cli("report", good, good, "--out", out), "given twice")
    (tmp_path / "x.json").write_text('{"orders": 3}', encoding="utf-8")
    refused(
        cli("report", good, "--curve", tmp_path / "x.json", "--out", out),
        "x.json: not a pruning curve, or damaged (schema is missing); give the curve.json",
    )
    (bad / "result.json").write_text(json.dumps({"schema": 2}), encoding="utf-8")
    refused(
        cli("report", good, bad, "--out", out),
        "not the result of a run, or damaged (command is missing); run the same polyhead run command again",
    )
    assert not out.exists()


@pytest.mark.parametrize("option", ["--out", "--markdown"])
def test_results_and_inputs_are_not_written_over(cli: Callable, tmp_path: Path, option: str) -> None:
    run = write_run(tmp_path / "one")
    before = (run / "result.json").read_bytes()
    refused(cli("report", run, option, run / "result.json"), "result.json: would be overwritten")
    refused(cli("report", run, option, run), "is a folder")
    assert (run / "result.json").read_bytes() == before
    curve = tmp_path / "curve.txt"
    curve.write_text(json.dumps(CURVE))
    refused(cli("report", run, "--curve", curve, option, curve), "is also an input")
    refused(cli("report", run, "--pictures", curve), "is a file, not a folder")


def test_a_run_without_a_profile_is_drawn_with_a_note(cli: Callable, tmp_path: Path) -> None:
    found = cli("report", write_run(tmp_path / "bare", profile=False))
    assert found.code == 0
    assert "bare: has no heads.json" in found.err
