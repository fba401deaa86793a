"""Pruning after fine-tuning: nothing is trained, repairs look at training text alone, and each is work of its own."""

import json
from pathlib import Path

import pytest
import torch
from tiny_run import settings, tiny_data

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Silent
from polyhead.core.store import RunStore
from polyhead.models.devices import pick_device
from polyhead.models.environment import model_hash
from polyhead.models.loading import load_tagger
from polyhead.models.model_heads import head_mask
from polyhead.studies import prune_after
from polyhead.studies.context import RunContext
from polyhead.studies.finetunes import fine_tuned, load_fine_tuned
from polyhead.studies.inputs import open_inputs
from polyhead.studies.run import run
from polyhead.studies.settings import RunSettings

MASK = HeadMask([[1, 0, 1, 1], [1, 1, 0, 0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("run"))


def after(folder: Path, repair: str) -> RunSettings:
    return settings(folder, train={"epochs": 1}, search={"prune": "after", "repair": repair})


def context(spec: RunSettings, store: RunStore) -> RunContext:
    inputs = open_inputs(spec)
    present = head_mask(load_tagger(spec.model, labels=inputs.encoder.labels, seed=0))
    return RunContext(spec, inputs, store, model_hash(spec.model), present, pick_device("cpu"), "fp32", Silent())


def test_each_repair_is_a_fit_of_its_own_from_one_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    fit = fine_tuned.__globals__["fit"]
    monkeypatch.setattr("polyhead.studies.finetunes.fit", lambda *args, **kwargs: trained.append(1) or fit(*args, **kwargs))
    biases, folders, full = {}, set(), set()
    with RunStore(folder / "fits") as store:
        for repair in ("none", "means", "refit"):
            here = context(after(folder, repair), store)
            found = fine_tuned(here, here.settings.train, MASK)
            again = fine_tuned(here, here.settings.train, MASK)
            assert again.folder == found.folder
            model = load_fine_tuned(here, found)
            assert head_mask(model) == MASK
            biases[repair] = model.roberta.encoder.layer[0].attention.output.dense.bias.detach()
            folders.add(found.folder)
            full.add(fine_tuned(here, here.settings.train, here.present).folder)
            what = json.loads((found.folder / "record.json").read_text())["settings"]
            assert what.get("repair") == (None if repair == "none" else {"how": repair, "sentences": 512, "seed": 42})
    assert len(folders) == 3
    assert len(full) == len(trained) == 1
    assert not torch.allclose(biases["none"], biases["means"])
    assert not torch.allclose(biases["means"], biases["refit"])


def test_a_dropped_model_is_repaired_again_to_the_same(folder: Path) -> None:
    with RunStore(folder / "again") as store:
        here = context(after(folder, "refit"), store)
        found = fine_tuned(here, here.settings.train, MASK)
        before = load_fine_tuned(here, found).state_dict()
        for path in (found.folder / "model").iterdir():
            path.unlink()
        (found.folder / "model").rmdir()
        assert all(torch.equal(value, before[name]) for name, value in load_fine_tuned(here, found).state_dict().items())


def test_repairs_see_training_text_alone_and_not_too_much(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = open_inputs(after(folder, "means"))

    def sentences(seed: int) -> list[int]:
        return sorted(number for batch in prune_after.repair_text(inputs, seed=seed) for number in batch.sentences)

    assert sentences(1) == list(range(64))
    monkeypatch.setattr(prune_after, "SENTENCES", 10)
    assert sentences(1) == sentences(1) != sentences(2)
    assert len(sentences(1)) == 10
    own = {window.input_ids.tobytes(): window.sentence for window in inputs.train.windows}
    for batch in prune_after.repair_text(inputs, seed=1):
        for row, length in zip(batch.input_ids, batch.attention_mask.sum(dim=1), strict=True):
            assert row[:length].numpy().astype("int32").tobytes() in own


def test_a_whole_run_repairs(folder: Path) -> None:
    result = run(after(folder, "means"), out=folder / "means", device="cpu")
    assert result.settings.search.repair == "means"
    records = [json.loads(path.read_text()) for path in (folder / "means" / "fits").glob("*/record.json")]
    assert sum(bool(record["result"]["fit"]) for record in records) == 1
    assert "repair: means" in (folder / "means" / "report.md").read_text()
    assert "repaired by means" in (folder / "means" / "model" / "README.md").read_text()


def test_a_repair_goes_with_pruning_after(folder: Path) -> None:
    with pytest.raises(SettingError, match="repair = 'means': should be none unless prune is 'after'"):
        settings(folder, search={"repair": "means"})
