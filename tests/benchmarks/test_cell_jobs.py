"""Which cells a benchmark makes, in which order, and what its command line does."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import e5
import numpy as np
import pytest
from cell_jobs import Job, make, parse_kinds, run_stage, stage_parser
from e5 import cell_file, keep


@pytest.fixture(autouse=True)
def no_other_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5, "WORK", tmp_path / "locks")


def test_a_job_waits_for_the_cell_it_needs_and_is_done_once(tmp_path: Path) -> None:
    cells, unfinished, done = tmp_path / "cells", tmp_path / "unfinished", []

    def work(name: str, resume_file: Path) -> None:
        assert resume_file == unfinished / f"{name}.partial"
        resume_file.touch()
        keep(cell_file(cells, name), {"right": np.array([1])})
        done.append(name)

    wanted = [Job("second", "b", "a", partial(work, "b")), Job("first", "a", None, partial(work, "a"))]
    for expected in (["a"], ["a", "b"], ["a", "b"]):
        make(wanted, cells, unfinished=unfinished)
        assert done == expected
    assert not any(unfinished.iterdir())


def test_kinds_are_checked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "first"])
    assert parse_kinds(argparse.ArgumentParser(), ("first", "second")).kinds == ["first"]
    monkeypatch.setattr(sys, "argv", ["x", "third"])
    with pytest.raises(SystemExit):
        parse_kinds(argparse.ArgumentParser(), ("first", "second"))
    assert "unknown kind third; expected first, second" in capsys.readouterr().err


def test_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names, done = ("a", "b"), []

    def work(path: Path) -> None:
        path.touch()
        done.append(path.name)

    cells: dict[Path, Callable[[], object]] = {path: partial(work, path) for path in map(tmp_path.joinpath, names)}

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["x", *arguments])
        parser = stage_parser("Text.\n\nMore.")
        run_stage(parser, parser.parse_args(), cells, table=lambda: tmp_path / "t.json", trial=lambda: {"points": 1 / 3})
        return capsys.readouterr().out

    (tmp_path / "a").touch()
    assert run("--list") == "1 of 2 cells\n"
    run("cells")
    assert done == ["b"]
    assert run("--list") == "2 of 2 cells\n"
    assert run("--try") == "{'points': 0.33333}\n"
    run("table")
    with pytest.raises(SystemExit):
        run()
