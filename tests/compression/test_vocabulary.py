"""A trimmed model gives the same numbers where no subword went, on every family, with any head, pruned or not."""

import copy
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from compression.vocabulary_case import KINDS, made_up_text, tiny_tokenizer
from conformance.tiny import FAMILIES, MASKS, PAD, VOCABULARY, logits, masks_of, tiny_model
from tokenizers import Tokenizer, models
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from polyhead.compression import trimmed_tokenizer
from polyhead.compression.embedding_rows import config_ids, keep_rows
from polyhead.compression.vocabulary import Trimmed, check_trimmable, trim
from polyhead.core.errors import ArchitectureError, CheckpointError, SettingError
from polyhead.data.corpora import open_corpus
from polyhead.models.gates import gated
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

TOKENIZER = tiny_tokenizer("bpe", size=VOCABULARY - 3)  # the model has three rows more, as many checkpoints do
TEXT = made_up_text()[:4]
PREDICTING = [name for name in FAMILIES if CONFIG_MAPPING[name.partition("+")[0]] in MODEL_FOR_MASKED_LM_MAPPING]


def trimmed(model: Any, **options: Any) -> Trimmed:
    return trim(model, TOKENIZER, {"de": TEXT}, characters="seen", **options)


def inputs(tokenizer: Any) -> Any:
    return tokenizer(TEXT, padding=True, return_tensors="pt", return_token_type_ids=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_equal_bit_for_bit(family: str, tmp_path: Path) -> None:
    model = tiny_model(family)
    mask = masks_of(model).get("uneven", MASKS["everything"])  # heads that share a key go together
    prune(model, mask)
    config, wanted = model.config, logits(model, inputs(TOKENIZER))
    found = trimmed(model)
    assert found.model is model
    assert found.rows_before == VOCABULARY > len(found.rows) == model.config.vocab_size == len(found.tokenizer)
    saved = (VOCABULARY - len(found.rows)) * model.get_input_embeddings().embedding_dim * 4
    assert found.bytes_before - found.bytes_after == saved
    assert torch.equal(logits(model, inputs(found.tokenizer)), wanted)
    assert head_mask(model) == mask
    assert config.vocab_size == VOCABULARY  # it may belong to another model too
    folder = save_pruned(model, tmp_path / "small", tokenizer=found.tokenizer)
    loaded = AutoModelForTokenClassification.from_pretrained(folder).eval()
    # a copy lies in memory as the model did; weights mapped from a file may be summed in another order
    assert torch.equal(logits(copy.deepcopy(loaded), inputs(AutoTokenizer.from_pretrained(folder))), wanted)
    dense = AutoModelForTokenClassification.from_pretrained(densify(folder, tmp_path / "dense")).eval()
    assert dense.config.vocab_size == len(found.rows)
    assert (logits(dense, inputs(found.tokenizer)) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("family", PREDICTING)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_heads_that_predict_subwords_lose_the_same_rows(family: str, tied: bool, tmp_path: Path) -> None:
    config = copy.deepcopy(tiny_model(family).config)
    config.tie_word_embeddings = tied
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied == (tied and family != "rembert")  # whose output head has a width of its own
    with torch.no_grad():
        wanted = model(**inputs(TOKENIZER)).logits
        found = trimmed(model)
        rows = torch.from_numpy(found.rows)
        assert torch.allclose(model(**inputs(found.tokenizer)).logits, wanted[..., rows], atol=1e-6)
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    assert (head.weight is embedding.weight) == is_tied
    assert head.out_features == len(head.weight) == embedding.num_embeddings == len(rows)
    assert embedding.padding_idx == PAD
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(**inputs(found.tokenizer)).logits, model(**inputs(found.tokenizer)).logits)


def test_an_encoder_without_pooler_is_saved_and_loaded(tmp_path: Path) -> None:
    model = tiny_model("bert").base_model
    AutoModel.from_config(model.config, add_pooling_layer=False).save_pretrained(tmp_path / "encoder")
    model = load_saved(tmp_path / "encoder")
    assert model.pooler is None
    with torch.no_grad():
        wanted = model(**inputs(TOKENIZER)).last_hidden_state
        found = trimmed(model)
        save_pruned(model, tmp_path / "small", tokenizer=found.tokenizer)
        again = load_saved(tmp_path / "small")
        assert torch.equal(again(**inputs(found.tokenizer)).last_hidden_state, wanted)


def test_a_trimmed_model_is_trimmed_further() -> None:
    model = tiny_model("xlm-roberta")
    first = trimmed(model)
    wanted = logits(model, first.tokenizer(TEXT[:1], return_tensors="pt", return_token_type_ids=False))
    second = trim(model, first.tokenizer, {"de": TEXT[:1]}, characters="seen")
    assert second.rows_before == len(first.rows) > len(second.rows)
    assert torch.equal(logits(model, second.tokenizer(TEXT[:1], return_tensors="pt", return_token_type_ids=False)), wanted)
    with gated(model, MASKS["uneven"]):
        assert logits(model, second.tokenizer(TEXT[:1], return_tensors="pt", return_token_type_ids=False)).isfinite().all()


def test_ids_of_the_config_follow_and_stay() -> None:
    model = tiny_model("bert")
    rare = max(TOKENIZER.get_vocab().values())
    model.config.eos_token_id, model.config.bos_token_id, model.config.sep_token_id = [2, rare], 0, 59
    assert config_ids(model.config) == {0, PAD, 2, rare, 59}
    found = trimmed(model)
    assert found.rows[model.config.eos_token_id].tolist() == [2, rare]
    assert (model.config.bos_token_id, model.config.pad_token_id) == (0, PAD)
    assert model.config.sep_token_id is None  # no subword of the tokenizer has it
    roberta = tiny_model("roberta")
    roberta.config.pad_token_id = 7
    assert config_ids(roberta.config) >= set(range(8))


def test_held_out_text_is_counted_by_language() -> None:
    texts = {"de": made_up_text()[:20], "nl": made_up_text(1)[:5]}
    found = trim(tiny_model("bert"), TOKENIZER, texts, characters="seen")
    assert {name: own.changed for name, own in found.seen.items()} == {"de": 0, "nl": 0}
    assert found.held_out["de"].words == 10  # two lines of five
    assert found.held_out["nl"] is None
    other = trim(tiny_model("bert"), TOKENIZER, texts, characters="seen", held_out={"nl": ["жж abc"]})
    assert other.held_out["de"] is None
    assert other.held_out["nl"].words == 2
    with pytest.raises(SettingError, match="held-out text of fr: no text of it to trim by; it is in de, nl"):
        trim(tiny_model("bert"), TOKENIZER, texts, held_out={"fr": ["abc"]})


def test_a_character_that_goes_makes_its_words_unknown_and_that_is_said() -> None:
    found = trim(tiny_model("bert"), TOKENIZER, {"de": ["ab ab"]}, characters="seen", held_out={"de": ["ab 字a 字a", "ж"]})
    own = found.held_out["de"]
    assert own is not None
    assert (own.words, own.changed, own.unknown) == (4, 2, 2)  # ж was unknown before
    assert own.unknown_share == own.changed_share == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_whether_a_vocabulary_can_be_trimmed_is_known_without_a_text(kind: str) -> None:
    check_trimmable(tiny_model("bert"), tiny_tokenizer(kind))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_the_check_unchanged(family: str) -> None:
    model = tiny_model(family)
    before = copy.deepcopy(model.state_dict())
    check_trimmable(model, TOKENIZER)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("bert")
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")))
    with pytest.raises(SettingError, match="tokenizer model WordLevel: cannot be trimmed"):
        check_trimmable(model, words)
    with pytest.raises(ArchitectureError, match="load the model without offloading"):
        check_trimmable(copy.deepcopy(model).to("meta"), TOKENIZER)
    monkeypatch.setattr(trimmed_tokenizer, "AutoTokenizer", SimpleNamespace(from_pretrained=lambda *_, **__: TOKENIZER))
    with pytest.raises(SettingError, match=r"does not give .* the id that it should; a .* cannot be trimmed"):
        check_trimmable(model, tiny_tokenizer("wordpiece"))


def test_what_cannot_be_trimmed_is_refused_and_left_alone() -> None:
    model = tiny_model("bert")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match="the model embeds 60 subwords"):
        trim(model, tiny_tokenizer("bpe with bytes"), {"de": TEXT})
    with pytest.raises(SettingError, match="max_size = 6"):
        trimmed(model, max_size=6)
    with pytest.raises(TypeError, match="tokenizer is of type Tokenizer"):
        trim(model, TOKENIZER.backend_tokenizer, {"de": TEXT})
    with pytest.raises(TypeError, match="texts is of type list; expected Mapping"):
        trim(model, TOKENIZER, TEXT)  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ArchitectureError, match="positions are numbered from the padding id, 1"):
        keep_rows(tiny_model("xlm-roberta"), torch.tensor([1, 2, 3]))
    with pytest.raises(ArchitectureError, match=r"not a torch\.nn\.Embedding in memory"):
        keep_rows(tiny_model("bert").to("meta"), torch.tensor([0, 1, 2]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mini", "e5"])
def test_a_real_encoder_and_two_languages(name: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "models" / "mini" if name == "mini" else Path(os.environ.get("POLYHEAD_E5", "runs/e5"))
    if not (folder / "model.safetensors").is_file():
        pytest.skip(f"needs the encoder {name}; python recipes/real_encoder.py runs/e5 makes e5")
    model, tokenizer = load_saved(folder), load_tokenizer(folder)
    texts, others = (
        {
            data.language: data
            for data in (open_corpus(corpus, split, root=shared / "data") for corpus in ("ud/en_ewt", "ud/de_gsd"))
        }
        for split in ("dev", "test")
    )
    lines = [" ".join(sentence.words) for sentence in list(texts["de"])[:8]]

    def hidden(one: Any, reader: Any) -> Any:
        with torch.no_grad():
            return one.base_model(**reader(lines, padding=True, return_tensors="pt")).last_hidden_state

    wanted = hidden(model.eval(), tokenizer)
    found = trim(model, tokenizer, texts, held_out=others)
    assert len(found.rows) < 0.6 * found.rows_before
    assert [own.changed for own in found.seen.values()] == [0, 0]
    assert all(own is not None and own.changed_share < 0.25 and own.unknown_share < 0.001 for own in found.held_out.values())
    save_pruned(model, tmp_path / "small", tokenizer=found.tokenizer)
    assert torch.equal(hidden(load_saved(tmp_path / "small").eval(), AutoTokenizer.from_pretrained(tmp_path / "small")), wanted)
