"""What a run reads, for a model of a family that has no row."""

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModel

from polyhead.models import architectures, finding
from polyhead.models.loading import load_tokenizer
from polyhead.studies.inputs import open_inputs
from polyhead.studies.settings import run_settings


def test_a_family_without_a_row_is_known_before_its_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "PROVEN", {})
    monkeypatch.setattr(finding, "PROVEN", architectures.PROVEN)
    monkeypatch.setattr(finding, "_DONE", {})
    sizes = dict.fromkeys(("num_attention_heads", "num_hidden_layers"), 2) | {"hidden_size": 8, "intermediate_size": 8}
    config = AutoConfig.for_model("ernie", vocab_size=4000, max_position_embeddings=40, **sizes)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    load_tokenizer("polyhead/tiny").save_pretrained(tmp_path)
    settings = run_settings(model=tmp_path, task="pos", sources=["phrases/en"], targets=["phrases/de"], train_limit=16)
    assert open_inputs(settings).encoder.model_limit == 40
