"""Runs read back: what is refused, with the file and the fault in one line, and how runs of one name are told apart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report.page_case import write_many, write_run

from polyhead.core.errors import StoreError
from polyhead.report.document import _digest
from polyhead.report.finished_run import finished_run, finished_runs
from polyhead.report.head_facts import head_facts
from polyhead.report.markdown_page import markdown_page
from polyhead.report.packing import page_data


def test_reads_the_record_and_the_profile(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path / "one"))
    assert (run.name, run.record.shape, run.record.first.seed) == ("one", (6, 8), 42)
    assert run.heads is not None
    assert finished_run(write_run(tmp_path / "two", profile=False)).heads is None
    (also,) = finished_runs([tmp_path / "one" / "result.json"])
    assert also.record == run.record


def test_names_are_as_long_as_they_must_be(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a" / "demo"), write_run(tmp_path / "b" / "demo"), write_run(tmp_path / "c")]
    assert [run.name for run in finished_runs(paths)] == ["a/demo", "b/demo", f"{tmp_path.name}/c"]
    assert [run.name for run in finished_runs(write_many(tmp_path, 2))] == ["run-0", "run-1"]


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such folder"):
        finished_run(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="holds no run"):
        finished_run(tmp_path)
    (tmp_path / "fits").mkdir()
    with pytest.raises(StoreError, match="is not finished: run the same polyhead run command again"):
        finished_run(tmp_path)
    with pytest.raises(StoreError, match="given twice"):
        finished_runs([write_run(tmp_path / "x"), tmp_path / "y" / ".." / "x"])


def sealed(document: Any) -> Any:
    """With the hash of its content, as if it had been written so: faults of form and sense are seen even then."""
    if isinstance(document, dict):
        document["sha256"] = _digest({key: value for key, value in document.items() if key not in ("schema", "sha256")})
    return document


def spoil(record: dict[str, Any], *keys: Any, value: Any) -> dict[str, Any]:
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return record


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: [r], "expected a JSON object"),
        (lambda r: spoil(r, "schema", value=7), "schema is 7, expected 2"),
        (lambda r: spoil(r, "settings", "task", value="poetry"), "settings.task is 'poetry'"),
        (lambda r: spoil(r, "settings", "sources", value="en"), "settings.sources should be a valid array, found 'en'"),
        (lambda r: spoil(r, "cells", value=[]), "cells List should have at least 1 item"),
        (lambda r: spoil(r, "cells", 0, "trials", value=None), "cells.0.trials is missing"),
        (lambda r: spoil(r, "cells", 1, "scores", value=[[1, 2], [3]]), "scores of cells.1 do not have"),
        (lambda r: spoil(r, "cells", 0, "scores", value="x"), "cells.0.scores should be"),
        (lambda r: spoil(r, "cells", 0, "trials", value=[{"k": 0}]), "cells.0.trials.0.heads is missing"),
        (lambda r: spoil(r, "cells", 0, "targets", value=[]), "cells.0.targets List should have"),
        (lambda r: spoil(r, "cells", 0, "targets", 2, "unpruned", value={"macro_f1": 3}), "has no accuracy"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    path = write_run(tmp_path) / "result.json"
    spoilt = change(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(sealed(spoilt)), encoding="utf-8")
    with pytest.raises(StoreError, match=said) as caught:
        finished_run(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{path}: not the result of a run, or damaged (")
    assert text.endswith("; run the same polyhead run command again")
    assert text.count("again") == 1, "one next step"
    assert "\n" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: spoil(h, "schema", value=1), "schema is 1, expected 2"),
        (lambda h: spoil(h, "left_out", value=None), "left_out is missing"),
        (lambda h: spoil(h, "languages", 0, "effects", value=None), "languages.0.effects is missing"),
        (lambda h: spoil(h, "languages", 1, "effects", "low", value=[[1.0]]), "6 layers of 8 heads"),
        (lambda h: spoil(h, "languages", 1, "attention", "relations", "obj", "to_head", "shares", value=[[1.0]]), "6 layers"),
        (lambda h: spoil(h, "languages", 2, "attention", "even", "next", value=None), "uniform attention to next"),
        (lambda h: spoil(h, "languages", 2, "examples", 1, "words", value=["one"]), "not those of its 1 words"),
        (lambda h: spoil(h, "model_hash", value="b" * 64), "another encoder"),
    ],
)
def test_a_damaged_profile_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    path = write_run(tmp_path) / "heads.json"
    spoilt = change(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(sealed(spoilt)), encoding="utf-8")
    with pytest.raises(StoreError, match=said) as caught:
        finished_run(tmp_path)
    assert str(path) in str(caught.value)


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, of lists the first alone; matrices no deeper than their rows."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        yield (*before, 0)
    elif isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(1, len(value))):
            yield (*before, key)
            yield from places(value[key], (*before, key))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["result.json", "heads.json"])
@pytest.mark.parametrize("wrong", [None, "x", 3, -1.5, True, [], {}, [None]])
def test_no_damage_anywhere_is_more_than_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: object
) -> None:
    folder = write_run(tmp_path)
    files = {own: json.loads((folder / own).read_text(encoding="utf-8")) for own in ("result.json", "heads.json")}
    monkeypatch.setattr("polyhead.report.document.read_content", lambda path, what, then: files[path.name])
    whole = files[name]
    refusals = []
    for place in places(whole):
        files[name] = sealed(changed(whole, place, wrong))
        try:
            run = finished_run(folder)
            page_data([head_facts(run)], across=None, room=10**7, text=True)
            markdown_page([run])
        except StoreError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert not [text for text in refusals if "\n" in text]


def changed(value: Any, place: tuple[Any, ...], to: object) -> Any:
    """A copy with one thing changed; what is left as it was is shared."""
    if not place:
        return to
    made = value.copy()
    made[place[0]] = changed(value[place[0]], place[1:], to)
    return made
