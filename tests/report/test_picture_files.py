"""Pictures for papers: every chart in both kinds, names that never meet, a folder that cannot be written refused."""

from pathlib import Path

import pytest
from report.page_case import write_run

from polyhead.core.errors import SettingError, StoreError
from polyhead.report.finished_run import finished_run, finished_runs
from polyhead.report.picture_files import write_pictures

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")


def test_one_run_has_its_map_trials_gains_and_agreement(tmp_path: Path) -> None:
    written = write_pictures([finished_run(write_run(tmp_path / "one"))], [], tmp_path / "deep" / "pictures")
    kinds = ("svg", "png")
    assert {path.name for path in written} == {f"{name}.{k}" for name in ("gains", "heads", "trials", "agreement") for k in kinds}
    assert {*written} == {*(tmp_path / "deep" / "pictures").iterdir()}


@pytest.mark.slow
def test_runs_of_names_that_look_the_same_do_not_meet(tmp_path: Path) -> None:
    runs = finished_runs([write_run(tmp_path / "a b" / "x"), write_run(tmp_path / "a?b" / "x")])
    written = write_pictures(runs, [], tmp_path / "pictures")
    assert len({path.name for path in written}) == len(written)
    assert {path.name for path in written} >= {"heads-1-a-b-x.svg", "heads-2-a-b-x.svg"}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_pictures([finished_run(write_run(tmp_path / "one"))], [], tmp_path / "file" / "pictures")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.report.picture_files.drawing_library", lambda: None)
    with pytest.raises(SettingError, match="pip install"):
        write_pictures([finished_run(write_run(tmp_path / "one"))], [], tmp_path)
