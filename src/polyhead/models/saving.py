"""Checkpoints of pruned models, as folders that stock `from_pretrained` reads."""

import copy
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import SettingError
from polyhead.core.files import new_folder, require_space
from polyhead.models import pruning_record
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_card import ModelCard, render_card
from polyhead.models.model_heads import full_mask, head_mask
from polyhead.models.model_neurons import pruned_neurons
from polyhead.models.named_masks import head_masks
from polyhead.models.pruning import full_state
from polyhead.models.sources import checkpoint_folder, quiet


def save_pruned(
    model: PreTrainedModel,
    folder: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    card: ModelCard | None = None,
    encoding: EncodingChoice | None = None,
    overwrite: bool = False,
) -> Path:
    """The folder, written completely or not at all: weights, config with the record of what is pruned, tokenizer, README.md.

    After `import polyhead`, `from_pretrained(folder)` of its Auto class, such as `AutoModelForTokenClassification`, loads an
    ordinary, trainable model with bit-identical logits. Without polyhead, loading fails with mismatched shapes; with
    `ignore_mismatched_sizes=True` it fills the pruned layers with random weights and only logs it. The record is in `config.json`
    under `quantization_config`, so `densify` a pruned model before another library quantizes it. An unpruned model is saved
    without a record. The folder is ready for `push_to_hub` or `hf upload`.

    Args:
        model: Pruned or not; a compiled wrapper is unwrapped.
        folder: New or empty, unless `overwrite`.
        tokenizer: Saved beside the model.
        card: Content of README.md beyond the pruned heads; also kept in `model_card.json` for `ModelCard.read`.
        encoding: How the model was trained to read text, for `polyhead.json`; `EncodingChoice.read` reads it back.
        overwrite: Replace a non-empty folder, once the new one is complete.

    Raises:
        CheckpointError: The folder is not empty.
        StoreError: The folder cannot be written, or the disk is full.
        ArchitectureError: The model's weights and its record disagree, or the family has no row.

    >>> from tempfile import TemporaryDirectory
    >>> import polyhead as ph
    >>> model = ph.load_tagger("polyhead/tiny", labels=ph.LabelSet(("O", "B-PER", "I-PER")), seed=42)
    >>> model = ph.prune(model, ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)]))
    >>> with TemporaryDirectory() as folder:
    ...     path = save_pruned(model, Path(folder) / "smaller", tokenizer=ph.load_tokenizer("polyhead/tiny"))
    ...     again = ph.load_tagger(path, labels=None)
    >>> ph.head_mask(again).pruned
    (HeadId(layer=2, head=5),)
    """
    require(model=(model, nn.Module), folder=(folder, PATH))
    model, folder = _unwrapped(model), Path(folder)
    page = render_card(
        card or ModelCard(),
        head_mask(model),
        name=folder.absolute().name,
        auto_class=_auto_class(model),
        masks=head_masks(model),
        neurons=pruned_neurons(model),
    )
    return _write(model, folder, page, encoding, card, tokenizer, overwrite)


def _write(
    model: PreTrainedModel,
    folder: Path,
    page: str,
    encoding: EncodingChoice | None,
    card: ModelCard | None,
    tokenizer: PreTrainedTokenizerBase | None,
    overwrite: bool,
) -> Path:
    require_space(folder, sum(parameter.nbytes for parameter in model.parameters()), "this model")
    with new_folder(folder, overwrite=overwrite) as fresh, quiet():
        model.save_pretrained(fresh)
        if tokenizer is not None:
            save_tokenizer(tokenizer, fresh)
        if encoding is not None:
            replace(encoding, shape=full_mask(model).shape).write(fresh)
        if card is not None:
            card.write(fresh)
        (fresh / "README.md").write_text(page, encoding="utf-8")
        # some writers make files private to their owner; a checkpoint is for all readers of its folder
        for path in fresh.iterdir():
            path.chmod((fresh / "README.md").stat().st_mode)
    return folder


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the tokenizer's files into an existing folder.

    Raises:
        OSError: A file cannot be written.
    """
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:  # tokenizers raises Exception itself, with the system's error in its text
        if (code := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from None


def densify(
    model_or_folder: PreTrainedModel | str | Path,
    folder: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    card: ModelCard | None = None,
    encoding: EncodingChoice | None = None,
    overwrite: bool = False,
) -> Path:
    """The folder, with the same model at full shape and zeros for what was pruned: it loads anywhere, without polyhead.

    Logits agree to 1e-5 in float32; nothing gets smaller or faster. The given model is not changed. Given a folder, its
    tokenizer, card and encoding are copied unless others are given.

    Raises:
        CheckpointError, StoreError, ArchitectureError: As `save_pruned`; or the folder to read is not a checkpoint.
        SettingError: The model has several masks.

    >>> from tempfile import TemporaryDirectory
    >>> import polyhead as ph
    >>> model = ph.load_tagger("polyhead/tiny", labels=ph.LabelSet(("O", "B-PER", "I-PER")), seed=42)
    >>> model = ph.prune(model, ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)]))
    >>> with TemporaryDirectory() as folder:
    ...     again = ph.load_tagger(densify(model, Path(folder) / "full"), labels=None)
    >>> ph.head_mask(again).n_pruned, again.num_parameters() > model.num_parameters()
    (0, True)
    """
    require(model_or_folder=(model_or_folder, nn.Module | PATH), folder=(folder, PATH))
    if isinstance(model_or_folder, PreTrainedModel) or hasattr(model_or_folder, "_orig_mod"):
        model = _unwrapped(cast(PreTrainedModel, model_or_folder))
    else:
        model = load_saved(model_or_folder)
        if tokenizer is None and (checkpoint_folder(model_or_folder) / "tokenizer_config.json").is_file():
            tokenizer = load_tokenizer(model_or_folder)
        encoding, card = encoding or EncodingChoice.read(model_or_folder), card or ModelCard.read(model_or_folder)
    mask, folder = head_mask(model), Path(folder)
    masks = head_masks(model)
    if any(own != mask for own in masks.values()):
        step = "prune it to one of them first: prune(model, {name: mask})"
        raise SettingError(f"the model has masks for {', '.join(masks)}, and a dense copy holds one set of heads; {step}")
    config = copy.deepcopy(model.config)
    pruning_record.drop_record(config)
    with torch.device("meta"):
        full = type(model)(config)
    full.load_state_dict(full_state(model), assign=True)
    page = render_card(
        card or ModelCard(),
        mask,
        name=folder.absolute().name,
        auto_class=_auto_class(model),
        dense=True,
        neurons=pruned_neurons(model),
    )
    return _write(full, folder, page, encoding, card, tokenizer, overwrite)


def _unwrapped(model: PreTrainedModel) -> PreTrainedModel:
    return cast(PreTrainedModel, getattr(model, "_orig_mod", model))


def _auto_class(model: PreTrainedModel) -> str:
    _, found, task = type(model).__name__.partition("For")
    return f"AutoModelFor{task}" if found else "AutoModel"
