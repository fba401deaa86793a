"""What failed is kept in a readable file with its traceback, and counted."""

import json
from pathlib import Path

import pytest

from polyhead.studies.failures import forget_failure, read_failure, read_failures, record_failure


def failed(folder: Path, name: str = "cell") -> None:
    try:
        raise ValueError("no such\ncorpus")
    except ValueError as error:
        record_failure(folder, name, error, worker="w1")


def test_a_failure_says_what_where_and_how_often(tmp_path: Path) -> None:
    folder = tmp_path / "failures"
    assert read_failures(folder) == {}
    failed(folder)
    failed(folder)
    failed(folder, "other")
    found = read_failure(folder, "cell")
    assert found is not None
    assert (found.what, found.worker, found.times) == ("ValueError: no such corpus", "w1", 2)
    assert 'raise ValueError("no such\\ncorpus")' in (folder / found.trace).read_text(encoding="utf-8")
    assert sorted(read_failures(folder)) == ["cell", "other"]
    assert json.loads((folder / "cell.json").read_text(encoding="utf-8"))["times"] == 2
    forget_failure(folder, "cell")
    assert sorted(path.name for path in folder.iterdir()) == ["other.json", "other.trace.txt"]


def test_a_damaged_failure_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    failed(tmp_path)
    (tmp_path / "cell.json").write_text("{")
    assert read_failures(tmp_path) == {}
    assert "cell.json: damaged" in caplog.messages[-1]
    failed(tmp_path)
    assert read_failures(tmp_path)["cell"].times == 1
