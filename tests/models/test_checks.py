"""Broken and hostile checkpoints: one line, before anything is built, allocated or run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conformance.tiny import MASKS, N_LABELS, PAD, VOCABULARY, logits, tiny_inputs, tiny_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForTokenClassification, PreTrainedModel, PreTrainedTokenizerFast

from polyhead.cli.main import main
from polyhead.core.errors import PolyheadError
from polyhead.core.heads import HeadMask
from polyhead.data.labels import LabelSet
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_saved, load_tagger, load_tokenizer
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

Change = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = {"[UNK]": 0, "[PAD]": PAD} | {f"w{i}": i for i in range(2, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="[UNK]")), unk_token="[UNK]", pad_token="[PAD]"
    )
    return save_pruned(prune(tiny_model("bert"), MASKS["uneven"]), tmp_path / "model", tokenizer=tokenizer)


def change(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    stored = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in stored.items() if value is not None}))


def config(**values: object) -> Change:
    return lambda folder: change(folder, **values)


def record(**values: object) -> Change:
    def apply(folder: Path) -> None:
        change(folder, quantization_config=json.loads((folder / "config.json").read_text())["quantization_config"] | values)

    return apply


def tensor(key: str, to: Callable[[torch.Tensor], torch.Tensor | None]) -> Change:
    def apply(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        new = to(weights.pop(key))
        save_file(weights if new is None else weights | {key: new}, folder / "model.safetensors", metadata={"format": "pt"})

    return apply


def text(file: str, content: str) -> Change:
    return lambda folder: (folder / file).write_text(content)  # type: ignore[return-value]


def index(weight_map: object) -> Change:
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    return apply


def cut(n_bytes: int) -> Change:
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:n_bytes])

    return apply


QUERY = "bert.encoder.layer.1.attention.self.query.weight"
DENSE = "bert.encoder.layer.1.output.dense.weight"
LABELS = {str(i): name for i, name in enumerate("ABCDE")}
BROKEN: dict[str, tuple[Change, str]] = {
    "record of 10⁸ layers": (record(n_layers=10**8), "n_layers is 100000000 and n_heads 4, but the model has 3 and 4"),
    "record of no heads": (record(n_heads=0), "n_heads 0"),
    "record of heads as text": (record(n_heads="4"), "n_heads '4'"),
    "10⁸ layers": (
        config(num_hidden_layers=10**8),
        r"num_hidden_layers is 100000000; expected (at most \d+, the number of tensors|a whole number from 1 to 10,000)",
    ),
    "no layers": (config(num_hidden_layers=0), "num_hidden_layers is 0|n_layers is 3"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads|cannot be loaded"),
    "heads as text": (config(num_attention_heads="4"), "num_attention_heads"),
    "heads that do not divide": (
        config(num_attention_heads=3),
        "num_attention_heads is 3; expected a divisor of hidden_size, 16|n_heads 4",
    ),
    "heads in words": (config(num_attention_heads="four"), r"config\.json.*num_attention_heads.*'four'"),
    "unknown activation": (config(hidden_act="foo"), r"config\.json: cannot be loaded \(KeyError: 'foo'\)"),
    "padding outside the vocabulary": (config(pad_token_id=10**6), r"config\.json: cannot be loaded \(.*[Pp]adding_idx"),
    "labels in a list": (config(id2label=["A", "B"]), r"config\.json: id2label is \['A', 'B'\]; expected an object of number"),
    "labels by name": (config(id2label={"a": "b"}), "id2label is {'a': 'b'}; expected an object of number to label"),
    "weights cut off": (cut(1000), r"model\.safetensors: not a complete safetensors file"),
    "weights of no bytes": (cut(0), r"model\.safetensors: not a complete safetensors file"),
    "negative vocabulary": (config(vocab_size=-1), "vocab_size"),
    "huge vocabulary": (config(vocab_size=10**13), "word_embeddings.weight has shape"),
    "fractional width": (config(hidden_size=16.5), "hidden_size"),
    "architectures a number": (config(architectures=3), "architectures is 3; expected a list of class names"),
    "architectures of numbers": (config(architectures=[3]), "expected a list of class names"),
    "10⁹ labels": (config(num_labels=10**9, id2label=None, label2id=None), "num_labels is 1000000000"),
    "empty config": (text("config.json", "{}"), "model_type is None; expected the name of a model family"),
    "config that is a list": (text("config.json", "[]"), "holds a list; expected a JSON object"),
    "deep config": (text("config.json", "[" * 100_000), "not valid JSON"),
    "family of a newer Transformers": (
        config(model_type="mystery"),
        r"config\.json: model_type 'mystery': Transformers [\d.]+ has no such type; use a newer Transformers",
    ),
    "unknown family": (config(model_type="lilt"), r"model_type (is )?'lilt'"),
    "other weights by name": (config(transformers_weights="pytorch_model.bin"), "transformers_weights"),
    "quantized": (config(quantization_config={"quant_method": "gptq", "bits": 4}), "the weights are quantized"),
    "adapter": (text("adapter_config.json", "{}"), "holds an adapter"),
    "pickle through an index": (
        index({QUERY: "pytorch_model.bin"}),
        r"json: the file of 'bert\..*' is 'pytorch_model\.bin'; expected a safetensors",
    ),
    "file elsewhere": (
        index({QUERY: "../model.safetensors"}),
        r"is '\.\./model\.safetensors'; expected a safetensors file in the same folder",
    ),
    "missing shard": (index({QUERY: "model-00001-of-00001.safetensors"}), "which is missing"),
    "empty index": (index({}), r"weight_map is \{\}"),
    "index of a list": (index([1]), r"weight_map is \[1\]"),
    "int64 weights": (tensor(DENSE, lambda t: t.long()), "dtype I64; expected one of F64, F32"),
    "bool weights": (tensor(QUERY, lambda t: t.bool()), "dtype BOOL"),
    "transposed weights": (tensor(DENSE, lambda t: t.T.contiguous()), "do not belong together"),
    "missing weights": (tensor(DENSE, lambda t: None), "lack 1 tensors of the model"),
    "NaN": (tensor(DENSE, lambda t: t.index_fill(0, torch.tensor([3]), torch.nan)), f"{DENSE} holds NaN or infinite weights"),
    "infinity": (tensor(QUERY, lambda t: t / 0), f"{QUERY} holds NaN"),
}
HEADS: dict[str, tuple[Change, str]] = {
    "gap in id2label": (
        config(id2label={"0": "A", "2": "C", "3": "D", "4": "E", "5": "F"}),
        r"config\.json: id2label is \[0, 2, 3, 4, 5\]; expected the numbers 0 to 4",
    ),
    "twice a label": (config(id2label=LABELS | {"3": "A"}), r"config\.json: id2label has 'A' more than once"),
}


@pytest.mark.parametrize(("spoil", "message"), [*BROKEN.values(), *HEADS.values()], ids=[*BROKEN, *HEADS])
def test_one_line_says_what_is_wrong(
    folder: Path, spoil: Change, message: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder)
    loads: list[Callable[[], object]] = [lambda: load_tagger(folder, labels=None)]
    if request.node.callspec.id not in HEADS:
        loads += [lambda: load_saved(folder), lambda: load_tagger(folder, labels=LabelSet(("x", "y")), seed=0)]
    for load in loads:
        with pytest.raises(PolyheadError, match=message) as caught:
            load()
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500 + len(str(folder))
        assert str(caught.value).count(str(folder)) == 1
    if request.node.callspec.id not in HEADS:
        assert main(["prune", str(folder), "--heads", "0.1", "--out", str(folder.parent / "out")]) == 2
        assert capsys.readouterr().err.count("\n") == 1


CHOICE = EncodingChoice(anchor="text", max_length=64, precision="fp32", words="surface", task="pos")


@pytest.mark.parametrize(
    ("family", "values", "message"),
    [
        ("bert", {"num_hidden_layers": 1}, "hold tensors of layers 1 and 2, which config.json does not have"),
        ("bert", {"num_hidden_layers": 2}, "hold tensors of layer 2, which"),
        ("distilbert", {"n_layers": 2}, "hold tensors of layer 2, which"),
        ("bert", {"num_attention_heads": 2}, r"\(3, 4\) layers and heads in polyhead.json, but \(3, 2\) in config.json"),
    ],
)
def test_a_config_of_another_size(tmp_path: Path, family: str, values: dict[str, object], message: str) -> None:
    folder = save_pruned(tiny_model(family), tmp_path / "model", encoding=CHOICE)
    assert head_mask(load_tagger(folder, labels=None)).shape == (3, 4)
    change(folder, **values)
    for labels in (None, LabelSet(("x", "y"))):
        with pytest.raises(PolyheadError, match=message) as caught:
            load_tagger(folder, labels=labels, seed=0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["bert.pooler.dense.weight", "bert.embeddings.position_ids", "cls.predictions.bias", "qa_outputs.bias"]
)
def test_weights_that_no_tagger_needs_are_left_out(folder: Path, key: str) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {key: torch.zeros(1, 16)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert head_mask(load_tagger(folder, labels=None)) == head_mask(load_saved(folder)) == MASKS["uneven"]


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    assert load_tokenizer(folder).vocab_size == VOCABULARY
    change(folder, vocab_size=VOCABULARY - 1)
    with pytest.raises(
        PolyheadError, match=f"'w{VOCABULARY - 1}' the id {VOCABULARY - 1}, but the model embeds {VOCABULARY - 1}"
    ):
        load_tokenizer(folder)


def test_the_kernel_is_ours_whatever_the_config_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(folder, attn_implementation="owner/repo", _attn_implementation="owner/repo")
    asked: list[object] = []
    load = PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]

    def watched(cls: type[PreTrainedModel], *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["attn_implementation"])
        return load(cls, *args, **kwargs)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(watched))
    assert load_saved(folder).config._attn_implementation == "sdpa"
    assert load_tagger(folder, labels=None, kernel="eager").config._attn_implementation == "eager"
    densify(folder, folder.parent / "dense")
    assert asked == ["sdpa", "eager", "sdpa"]
    assert "owner" not in (folder.parent / "dense" / "config.json").read_text()


def test_a_checkpoint_that_transformers_4_pruned(folder: Path) -> None:
    whole = tiny_model("bert")
    expected = logits(prune(whole, MASKS["uneven"]), tiny_inputs())
    change(folder, quantization_config=None, pruned_heads={"0": [0, 3], "2": [1, 2, 3]})
    model = load_saved(folder)
    assert head_mask(model) == head_mask(load_tagger(folder, labels=None)) == MASKS["uneven"]
    assert torch.equal(logits(model, tiny_inputs()), expected)
    again = AutoModelForTokenClassification.from_pretrained(save_pruned(model, folder.parent / "again"))
    assert head_mask(again) == MASKS["uneven"]
    dense = AutoModelForTokenClassification.from_pretrained(densify(folder, folder.parent / "dense"))
    assert head_mask(dense) == HeadMask.full(3, 4)
    assert float((logits(dense, tiny_inputs()) - expected).abs().max()) <= 1e-5
    assert "pruned_heads" not in json.loads((folder.parent / "again" / "config.json").read_text())
    change(folder, pruned_heads={"0": [0, 4]})
    with pytest.raises(PolyheadError, match=r"layer 0 has head 4; expected 0\.\.3"):
        load_saved(folder)


def test_the_faq_converts_old_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock `from_pretrained` cannot: the layers of a pruned model have other shapes than its config says."""
    change(folder, quantization_config=None, pruned_heads={"0": [0, 3], "2": [1, 2, 3]})
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(PolyheadError, match=r"has only \.bin weights.*as the FAQ shows"):
        load_saved(folder)
    page = (Path(__file__).resolve().parents[2] / "docs" / "faq.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "save_file" in block)
    monkeypatch.chdir(folder.parent)
    exec(code.replace('"OLD/', f'"{folder.name}/'))
    assert head_mask(load_saved(folder)) == MASKS["uneven"]


def test_more_labels_than_the_stored_classifier(folder: Path) -> None:
    """Transformers before 5.17 hands a third-party loader the stored classifier, whatever its shape."""
    model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=N_LABELS + 2, ignore_mismatched_sizes=True)
    assert model.classifier.weight.shape == (N_LABELS + 2, 16)
    assert logits(model, tiny_inputs()).shape[-1] == N_LABELS + 2


@pytest.mark.parametrize(
    "content", ["{", "{}", "[]", "[" * 100_000, '{"added_tokens": [], "model": {"type": "none"}}'], ids=range(5)
)
def test_a_broken_tokenizer_is_one_line(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(PolyheadError, match=r"cannot be loaded|has no tokenizer") as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_tokenizer_file_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    change(folder, model_type="xlm-roberta")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "XLMRobertaTokenizer"}')
    (folder / "sentencepiece.bpe.model").write_bytes(b"\n")
    with pytest.raises(PolyheadError, match=r"has no tokenizer\.json; copy the tokenizer"):
        load_tokenizer(folder)
