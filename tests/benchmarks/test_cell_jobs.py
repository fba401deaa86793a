"""Which cells a benchmark makes, in which order, and what its command line does."""

import argparse
import sys
from functools import partial
from pathlib import Path

import e5
import numpy as np
import pytest
from cell_jobs import Job, estimate, make, parse_kinds, run_stage, stage_parser
from e5 import cell_file, keep


@pytest.fixture(autouse=True)
def no_other_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5, "WORK", tmp_path / "locks")


def test_a_job_waits_for_the_cells_it_needs_and_is_done_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells, unfinished, done = tmp_path / "cells", tmp_path / "unfinished", []

    def work(name: str, resume_file: Path) -> None:
        assert resume_file == unfinished / f"{name}.partial"
        resume_file.touch()
        keep(cell_file(cells, name), {"right": np.array([1])})
        done.append(name)

    def job(name: str, *needs: str) -> Job:
        return Job("any", name, tuple(cell_file(cells, need) for need in needs), partial(work, name), passes=100)

    wanted = [job("both", "a", "b"), job("a"), job("never", "other"), job("urgent", "a"), job("b")]
    assert estimate(wanted, cells, seconds=36) == "\n".join(
        [f"{name}: 0 of 5 cells; about 5.0 hours{end}" for name, end in (("any", " of one thread to go"), ("together", ""))]
    )
    for _ in range(2):
        make(wanted, cells, unfinished=unfinished)
        assert done == ["a", "urgent", "b", "both"]
        assert "cells that wait for others: 1; never for other.safetensors.xz" in capsys.readouterr().err
    assert not any(unfinished.iterdir())


def test_kinds_are_checked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "first"])
    assert parse_kinds(argparse.ArgumentParser(), ("first", "second")).kinds == ["first"]
    monkeypatch.setattr(sys, "argv", ["x", "third"])
    with pytest.raises(SystemExit):
        parse_kinds(argparse.ArgumentParser(), ("first", "second"))
    assert "unknown kind third; expected first, second" in capsys.readouterr().err


def test_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def work(name: str, _: Path) -> None:
        keep(cell_file(tmp_path, name), {"right": np.array([1])})
        done.append(name)

    wanted = [Job("some", name, (), partial(work, name), passes=10) for name in ("a", "b")]

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["x", *arguments])
        parser = stage_parser("Text.\n\nMore.", ["times"])
        run_stage(
            parser,
            parser.parse_args(),
            wanted,
            tmp_path,
            unfinished=tmp_path,
            seconds=1,
            table=lambda: tmp_path / "t.json",
            trial=lambda: {"points": 1 / 3},
            stages={"times": partial(done.append, "times")},
        )
        return capsys.readouterr().out

    work("a", tmp_path)
    assert run("--list").startswith("some: 1 of 2 cells")
    run("cells")
    run("times")
    assert done == ["a", "b", "times"]
    assert run("--list").startswith("some: 2 of 2 cells")
    assert run("--try") == "{'points': 0.33333}\n"
    run("table")
    with pytest.raises(SystemExit):
        run()
