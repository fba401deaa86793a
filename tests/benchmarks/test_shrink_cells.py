"""Cells of a tiny tagger: what is out of reach, what is kept from one cell to the next, and whose counts belong together."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shrink_cells
import torch
from e5 import keep, kept
from shrink_cells import (
    OUT_OF_REACH,
    ROUND_TRIP,
    SETTINGS,
    SHAPES,
    Asked,
    Design,
    before,
    before_name,
    distil_name,
    distilled,
    shrunk,
)
from shrink_rows import whole_in_int8
from studies.shrink_case import made_up_table, smaller_table

from polyhead.compression.checkpoint_size import checkpoint_bytes
from polyhead.core.errors import SettingError
from polyhead.data.corpora import open_corpus
from polyhead.studies.shrink_steps import finished

LARGE = SHAPES[-1]
SHAPE = {"batch": LARGE[0], "length": LARGE[1]}


@pytest.fixture
def design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Design:
    """Of the tiny encoder and phrases in two languages."""
    monkeypatch.setattr(shrink_cells, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(shrink_cells, "encoder", lambda: "polyhead/tiny")
    corpora = {language: f"phrases/{language}" for language in ("en", "de")}
    monkeypatch.setitem(SETTINGS, "pos", replace(SETTINGS["pos"], corpora=corpora))
    shrink_cells.tagger.cache_clear()
    shrink_cells.labelled_tests.cache_clear()
    tables = {LARGE: made_up_table(**SHAPE)}
    return Design(train=32, dev=12, test=8, scored=4, minutes=0.001, folder=tmp_path / "cells", tables=tables)


def test_only_a_speed_that_no_plan_has_is_out_of_reach(design: Design, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    far = Asked("joint", 42, 100.0)
    shrunk(far, design, tmp_path / "partial")
    assert [*kept(design.cell(far.name))] == [OUT_OF_REACH]
    assert "without all its heads and neurons the model is 7 times as fast" in capsys.readouterr().err
    wrong, asked = replace(design, tables={LARGE: smaller_table(**SHAPE)}), Asked("joint", 42, 2.0)
    with pytest.raises(SettingError, match="the latency table is of a model of 2 layers"):
        shrunk(asked, wrong, tmp_path / "partial")
    assert not design.cell(asked.name).exists()


def test_a_tagger_trained_again_has_to_be_that_of_the_cells(design: Design, tmp_path: Path) -> None:
    before("pos", 42, design, tmp_path / "partial")
    whole, folder = design.cell(before_name("pos", 42)), tmp_path / "unfinished" / "pos.32.42"

    def forget() -> None:
        shutil.rmtree(folder)
        shrink_cells.tagger.cache_clear()

    forget()
    shrink_cells.tagger("pos", 42, design)
    assert (folder / "config.json").is_file()
    forget()
    found = kept(whole)
    found["de"][0, 0] += 1
    keep(whole, found)
    with pytest.raises(SystemExit, match=r"before\.42.*another than that of the cells; copy .*pos\.32\.42 from where"):
        shrink_cells.tagger("pos", 42, design)
    assert not folder.exists(), "a second call finds the same"


def test_a_distillation_begins_with_the_weights_that_its_search_repaired(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before("pos", 42, design, tmp_path / "partial")
    asked, made = Asked("joint", 42, 2.0), []
    monkeypatch.setattr(shrink_cells, "finished", lambda *given: made.append(finished(*given)) or made[-1])
    monkeypatch.setattr(shrink_cells, "text", lambda language: open_corpus(f"phrases/{language}", "train"))
    shrunk(asked, design, tmp_path / "partial", distils=True)
    kept_file = shrink_cells.repaired_file(asked, design)
    given = shrink_cells.tagger("pos", 42, design)
    plan = shrink_cells.plan_of(kept(design.cell(asked.name)), shrink_cells.check_tagger(given))
    again, weights = shrink_cells.repaired(asked, plan, design).model.state_dict(), made[-1].model.state_dict()
    assert len(made) == 2, "nothing is repaired twice"
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], own) for name, own in weights.items())
    assert kept_file.stat().st_size < sum(own.nbytes for own in weights.values()) / 2, "no embeddings"
    kept_file.unlink()
    shrink_cells.repaired(asked, plan, design)
    assert len(made) == 3
    assert kept_file.is_file()
    distilled(asked, design, tmp_path / "partial")
    assert len(made) == 3
    assert not kept_file.exists()
    assert kept(design.cell(distil_name(asked)))["distil/de"].shape == (8, 2)


def test_a_cell_holds_every_language_under_each_repair(design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before("pos", 42, design, tmp_path / "partial")
    asked, made = Asked("one-shot", 42, 1.5), []
    monkeypatch.setattr(shrink_cells, "finished", lambda *given: made.append(finished(*given)) or made[-1])
    shrunk(asked, design, tmp_path / "partial")
    assert len(made) == 2
    assert shrink_cells.labelled_tests.cache_info().misses == 1, "the tests are encoded once for all arms and cells"
    found, whole = (kept(design.cell(name)) for name in (asked.name, before_name("pos", 42)))
    for language in ("en", "de"):
        assert whole[language].shape == (8, 2)
        assert all(found[f"{arm}/{language}"].shape == (8, 2) for arm in ("none", "refit"))
    given = shrink_cells.tagger("pos", 42, design)
    assert found["bytes"].tolist() == [checkpoint_bytes(own.model, own.tokenizer) for own in (given, made[-1])]


@pytest.mark.slow
def test_a_size_is_finished_once_and_read_with_its_own_vocabulary(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    before("pos", 42, design, tmp_path / "partial", int8=True)
    whole = whole_in_int8({42: kept(design.cell(before_name("pos", 42)))}, ("en", "de"))
    assert 0.1 < whole["int8_share_of_bytes"][0] < 1
    asked, made = Asked("joint", 42, size=True), []
    monkeypatch.setattr(shrink_cells, "SIZE", 0.9)
    monkeypatch.setattr(shrink_cells, "finished", lambda *given: made.append(finished(*given)) or made[-1])
    monkeypatch.setattr(shrink_cells, "text", lambda language: open_corpus(f"phrases/{language}", "train"))
    shrunk(asked, design, tmp_path / "partial")
    (small,), found = made, kept(design.cell(asked.name))
    assert len(small.tokenizer) < len(shrink_cells.tagger("pos", 42, design).tokenizer)
    counts = shrink_cells.counts_of(small, shrink_cells.tests("pos", design))
    for language in ("en", "de"):
        assert f"none/{language}" not in found
        assert np.array_equal(found[f"refit/{language}"], counts[language])
        assert found[f"int8/{language}"].shape == (8, 2)
    assert found["bytes"][1] == checkpoint_bytes(small.model, small.tokenizer)
    assert 0 < found["int8/bytes"][0] < found["bytes"][1]
    trips = {name: own[0] for name, own in found.items() if name.startswith(ROUND_TRIP)}
    assert [name.removeprefix(ROUND_TRIP) for name in sorted(trips)] == ["densified", "from_pretrained", "onnx", "openvino"]
    assert all(0 <= own < 1e5 for own in trips.values()), "1e-4 in units of 1e-9"
