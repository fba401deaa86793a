"""One digit or byte of any kept file is changed: the numbers are the undisturbed ones all the same, and the damage is said."""

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import settings, tiny_data

from polyhead.core.errors import StoreError
from polyhead.core.files import sha256_of
from polyhead.report.finished_run import finished_run
from polyhead.report.record import RunRecord
from polyhead.studies.kept import drop_damaged, remember
from polyhead.studies.run import run
from polyhead.studies.settings import RunSettings

KINDS = (
    "fits/settings.json",
    "fits/*/record.json",
    "fits/*/kept.json",
    "fits/*/kept.copy.json",
    "fits/*/figures-*.safetensors",
    "fits/*/scores-*.json",
    "fits/*/screen-*.json",
    "fits/*/model/model.safetensors",
    "fits/*/model/config.json",
    "result.json",
    "heads.json",
    "scores.tsv",
    "report.md",
    "model/model.safetensors",
    "model/config.json",
    "model/README.md",
)


def spec(folder: Path) -> RunSettings:
    return settings(folder, train={"epochs": 1}, search={"max_pruned": 4})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    folder = tiny_data(tmp_path_factory.mktemp("damage"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyhead.studies.run.draw", lambda folder: None)
        return folder, run(spec(folder), out=folder / "whole", device="cpu", head_analysis=5)


def figures(record: RunRecord) -> list[Any]:
    trials = [(trial.k, trial.heads, trial.dev) for trial in record.first.trials]
    return [trials, record.first.targets, record.first.scores, record.first.screen, record.statistics, record.cost]


def change(path: Path) -> None:
    """Another digit in the middle of a text; another bit in the middle of a binary file."""
    content = bytearray(path.read_bytes())
    digits = [match.start() for match in re.finditer(rb"\d", bytes(content))]
    binary = path.suffix == ".safetensors"
    place = len(content) * 3 // 4 if binary or not digits else digits[len(digits) // 2]
    content[place] = content[place] ^ 4 if binary or not digits else ord("0") + (content[place] - ord("0") + 1) % 10
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("unfinished", [False, True], ids=["finished", "unfinished"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_never_becomes_a_number(
    whole: tuple[Path, RunRecord],
    kind: str,
    unfinished: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without `result.json` all figures are read again from what is kept; with it the finished run is checked and repaired."""
    folder, wanted = whole
    monkeypatch.setattr("polyhead.studies.run.draw", lambda folder: None)
    out = tmp_path / "out"
    shutil.copytree(folder / "whole", out)
    damaged = sorted(out.glob(kind))
    assert damaged
    before = {path: sha256_of(path) for path in damaged}
    if unfinished:
        (out / "result.json").unlink()
    for path in filter(Path.exists, damaged):
        change(path)
    if kind == "fits/settings.json":
        with pytest.raises(StoreError, match=r"settings\.json: damaged: .*: delete it and run again"):
            run(spec(folder), out=out, device="cpu", head_analysis=5)
        damaged[0].unlink()
    with caplog.at_level(logging.WARNING):
        record = run(spec(folder), out=out, device="cpu", head_analysis=5)
    assert figures(record) == figures(wanted)
    assert finished_run(out).record == record
    if kind in (
        "heads.json",
        "scores.tsv",
        "model/model.safetensors",
        "model/config.json",
        *(() if unfinished else ("report.md",)),
    ):
        assert {path: sha256_of(path) for path in damaged} == before, "what the run promises is there again"
    assert not [line for line in caplog.messages if "run the same" in line], "this is that run"
    if not unfinished and kind not in ("report.md", "fits/*/kept.json", "fits/*/kept.copy.json", "fits/settings.json"):
        assert len([line for line in caplog.messages if str(out) in line and "\n" not in line]) >= 1


def test_what_was_half_written_goes_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit = tmp_path / "fits" / "abc"
    (fit / "model").mkdir(parents=True)
    (fit / "state").mkdir()
    for name in ("dev.json", "test.json", ".dev.json.x1.tmp", "model/a.safetensors", "state/training.json", "scores.0.partial"):
        (fit / name).write_text("{}")
    remember(fit, "dev.json")
    drop_damaged(tmp_path / "fits")
    left = sorted(path.relative_to(fit).as_posix() for path in fit.rglob("*") if path.is_file())
    assert left == ["dev.json", "kept.copy.json", "kept.json", "scores.0.partial", "state/training.json"]
    assert not caplog.messages


def test_what_was_damaged_is_said_in_one_line_and_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit = tmp_path / "fits" / "abc"
    fit.mkdir(parents=True)
    (fit / "dev.json").write_text("1")
    remember(fit, "dev.json")
    (fit / "dev.json").write_text("2")
    drop_damaged(tmp_path / "fits")
    assert not (fit / "dev.json").exists()
    (line,) = caplog.messages
    assert str(fit / "dev.json") in line


@pytest.mark.parametrize("damage", [change, Path.unlink, lambda path: path.write_text("{")], ids=["digit", "gone", "half"])
@pytest.mark.parametrize("kinds", [["kept.json"], ["kept.copy.json"], ["kept.json", "kept.copy.json"]], ids=len)
def test_one_damaged_ledger_costs_nothing_and_two_say_what_they_cost(
    whole: tuple[Path, RunRecord],
    kinds: list[str],
    damage: Callable[[Path], Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "fits"
    shutil.copytree(whole[0] / "whole" / "fits", out)
    before = {path: path.read_bytes() for path in out.glob("*/*") if path.is_file()}
    folders = {path.parent for path in before}
    for kind in kinds:
        for path in out.glob(f"*/{kind}"):
            damage(path)
    drop_damaged(out)
    after = {path: path.read_bytes() for path in out.glob("*/*") if path.is_file()}
    if len(kinds) == 1:
        assert after == before
        assert not caplog.messages
    else:
        assert after == {}
        assert len(caplog.messages) == len(folders)
        assert all("weights, scores and figures are discarded and computed again" in line for line in caplog.messages)
