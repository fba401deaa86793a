import copy
import json
import logging
import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conformance.tiny import MASKS, N_LABELS, VOCABULARY, logits, tiny_inputs, tiny_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    pipeline,
)

from polyhead.core.errors import CheckpointError, StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.labels import LabelSet
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.loading import load_tagger, load_tokenizer
from polyhead.models.model_card import CardScore, ModelCard, render_card
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

install_loader_hook()
MASK = MASKS["zero-head-layer"]
INPUTS = tiny_inputs()
NAMES = tuple("ABCDE")
AUTO = AutoModelForTokenClassification


def named(family: str = "bert") -> PreTrainedModel:
    model = tiny_model(family)
    model.config.id2label = dict(enumerate(NAMES))
    model.config.label2id = {name: i for i, name in enumerate(NAMES)}
    return model


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"[UNK]": 0, "[PAD]": 1} | {f"w{i}": i for i in range(2, VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")


@pytest.fixture(scope="module")
def pruned() -> PreTrainedModel:
    return prune(named(), MASK)


@pytest.fixture(scope="module")
def saved(pruned: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pruned(pruned, tmp_path_factory.mktemp("checkpoint") / "model", tokenizer=tokenizer())


@pytest.fixture
def broken(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps(config))


def change_record(folder: Path, **values: object) -> None:
    record = json.loads((folder / "config.json").read_text())["quantization_config"]
    change_config(folder, quantization_config=record | values)


def test_the_folder_holds_the_plain_class_and_a_readable_record(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["num_attention_heads"] == 4
    assert config["quantization_config"] == {
        "quant_method": "polyhead",
        "schema": 1,
        "n_layers": 3,
        "n_heads": 4,
        "pruned_heads": {"0": [1], "1": [0, 1, 2, 3], "2": [2]},
    }
    weights = load_file(saved / "model.safetensors")
    assert weights["bert.encoder.layer.0.attention.self.query.weight"].shape == (12, 16)
    assert weights["bert.encoder.layer.1.attention.output.dense.weight"].shape == (16, 0)


def test_stock_loading_gives_an_ordinary_model_with_the_same_logits(pruned: PreTrainedModel, saved: Path) -> None:
    model = AUTO.from_pretrained(saved)
    assert torch.equal(logits(model, INPUTS), logits(pruned, INPUTS))
    assert type(model) is type(pruned)
    assert head_mask(model) == MASK
    assert not model.is_quantized
    assert not hasattr(model, "quantization_method")
    assert not hasattr(model, "hf_quantizer")
    assert not hasattr(model.config, "_is_quantized")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.config.quantization_config == pruned.config.quantization_config


def test_saving_what_was_loaded_twice_over(pruned: PreTrainedModel, saved: Path, tmp_path: Path) -> None:
    model = AUTO.from_pretrained(saved)
    for name in ("one", "two"):
        model.save_pretrained(tmp_path / name)
        model = AUTO.from_pretrained(tmp_path / name)
    assert torch.equal(logits(model, INPUTS), logits(pruned, INPUTS))
    assert head_mask(model) == MASK
    more = prune(model, MASKS["uneven"])
    model = AUTO.from_pretrained(save_pruned(more, tmp_path / "three"))
    assert head_mask(model) == MASK & MASKS["uneven"]
    assert torch.equal(logits(model, INPUTS), logits(more, INPUTS))


def test_half_float_and_deepcopy(pruned: PreTrainedModel, saved: Path) -> None:
    model = AUTO.from_pretrained(saved)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(twin, INPUTS), logits(pruned, INPUTS))
    assert model.half().dtype == torch.float16
    assert model.float().dtype == torch.float32
    assert distance(logits(model, INPUTS), logits(pruned, INPUTS)) < 0.05
    assert model.to(torch.float64).dtype == torch.float64


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def test_bfloat16(pruned: PreTrainedModel, saved: Path) -> None:
    model = AUTO.from_pretrained(saved, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.equal(logits(model, INPUTS), logits(copy.deepcopy(pruned).to(torch.bfloat16), INPUTS))


@pytest.mark.parametrize("device_map", ["auto", "cpu"])
def test_device_maps(pruned: PreTrainedModel, saved: Path, device_map: str) -> None:
    model = AUTO.from_pretrained(saved, device_map=device_map)
    on_cpu = {key: value.to(model.device) for key, value in INPUTS.items()}
    torch.testing.assert_close(logits(model, on_cpu).cpu(), logits(pruned, INPUTS), atol=1e-4, rtol=0)


def test_the_bare_encoder_and_a_given_config(pruned: PreTrainedModel, saved: Path) -> None:
    encoder = AutoModel.from_pretrained(saved)
    with torch.no_grad():
        states = encoder(**INPUTS).last_hidden_state
        assert torch.equal(states, pruned.bert(**INPUTS).last_hidden_state)
    assert head_mask(encoder) == MASK
    config = AutoConfig.from_pretrained(saved)
    again = AUTO.from_pretrained(saved, config=config)
    assert head_mask(again) == MASK
    assert torch.equal(logits(AUTO.from_pretrained(saved, config=again.config), INPUTS), logits(pruned, INPUTS))


def test_the_pipeline(saved: Path) -> None:
    tagger = pipeline("token-classification", model=str(saved), device="cpu")
    found = tagger("w5 w6 w7", ignore_labels=[])
    assert [item["word"] for item in found] == ["w5", "w6", "w7"]
    assert {item["entity"] for item in found} <= set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_trainer_steps(saved: Path, tmp_path: Path, compiled: bool) -> None:
    torch.compiler.reset()
    model = AUTO.from_pretrained(saved)
    before = copy.deepcopy(model.state_dict())
    row = {"input_ids": list(range(2, 8)), "attention_mask": [1] * 6, "labels": [0, 1, 2, 3, 4, 0]}
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=2,
        learning_rate=0.01,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        torch_compile=compiled,
        torch_compile_backend="aot_eager" if compiled else None,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=[row] * 4)
    trainer.train()
    trained = AUTO.from_pretrained(tmp_path / "out" / "checkpoint-2")
    assert head_mask(trained) == MASK
    assert any(not torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert torch.equal(logits(trained, INPUTS), logits(trainer.accelerator.unwrap_model(trainer.model).eval(), INPUTS))


def test_a_model_without_pruned_heads_is_saved_without_a_record(tmp_path: Path) -> None:
    model = prune(named(), MASKS["nothing"])
    folder = save_pruned(model, tmp_path / "model")
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert "none was pruned" in (folder / "README.md").read_text()


def test_the_card(pruned: PreTrainedModel, tmp_path: Path) -> None:
    card = ModelCard(
        base_model="org/encoder",
        task="pos",
        languages=("en", "zh-Hans", "zh-Hant"),
        training_data=("ud/en_ewt train",),
        ranking="gradient on ud/en_ewt dev",
        scores=(CardScore("ud/de_gsd test", "de", "accuracy", pruned=0.5, full=0.4321), CardScore("a|b", "nl", "accuracy", None)),
        caveat="one seed, no controls: no claim of a gain",
        license="apache-2.0",
    )
    page = (save_pruned(pruned, tmp_path / "my-tagger", card=card) / "README.md").read_text()
    head, rest = page.removeprefix("---\n").split("\n---\n", 1)
    assert 'language:\n- "en"\n- "zh"\ntags:\n- "polyhead"' in head
    assert (
        'library_name: transformers\npipeline_tag: token-classification\nlicense: "apache-2.0"\nbase_model: "org/encoder"' in head
    )
    assert rest.index("import polyhead") < rest.index('AutoModelForTokenClassification.from_pretrained("my-tagger")')
    for expected in (
        "6 of its 12 attention heads",
        "| 1 | 0 1 2 3 | 0 of 4 |",
        "| ud/de_gsd test | de | accuracy | 50.0 | 43.2 |",
        "| a\\|b | nl | accuracy | – | – |",
        "no claim of a gain",
        "gradient on ud/en_ewt dev",
        "densify",
        'pipeline("token-classification", model="my-tagger", aggregation_strategy="first")',
        "from transformers import AutoModelForTokenClassification, pipeline",
        "attention fusion",
        "ignore_mismatched_sizes",
    ):
        assert expected in rest


@pytest.mark.parametrize("base", ["models/mbert", "mbert", "./mbert", "", "~/mbert"])
@pytest.mark.parametrize("task", ["pos", ""])
def test_the_card_does_not_name_a_local_encoder(
    pruned: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, task: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("models/mbert", "mbert"):
        Path(folder).mkdir(parents=True)
    page = (save_pruned(pruned, tmp_path / "out", card=ModelCard(base_model=base, task=task)) / "README.md").read_text()
    assert "base_model" not in page
    assert "mbert" not in page
    assert "fine-tuned from a local encoder" in page
    assert ("for pos, fine" in page) == bool(task)


def test_the_card_of_a_bare_encoder_says_nothing_of_tuning(tmp_path: Path) -> None:
    page = (save_pruned(tiny_model("bert").bert, tmp_path / "out") / "README.md").read_text()
    assert "A Transformer encoder with all 12 attention heads" in page
    assert "fine-tuned" not in page


CHOICE = EncodingChoice(anchor="first", max_length=64, precision="fp32", words="surface", task="ner")


def test_the_card_of_a_masked_language_model_says_so() -> None:
    page = render_card(ModelCard(task="mlm"), MASKS["uneven"], name="x", auto_class="AutoModelForMaskedLM")
    assert "pipeline_tag: fill-mask\n" in page
    assert "A masked language model with" in page
    assert "fine-tuned" not in page


def test_the_encoding_is_recorded_beside_the_model(pruned: PreTrainedModel, saved: Path, tmp_path: Path) -> None:
    assert EncodingChoice.read(saved) is None
    folder = save_pruned(pruned, tmp_path / "model", encoding=CHOICE)
    assert EncodingChoice.read(folder) == CHOICE
    assert torch.equal(logits(AUTO.from_pretrained(folder), INPUTS), logits(pruned, INPUTS))
    assert EncodingChoice.read(densify(folder, tmp_path / "dense")) == CHOICE
    other = replace(CHOICE, anchor="text")
    assert EncodingChoice.read(densify(folder, tmp_path / "other", encoding=other)) == other
    assert EncodingChoice.read(densify(pruned, tmp_path / "from-model")) is None


@pytest.mark.parametrize("source", ["model", "folder"])
def test_densify(pruned: PreTrainedModel, saved: Path, tmp_path: Path, source: str) -> None:
    before = logits(pruned, INPUTS)
    folder = densify(pruned if source == "model" else saved, tmp_path / "dense")
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    dense = AUTO.from_pretrained(folder)
    assert torch.equal(logits(pruned, INPUTS), before)
    assert distance(logits(dense, INPUTS), before) <= 1e-5
    assert head_mask(dense) == MASKS["nothing"]
    assert dense.num_parameters() == tiny_model("bert").num_parameters()
    assert (folder / "tokenizer.json").exists() == (source == "folder")
    page = (folder / "README.md").read_text()
    assert "import polyhead" not in page
    assert "set to zero" in page


def test_densify_takes_the_tokenizer_along_or_leaves_nothing(pruned: PreTrainedModel, tmp_path: Path) -> None:
    folder = densify(pruned, tmp_path / "dense", tokenizer=tokenizer())
    assert load_tokenizer(folder).get_vocab() == tokenizer().get_vocab()

    class Unwritable:
        def save_pretrained(self, folder: Path) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        densify(pruned, tmp_path / "none", tokenizer=Unwritable())
    assert [path.name for path in tmp_path.iterdir()] == ["dense"]


def test_a_folder_that_holds_something_is_not_overwritten(pruned: PreTrainedModel, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(CheckpointError, match="mine: is not empty"):
        save_pruned(pruned, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(CheckpointError, match="is a file"):
        save_pruned(pruned, saved / "config.json")
    save_pruned(pruned, tmp_path / "mine", overwrite=True)
    assert not (tmp_path / "mine" / "thesis.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_save_that_fails_leaves_nothing_behind(
    pruned: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = save_pruned(pruned, tmp_path / "model")
    content = (old / "model.safetensors").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(pruned), "save_pretrained", full_disk)
    with pytest.raises(StoreError, match=r"model: cannot be written .No space"):
        save_pruned(pruned, tmp_path / "model", overwrite=True)
    with pytest.raises(StoreError, match=r"new: cannot be written .No space"):
        save_pruned(pruned, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (old / "model.safetensors").read_bytes() == content


@pytest.mark.parametrize("large", ["card", "tokenizer"])
def test_a_disk_that_fills_up_after_the_weights(pruned: PreTrainedModel, tmp_path: Path, large: str) -> None:
    words = tokenizer()
    words.add_tokens([f"word{i}" for i in range(1000 if large == "tokenizer" else 0)])
    card = ModelCard(task="x" * (100_000 if large == "card" else 1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(StoreError) as caught:
            save_pruned(pruned, tmp_path / "model", tokenizer=words, card=card)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value).startswith(f"{tmp_path / 'model'}: cannot be written (File too large)")
    assert not list(tmp_path.iterdir())


RECORDS = {
    "schema of the future": ({"schema": 2}, "schema 2 of the record"),
    "schema as text": ({"schema": "1"}, "schema '1' of the record"),
    "no schema": ({"schema": None}, "schema None"),
    "head out of range": ({"pruned_heads": {"0": [4]}}, r"layer 0 has head 4; expected 0\.\.3"),
    "negative head": ({"pruned_heads": {"0": [-1]}}, "head -1"),
    "head as text": ({"pruned_heads": {"0": ["1"]}}, "head '1'"),
    "true as a head": ({"pruned_heads": {"0": [True]}}, "head True"),
    "layer out of range": ({"pruned_heads": {"3": [0]}}, r"layer '3'; expected 0\.\.2"),
    "layer not a number": ({"pruned_heads": {"first": [0]}}, "layer 'first'"),
    "heads not a list": ({"pruned_heads": {"0": 3}}, "layer 0 is 3; expected a list"),
    "no object of heads": ({"pruned_heads": [[0, 1]]}, "expected an object of layer"),
    "sizes missing": ({"n_layers": None}, "n_layers is None"),
    "another size": ({"n_heads": 8}, "n_heads 8, but the model has 3 and 4"),
    "fewer heads than the weights lack": ({"pruned_heads": {"0": [1]}}, "do not belong together|record different"),
    "other heads": ({"pruned_heads": {"0": [0, 1], "1": [0, 1, 2, 3], "2": [2]}}, "do not belong together|record different"),
}


@pytest.mark.parametrize(("values", "message"), RECORDS.values(), ids=RECORDS)
def test_a_corrupt_record_is_one_clear_error(broken: Path, values: dict[str, object], message: str) -> None:
    change_record(broken, **values)
    for load in (lambda: AUTO.from_pretrained(broken, ignore_mismatched_sizes=True), lambda: load_tagger(broken, labels=None)):
        with pytest.raises(CheckpointError, match=message) as caught:
            load()
        assert "\n" not in str(caught.value)


def test_a_record_that_was_lost_is_noticed(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    del config["quantization_config"]
    config.pop("per_layer_config", None)  # the same record, where Transformers has it
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="do not belong together") as caught:
        load_tagger(broken, labels=None)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_checkpoints(broken: Path, tmp_path: Path) -> None:
    def message(name: str | Path, labels: LabelSet | None = None) -> str:
        with pytest.raises(CheckpointError) as caught:
            load_tagger(name, labels=labels)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such folder" in message(tmp_path / "absent")
    assert "no such folder" in message("./absent/deep/er")
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in message(tmp_path / "empty")
    assert "is a file" in message(broken / "config.json")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "model.safetensors: not a complete safetensors file" in message(broken)
    (broken / "model.safetensors").unlink()
    assert "has no model.safetensors" in message(broken)
    (broken / "pytorch_model.bin").write_bytes(b"pickle")
    assert "only .bin weights" in message(broken)
    assert "safetensors.torch.save_file" in message(broken)
    (broken / "pytorch_model.bin").unlink()
    (broken / "model.safetensors").write_bytes(weights)
    (broken / "config.json").write_text("{")
    assert "not valid JSON" in message(broken)
    change = json.dumps({"model_type": "no-such-family"})
    (broken / "config.json").write_text(change)
    assert "no such type; use a newer Transformers" in message(broken)


def test_missing_encoder_weights_are_an_error_not_random_numbers(broken: Path) -> None:
    weights = load_file(broken / "model.safetensors")
    del weights["bert.encoder.layer.2.intermediate.dense.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lack 1 tensors of the model, such as bert\.encoder\.layer\.2\.intermediate"):
        load_tagger(broken, labels=LabelSet(("x", "y")))


def test_load_tagger_gives_a_new_head_by_seed(saved: Path, pruned: PreTrainedModel) -> None:
    labels = LabelSet(("X", "Y", "Z"))
    state = torch.get_rng_state()
    one, two, three = (load_tagger(saved, labels=labels, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.classifier.weight, two.classifier.weight)
    assert not torch.equal(one.classifier.weight, three.classifier.weight)
    assert not one.classifier.bias.any()
    assert one.classifier.weight.shape == (3, 16)
    assert one.config.id2label == {0: "X", 1: "Y", 2: "Z"}
    assert one.config.label2id == {"X": 0, "Y": 1, "Z": 2}
    assert one.config.num_labels == 3
    assert torch.equal(one.bert.embeddings.word_embeddings.weight, pruned.bert.embeddings.word_embeddings.weight)
    assert head_mask(one) == MASK


def test_a_head_of_other_names_and_the_same_size_is_new(saved: Path, pruned: PreTrainedModel) -> None:
    model = load_tagger(saved, labels=LabelSet(tuple("VWXYZ")), seed=0)
    assert not torch.equal(model.classifier.weight, pruned.classifier.weight)


def test_a_head_whose_labels_match_by_name_is_kept_in_the_order_asked_for(saved: Path, pruned: PreTrainedModel) -> None:
    same = load_tagger(saved, labels=LabelSet(NAMES))
    assert torch.equal(logits(same, INPUTS), logits(pruned, INPUTS))
    other = load_tagger(saved, labels=LabelSet(("C", "A", "B", "E", "D")), kernel="eager")
    assert other.config.id2label[0] == "C"
    assert other.config._attn_implementation == "eager"
    torch.testing.assert_close(logits(other, INPUTS), logits(pruned, INPUTS)[:, [2, 0, 1, 4, 3]], atol=1e-5, rtol=0)
    assert load_tagger(saved, labels=None).num_labels == N_LABELS


def test_an_encoder_without_a_head(tmp_path: Path) -> None:
    AutoModel.from_config(tiny_model("xlm-roberta").config).to(torch.float16).save_pretrained(tmp_path / "encoder")
    with pytest.raises(CheckpointError, match="has no token classifier"):
        load_tagger(tmp_path / "encoder", labels=None)
    model = load_tagger(tmp_path / "encoder", labels=LabelSet(("A", "B")), seed=0)
    assert model.dtype == torch.float32
    assert not model.training


def test_loading_is_quiet_and_leaves_logging_as_it_was(
    saved: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger("transformers").level
    load_tagger(saved, labels=LabelSet(("X", "Y")), seed=0)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger("transformers").level == level


def test_a_real_encoder_round_trip(shared: Path, tmp_path: Path) -> None:
    folder = shared / "models" / "mini"
    model = load_tagger(folder, labels=LabelSet(("A", "B", "C")), seed=0)
    prune(model, HeadMask.without(6, 8, [HeadId(0, 1), HeadId(3, 7), *(HeadId(5, head) for head in range(8))]))
    words = load_tokenizer(folder)
    inputs = dict(words(["Heads come and go.", "磐石"], padding=True, return_tensors="pt"))
    assert torch.equal(
        logits(AUTO.from_pretrained(save_pruned(model, tmp_path / "mini", tokenizer=words)), inputs), logits(model, inputs)
    )
    dense = AUTO.from_pretrained(densify(tmp_path / "mini", tmp_path / "dense"))
    assert distance(logits(dense, inputs), logits(model, inputs)) <= 1e-5


def test_tied_weights_and_shards_survive(tmp_path: Path) -> None:
    config = tiny_model("roberta").config
    model = prune(AutoModelForMaskedLM.from_config(config).eval(), MASK)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="4KB")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").is_file()
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "sharded")
    dense = AutoModelForMaskedLM.from_pretrained(densify(tmp_path / "sharded", tmp_path / "dense"))
    assert torch.equal(logits(loaded, INPUTS), logits(model, INPUTS))
    assert distance(logits(dense, INPUTS), logits(model, INPUTS)) <= 1e-5
    assert dense.get_output_embeddings().weight is dense.get_input_embeddings().weight
    assert "AutoModelForMaskedLM" in (tmp_path / "dense" / "README.md").read_text()


def test_load_tokenizer(saved: Path, tmp_path: Path) -> None:
    assert load_tokenizer(saved).tokenize("w3 w4") == ["w3", "w4"]
    with pytest.raises(CheckpointError, match="no such folder"):
        load_tokenizer(tmp_path / "absent")
    for path in saved.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer \(no tokenizer\.json\)"):
        load_tokenizer(saved)
