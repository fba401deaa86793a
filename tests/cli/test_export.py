"""`polyhead export`: what it prints, with the graph's functions replaced but for one real export."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.cases import refused
from studies.test_exporting import pretend

from polyhead.models.encoding_choice import EncodingChoice
from polyhead.studies import exporting

pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.slow
def test_int8_and_what_it_costs(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    target = f"en={treebank / 'test.conllu'}"
    done = cli("export", tagger, "--to", "onnx", "--int8", "--task", "pos", "--target", target, "--out", tmp_path / "g", "--json")
    assert done.code == 0, done.err
    (score,) = done.json["scores"]
    assert score["lost"] == pytest.approx(score["model"] - score["graph"])
    assert 0 <= score["model"] <= 100
    assert done.json["difference"] < 1e-4 < done.json["int8_difference"]
    assert done.json["bytes"] == sum(path.stat().st_size for path in (tmp_path / "g").glob("model.onnx*"))


def test_the_text_of_an_export(cli: Callable, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in pretend(3e-6).items():
        monkeypatch.setattr(exporting, name, function)
    done = cli("export", tagger, "--to", "onnx", "--out", tmp_path / "graph")
    assert done.code == 0, done.err
    assert "model.onnx (onnx, 0.0 MB), 8 heads" in done.prose
    assert "agree with the model's to 3e-06 on 6 shapes" in done.prose


def test_bad_input_is_one_line(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    out = tmp_path / "graph"
    for arguments, said in (
        (("--to", "openvino", "--int8"), "int8 is for onnx"),
        (("--to", "onnx", "--task", "pos"), "--task pos: says what to score; give --target REF"),
        (("--to", "onnx", "--target", "de=absent.conllu"), "does not record its task; give --task"),
    ):
        done = cli("export", tagger, *arguments, "--out", out)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
        assert not out.exists()


def test_the_recorded_task_is_used_and_noted(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    recorded = shutil.copytree(tagger, tmp_path / "tagger")
    EncodingChoice(anchor="text", max_length=64, precision="fp32", words="surface", task="pos").write(recorded)
    done = cli("export", recorded, "--to", "onnx", "--target", "de=absent.conllu", "--out", tmp_path / "graph")
    refused(done, "absent.conllu: no such file")
    assert f"note: task pos, as recorded in {recorded}\n" in done.err
