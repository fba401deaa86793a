"""Pruned models in other packages: PEFT, Trainer, sentence-transformers, GLiNER, vLLM. A package that is absent is skipped."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from conformance.tiny import MASKS, logits, tiny_inputs, tiny_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

from polyhead.models.gates import gated
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.loading import load_tokenizer
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned

install_loader_hook()
MASK = MASKS["zero-head-layer"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_pruned(prune(tiny_model("bert"), MASK), tmp_path / "model")


def rows() -> list[dict[str, torch.Tensor]]:
    batch = tiny_inputs()
    labels = torch.where(batch["attention_mask"].bool(), batch["input_ids"] % 5, -100)
    return [{**{name: value[i] for name, value in batch.items()}, "labels": labels[i]} for i in range(3)]


def arguments(out: Path) -> TrainingArguments:
    return TrainingArguments(
        str(out), max_steps=3, learning_rate=1e-2, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True
    )


def test_a_lora_adapter_trains_merges_and_is_loaded_again(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    pytest.importorskip("accelerate")
    model = AutoModelForTokenClassification.from_pretrained(folder)
    before = logits(model, tiny_inputs())
    # a layer without heads has nothing to adapt
    layers = [i for i, kept in enumerate(MASK.keep.any(axis=1)) if kept]
    config = peft.LoraConfig(task_type="TOKEN_CLS", r=2, target_modules=["query", "value"], layers_to_transform=layers)
    adapted = peft.get_peft_model(model, config)
    Trainer(adapted, arguments(tmp_path / "t"), train_dataset=rows()).train()
    adapted.eval()
    trained = logits(adapted, tiny_inputs())
    assert not torch.allclose(trained, before)
    adapted.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(AutoModelForTokenClassification.from_pretrained(folder), tmp_path / "adapter")
    torch.testing.assert_close(logits(again.eval(), tiny_inputs()), trained)
    merged = again.merge_and_unload()
    assert head_mask(merged) == MASK
    torch.testing.assert_close(logits(merged, tiny_inputs()), trained, atol=1e-5, rtol=1e-5)


def test_trainer_trains_and_saves_a_pruned_model(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    model = AutoModelForTokenClassification.from_pretrained(folder)
    trainer = Trainer(model, arguments(tmp_path / "t"), train_dataset=rows())
    trainer.train()
    trainer.save_model(tmp_path / "trained")
    again = AutoModelForTokenClassification.from_pretrained(tmp_path / "trained")
    assert head_mask(again) == MASK
    assert torch.equal(logits(again, tiny_inputs()), logits(model.eval(), tiny_inputs()))


def test_sentence_transformers_loads_and_saves_a_pruned_encoder(tmp_path: Path) -> None:
    package = pytest.importorskip("sentence_transformers")
    words = ("[PAD]", "[UNK]", "a", "b", "c", "d")
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32)
    encoder = prune(tiny_model("bert"), MASK).base_model
    save_pruned(encoder, tmp_path / "encoder", tokenizer=tokenizer)
    texts = ["a b c", "d"]
    embedder = package.SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    found = torch.tensor(embedder.encode(texts))
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(tmp_path / "encoder")(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    torch.testing.assert_close(found, (hidden * mask).sum(1) / mask.sum(1), atol=1e-5, rtol=0)
    embedder.save(str(tmp_path / "embedder"))
    again = package.SentenceTransformer(str(tmp_path / "embedder"), device="cpu")
    assert torch.equal(torch.tensor(again.encode(texts)), found)
    assert head_mask(again[0].auto_model) == MASK


def test_the_encoder_inside_gliner_is_pruned(tmp_path: Path) -> None:
    gliner = pytest.importorskip("gliner", reason="GLiNER needs Transformers below 5.17; make test-oldest has it")
    tokenizer = load_tokenizer("polyhead/tiny")
    tokenizer.save_pretrained(tmp_path)
    inner = tiny_model("deberta-v2+v3").config
    inner.vocab_size = len(tokenizer)
    inner.save_pretrained(tmp_path)
    outer = gliner.config.GLiNERConfig(
        model_name=str(tmp_path), encoder_config=inner.to_dict(), hidden_size=16, max_width=4, dropout=0.0
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = gliner.GLiNER.from_config(outer, backbone_from_pretrained=False)
    (encoder,) = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    assert type(encoder).__name__ == "DebertaV2Model"
    embeddings: list[torch.Tensor] = []
    encoder.register_forward_hook(lambda module, given, found: embeddings.append(found[0]))

    def scores() -> list[float]:
        found = model.predict_entities("Where is the station in Bonn ?", ["city", "place"], threshold=0.0, flat_ner=False)
        return [own["score"] for own in sorted(found, key=lambda own: (own["start"], own["end"], own["label"]))]

    whole = scores()
    with gated(encoder, MASK):
        masked = scores()
    prune(encoder, MASK)
    assert head_mask(encoder) == MASK
    assert scores() == pytest.approx(masked, abs=1e-5)
    assert whole != pytest.approx(masked, abs=1e-3)
    torch.testing.assert_close(embeddings[2], embeddings[1], atol=1e-5, rtol=0)
    assert (embeddings[1] - embeddings[0]).abs().max() > 0.1


def entry_point() -> EntryPoint:
    """vLLM's plugin as pyproject.toml declares it."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    ((name, value),) = groups["vllm.general_plugins"].items()
    return EntryPoint(name, value, "vllm.general_plugins")


def test_the_plugin_of_vllm_registers_the_loader_once() -> None:
    plugin = entry_point()
    register = plugin.load()
    before = dict(AUTO_QUANTIZER_MAPPING)
    assert "polyhead" in before
    register()
    register()
    assert before == AUTO_QUANTIZER_MAPPING


@pytest.mark.slow
def test_the_plugin_alone_lets_a_new_process_load_a_pruned_model(folder: Path) -> None:
    plugin = entry_point()
    program = f"""
import sys
from importlib.metadata import EntryPoint
from transformers import AutoModelForTokenClassification
assert "polyhead" not in sys.modules
plugin = EntryPoint({plugin.name!r}, {plugin.value!r}, {plugin.group!r})
plugin.load()()
plugin.load()()
model = AutoModelForTokenClassification.from_pretrained(sys.argv[1])
assert model.bert.encoder.layer[1].attention.self.query.out_features == 0
"""
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
