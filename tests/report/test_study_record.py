"""Records of a study's cells: what is written is read, counts when asked for, damage said."""

from pathlib import Path

import numpy as np
import pytest
from fake_study import Fake, write_store

from polyhead.core.errors import StoreError
from polyhead.report.study_record import read_cells, without_counts, write_cell

FAKE = Fake(seeds=(42, 43), targets=("ud/de_gsd", "ud/nl_alpino"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert write_store(tmp_path, FAKE) == 4
    cells = read_cells(tmp_path)
    assert [cell.name for cell in cells] == sorted(path.stem for path in (tmp_path / "cells").glob("*.json"))
    for cell in cells:
        assert cell.result is not None
        for target in cell.result.targets:
            counts = cell.counts(target.name, target.k)
            assert counts.dtype.kind == "u"
            assert 100 * counts[:, 0].sum() / counts[:, 1].sum() == pytest.approx(target.pruned["accuracy"])
        assert cell.has_counts("ud/de_gsd", 0, kind="nested")
        assert not cell.has_counts("ud/de_gsd", 7)


def test_counts_are_read_once_and_only_when_asked_for(tmp_path: Path) -> None:
    write_store(tmp_path, FAKE)
    cell = read_cells(tmp_path)[0]
    first = cell.counts("ud/de_gsd", 0)
    (path,) = (tmp_path / "cells").glob(f"{cell.name}.*.safetensors")
    path.write_bytes(b"damaged")
    assert cell.counts("ud/de_gsd", 0) is first
    (cell,) = (one for one in read_cells(tmp_path) if one.name == cell.name)
    with pytest.raises(StoreError, match="changed after it was written: sha256 is"):
        cell.counts("ud/de_gsd", 0)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        cell.counts("ud/de_gsd", 0)


def test_counts_that_are_not_kept_are_named(tmp_path: Path) -> None:
    write_store(tmp_path, FAKE)
    with pytest.raises(StoreError, match="has no counts 'test/ud/de_gsd/7'; it has nested/ud/de_gsd/0"):
        read_cells(tmp_path)[0].counts("ud/de_gsd", 7)


def test_large_counts_keep_their_values(tmp_path: Path) -> None:
    write_store(tmp_path, FAKE)
    counts = {"test/x/0": np.array([[70_000, 300]]), "test/x/4": np.zeros((0, 2), dtype=np.int64)}
    cell = write_cell(tmp_path, "big", read_cells(tmp_path)[0], counts)
    assert cell.counts("x", 0).tolist() == [[70_000, 300]]
    assert cell.counts("x", 4).shape == (0, 2)


def test_damaged_cells_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_store(tmp_path, FAKE)
    half, changed, alone, _ = sorted((tmp_path / "cells").glob("*.json"))
    half.write_bytes(half.read_bytes()[:200])
    changed.write_text(changed.read_text(encoding="utf-8").replace("merged", "summed"), encoding="utf-8")
    next(alone.parent.glob(f"{alone.stem}.*.safetensors")).unlink()
    faults: list[StoreError] = []
    assert len(read_cells(tmp_path, on_damaged=faults.append)) == 1
    assert [("half written, or changed" in str(fault), "no such file" in str(fault)) for fault in faults] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert without_counts(alone.parent) == [alone]
    read_cells(tmp_path)
    assert caplog.text.count("left out: ") == 3


def test_a_store_without_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no finished cell of a study"):
        read_cells(tmp_path)
    (tmp_path / "study.toml").touch()
    with pytest.raises(StoreError, match=r"study\.toml: is a file; expected the folder of a study"):
        read_cells(tmp_path / "study.toml")
    with pytest.raises(StoreError, match="none: no such folder; expected the folder of a study"):
        read_cells(tmp_path / "none")
