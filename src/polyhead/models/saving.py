"""Checkpoints: writing pruned models as folders that stock `from_pretrained` reads, and loading taggers with clear errors."""

import copy
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from polyhead.core.atomic_folder import new_folder
from polyhead.core.errors import CheckpointError
from polyhead.data.labels import LabelSet
from polyhead.models import pruning_record
from polyhead.models.architectures import head_mask
from polyhead.models.card_file import read_card, write_card
from polyhead.models.encoding_choice import EncodingChoice, read_choice, write_choice
from polyhead.models.loading import HEAD, new_head, reorder_head
from polyhead.models.model_card import ModelCard, render_card
from polyhead.models.pruning import full_state
from polyhead.models.sources import checked_source, quiet, reading


def save_pruned(
    model: PreTrainedModel,
    folder: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    card: ModelCard | None = None,
    encoding: EncodingChoice | None = None,
    overwrite: bool = False,
) -> Path:
    """The folder, written whole or not at all: weights, config with the record of removed heads, tokenizer, README.md.

    After `import polyhead`, `AutoModelForTokenClassification.from_pretrained(folder)` gives the same logits bit for bit, as an
    ordinary, trainable model. Without polyhead the load raises for mismatched shapes; with `ignore_mismatched_sizes=True` it
    then fills the pruned layers with random weights and only logs it. The record stands in `config.json` under
    `quantization_config`, so a pruned model cannot be loaded quantized by another library as well: `densify` it first.
    A model with nothing pruned is saved without a record. The folder is ready for `push_to_hub` or `hf upload`.

    Args:
        model: Pruned or not; a compiled wrapper is looked through.
        folder: New or empty, unless `overwrite`.
        tokenizer: Saved beside the model.
        card: What README.md says beyond the removed heads; kept in `model_card.json` too, for `read_card`.
        encoding: How the model was trained to read text, for `polyhead.json`; `encoding_choice.read_choice` gives it back.
        overwrite: Replace a folder that holds something, once the new one is complete.

    Raises:
        CheckpointError: The folder cannot be written or is not empty.
        ArchitectureError: The model's weights and its record disagree, or its family has no row.
    """
    model, folder = _unwrapped(model), Path(folder)
    page = render_card(card or ModelCard(), head_mask(model), name=folder.absolute().name, auto_class=_auto_class(model))
    return _write(model, folder, page, card, tokenizer=tokenizer, encoding=encoding, overwrite=overwrite)


def _write(
    model: PreTrainedModel,
    folder: Path,
    page: str,
    card: ModelCard | None,
    *,
    tokenizer: PreTrainedTokenizerBase | None,
    encoding: EncodingChoice | None,
    overwrite: bool,
) -> Path:
    with new_folder(folder, overwrite=overwrite) as fresh, quiet():
        model.save_pretrained(fresh)
        if tokenizer is not None:
            tokenizer.save_pretrained(fresh)
        if encoding is not None:
            write_choice(encoding, fresh)
        if card is not None:
            write_card(card, fresh)
        (fresh / "README.md").write_text(page, encoding="utf-8")
        for path in fresh.iterdir():  # some writers keep their files to their owner; a checkpoint is read as its folder is
            path.chmod((fresh / "README.md").stat().st_mode)
    return folder


def densify(
    model_or_folder: PreTrainedModel | str | Path,
    folder: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    card: ModelCard | None = None,
    encoding: EncodingChoice | None = None,
    overwrite: bool = False,
) -> Path:
    """The folder, holding the same model at full shape with zeros at the pruned places: it loads anywhere, without polyhead.

    Logits agree to 1e-5 in float32; nothing becomes smaller or faster. The model given is not changed. From a folder the
    tokenizer and the record of its encoding are taken along, unless others are given.

    Raises:
        CheckpointError: As `save_pruned`; or the folder to read is no checkpoint.
        ArchitectureError: As `save_pruned`.
    """
    if isinstance(model_or_folder, PreTrainedModel) or hasattr(model_or_folder, "_orig_mod"):
        model = _unwrapped(cast(PreTrainedModel, model_or_folder))
    else:
        model = load_saved(str(model_or_folder))
        if tokenizer is None and (Path(model_or_folder) / "tokenizer_config.json").is_file():
            tokenizer = load_tokenizer(model_or_folder)
        encoding, card = encoding or read_choice(model_or_folder), card or read_card(model_or_folder)
    mask, folder = head_mask(model), Path(folder)
    config = copy.deepcopy(model.config)
    if hasattr(config, pruning_record.KEY):
        delattr(config, pruning_record.KEY)
    with torch.device("meta"):
        full = type(model)(config)
    full.load_state_dict(full_state(model), assign=True)
    page = render_card(card or ModelCard(), mask, name=folder.absolute().name, auto_class=_auto_class(model), dense=True)
    return _write(full, folder, page, card, tokenizer=tokenizer, encoding=encoding, overwrite=overwrite)


