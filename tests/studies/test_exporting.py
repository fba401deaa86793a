"""Exported folders: what is in them, that ten lines without polyhead tag as `predict` does, and what is refused."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from conformance.sentence_case import LABELS, tiny_classifier, tiny_sentences
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, CheckpointError, SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.learning.inference import predict
from polyhead.models.graphs import Graph, input_names
from polyhead.models.loading import load_saved
from polyhead.models.saving import save_pruned
from polyhead.studies import exporting
from polyhead.studies.exporting import ExportRecord, GraphScore, export
from polyhead.studies.tagger import Tagger

pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "export.md"
EMPTY = [HeadId(1, head) for head in range(8)]


def tiny_tagger() -> Tagger:
    tagger = Tagger.load("polyhead/tiny", task="pos", seed=42, precision="fp32")
    tagger.prune(HeadMask.without(4, 8, [*EMPTY, HeadId(2, 5)]))
    with torch.no_grad():
        tagger.model.classifier.weight.mul_(50)  # far from ties
    return tagger


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return tiny_tagger()


@pytest.fixture(scope="module")
def folder(tagger: Tagger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "graph"
    record = export(tagger, folder, data=sample(open_corpus("phrases/ja", "dev"), 20, seed=1))
    assert record == ExportRecord.read(folder)
    return folder


@pytest.mark.slow
def test_the_folder_says_what_was_compared_and_holds_nothing_of_this_machine(folder: Path) -> None:
    record = ExportRecord.read(folder)
    assert record is not None
    assert record.kept_per_layer == (8, 0, 7, 8)
    assert record.difference < 1e-4
    assert len(record.shapes) == 6
    assert record.shapes[-1] == (1, 130)
    (score,) = record.scores
    assert (score.language, score.metric, score.lost) == ("ja", "accuracy", 0)
    files = {path.name for path in folder.iterdir()}
    assert files >= {"model.onnx", "model.onnx.data", "labels.json", "tokenizer.json", "polyhead_export.json"}
    assert "config.json" not in files, "its number of heads would be that of the unpruned model"
    here = str(Path(torch.__file__).parent.parent).encode()
    assert not any(here in path.read_bytes() for path in folder.iterdir())


@pytest.mark.slow
def test_ten_lines_without_polyhead_tag_as_predict_does(folder: Path, tagger: Tagger) -> None:
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
        if "onnxruntime" in block
    ]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10
    texts = (
        sample(open_corpus("phrases/ja", "dev"), 8, seed=1).sentences
        + sample(open_corpus("phrases/de", "dev"), 8, seed=1).sentences
    )
    found = []
    program = code.replace('"graph/', f'"{folder.as_posix()}/')
    said = re.search(r'\["Wo".*?\]', program)
    assert said
    program += "\nimport sys\nassert not {'polyhead', 'transformers', 'torch'} & {*sys.modules}\n"
    # one program for all sentences: the block's last four lines, once for each
    head, body = program.split("read = ", 1)
    body, check = body.split("\nimport sys", 1)
    loop = "\n".join(f"    {line}" for line in f"read = {body}".replace(said[0], "words").splitlines())
    words = json.dumps([text.words for text in texts])
    done = subprocess.run(
        [sys.executable, "-c", f"{head}\nfor words in {words}:\n{loop}\nimport sys{check}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line.replace("'", '"')) for line in done.stdout.splitlines()]
    assert found == tagger.predict(texts)


@pytest.mark.slow
def test_a_bare_encoder_in_half_precision_is_exported_in_float32(tmp_path: Path) -> None:
    save_pruned(load_saved("polyhead/tiny").half(), tmp_path / "encoder")
    record = export(tmp_path / "encoder", tmp_path / "graph")
    assert record.difference < 1e-4
    assert not (tmp_path / "graph" / "labels.json").exists()


def pretend(difference: float) -> dict[str, Callable[..., object]]:
    """The graph's functions, which write a file and report this difference."""

    def write(model: object, folder: Path, *, to: str) -> Path:
        (folder / "model.onnx").write_text("graph")
        return folder / "model.onnx"

    return {"write_graph": write, "open_graph": lambda path, to: None, "greatest_difference": lambda *_: difference}


def test_a_graph_that_differs_is_not_written(tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in pretend(2e-4).items():
        monkeypatch.setattr(exporting, name, function)
    with pytest.raises(ArchitectureError, match=r"polyhead/tiny: the onnx graph's outputs differ from the model's by 0\.0002"):
        export(tagger, tmp_path / "graph")
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setattr(exporting, "greatest_difference", lambda *_: 1e-5)
    assert export(tagger, tmp_path / "graph").difference == 1e-5
    with pytest.raises(CheckpointError, match="is not empty"):
        export(tagger, tmp_path / "graph")
    assert export(tagger, tmp_path / "graph", overwrite=True).file == "model.onnx"


def test_what_cannot_be_asked_for(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="int8 is for onnx"):
        export(tagger, tmp_path / "graph", to="openvino", int8=True)
    with pytest.raises(TypeError, match=r"data\[0\]"):
        export(tagger, tmp_path / "graph", data=["phrases/de"])  # type: ignore[list-item]
    with pytest.raises(CheckpointError, match="no such folder"):
        export(tmp_path / "absent", tmp_path / "graph")


def test_what_a_graph_loses_is_the_models_score_minus_its_own() -> None:
    assert GraphScore("x", "de", "accuracy", 0.9, 0.88).lost == pytest.approx(0.02)


def test_one_of_several_masks_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in pretend(1e-6).items():
        monkeypatch.setattr(exporting, name, function)
    tagger = Tagger.load("polyhead/tiny", task="pos", seed=42, precision="fp32")
    tagger.prune({"de": HeadMask.without(4, 8, [HeadId(0, 0), HeadId(2, 5)]), "ja": HeadMask.without(4, 8, EMPTY)})
    record = export(tagger, tmp_path / "de", mask="de")
    assert (record.mask, record.masks, record.kept_per_layer) == ("de", ("de", "ja"), (7, 8, 7, 8))
    assert export(tagger, tmp_path / "all").kept_per_layer == (8, 8, 8, 8)
    with pytest.raises(SettingError, match=r"mask 'jp': this model has no such mask; .*de, ja"):
        export(tagger, tmp_path / "jp", mask="jp")


def test_a_graph_of_pairs_is_scored_on_lone_texts_and_on_pairs(tmp_path: Path) -> None:
    model, types = tiny_classifier("bert"), []

    def session(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        types.append(inputs["token_type_ids"].max())
        with torch.no_grad():
            return {"logits": model(**{name: torch.from_numpy(value) for name, value in inputs.items()}).logits.numpy()}

    stand_in = cast(PreTrainedModel, exporting.GraphClassifier(Graph(tmp_path, session), input_names(model)))
    labels = LabelSet(LABELS)
    for has_types in (True, False):
        text = tiny_sentences(token_types=has_types)
        assert predict(stand_in, text, labels=labels, device="cpu", precision="fp32") == predict(
            model, text, labels=labels, precision="fp32"
        )
    assert sorted(set(types)) == [0, 1]