def load_tagger(
    name: str | Path,
    *,
    labels: LabelSet | None,
    seed: int | None = None,
    revision: str | None = None,
    kernel: Literal["sdpa", "eager"] = "sdpa",
) -> PreTrainedModel:
    """A token classifier in float32 and eval mode, from a folder or hub id, pruned or not; no downloaded code is run.

    A classification head whose labels are those of `labels`, in any order, is kept, its rows in the order of `labels`; else
    the head is new: normal with the config's `initializer_range`, biases zero.

    Args:
        name: Folder, or id on the Hub (HF_HOME and offline mode are honoured).
        labels: Labels of the classifier; None asks for a checkpoint that has a head, and keeps it as it is.
        seed: Of a new head; None draws from torch's global generator.
        revision: Branch, tag or commit on the Hub.
        kernel: Attention implementation.

    Raises:
        CheckpointError: Nothing there, no safetensors weights, corrupt files or record, encoder weights missing, or no head.
    """
    name = checked_source(name)
    config = reading(name, lambda: AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False))
    stored = classifier_labels(config)
    if labels is None and stored is None:
        raise CheckpointError(f"{name}: has no token-classification head ({config.architectures}); fine-tune it first")
    keep = stored is not None and (labels is None or set(stored) == set(labels.names))
    if not keep and labels is not None:
        config.id2label = dict(enumerate(labels.names))
        config.label2id = {label: i for i, label in enumerate(labels.names)}

    def load() -> tuple[PreTrainedModel, dict[str, Any]]:
        loaded = AutoModelForTokenClassification.from_pretrained(
            name,
            config=config,
            revision=revision,
            dtype=torch.float32,
            attn_implementation=kernel,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=not keep,
            output_loading_info=True,
        )
        return cast(tuple[PreTrainedModel, dict[str, Any]], loaded)

    with torch.random.fork_rng(devices=[]):  # Transformers draws for missing weights; those of a new head are drawn below
        model, report = reading(name, load)
    unread = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    lost = sorted(key for key in unread if keep or not key.startswith(f"{HEAD}."))
    if lost:
        raise CheckpointError(
            f"{name}: the weights lack {len(lost)} tensors of the model, such as {lost[0]}; the checkpoint is incomplete"
        )
    if not keep:
        new_head(model, seed)
    elif labels is not None and stored != labels.names:
        reorder_head(model, cast(tuple[str, ...], stored), labels.names)
    return model


def load_config(name: str | Path, *, revision: str | None = None) -> PretrainedConfig:
    """The config of a folder or hub id; no weights are read.

    Raises:
        CheckpointError: Nothing there, or no config that Transformers can read.
    """
    name = checked_source(name, weights=False)
    config: PretrainedConfig = reading(name, lambda: AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False))
    return config


def load_tokenizer(name: str | Path, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id, of the fast kind (which knows the place of every piece in its word).

    Raises:
        CheckpointError: Nothing there, no tokenizer, or only a slow one.
    """
    name = checked_source(name, weights=False)
    tokenizer = reading(name, lambda: AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False))
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(f"{name}: has no fast tokenizer; save one with a tokenizer.json")
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what Transformers makes up where no file is
        raise CheckpointError(f"{name}: has no tokenizer (no tokenizer.json); copy there the one that the model was trained with")
    return cast(PreTrainedTokenizerBase, tokenizer)


def classifier_labels(config: PretrainedConfig) -> tuple[str, ...] | None:
    """The labels of the token classifier that a checkpoint was saved with, in the order of its outputs; None if it has none."""
    if not any(name.endswith("ForTokenClassification") for name in config.architectures or ()):
        return None
    return tuple(str(config.id2label[i]) for i in range(config.num_labels))


def _unwrapped(model: PreTrainedModel) -> PreTrainedModel:
    return cast(PreTrainedModel, getattr(model, "_orig_mod", model))


def _auto_class(model: PreTrainedModel) -> str:
    _, found, task = type(model).__name__.partition("For")
    return f"AutoModelFor{task}" if found else "AutoModel"


def load_saved(name: str | Path, *, revision: str | None = None) -> PreTrainedModel:
    """The model of a folder or hub id in the class and dtype it was saved with, with or without a head on top.

    Raises:
        CheckpointError: Nothing there, corrupt, or its class is not one of Transformers' own.
    """
    name = checked_source(name)
    config = reading(name, lambda: AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False))
    kind = getattr(transformers, (config.architectures or ["AutoModel"])[0], None)
    if kind is None:
        raise CheckpointError(f"{name}: its architecture {config.architectures} is not one of Transformers' own")
    load = lambda: kind.from_pretrained(name, revision=revision, dtype="auto", use_safetensors=True)  # noqa: E731
    return cast(PreTrainedModel, reading(name, load))
