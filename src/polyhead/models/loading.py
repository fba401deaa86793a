"""The classifier on top of an encoder: a seeded new one, or the stored one with its rows in another order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from polyhead.core.errors import ArchitectureError, CheckpointError
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.models.sources import checked_source, reading

HEAD = "classifier"  # the module of a token classifier on top of the encoder, in every family of the table


def _classifier(model: PreTrainedModel) -> nn.Linear:
    head = getattr(model, HEAD, None)
    if not isinstance(head, nn.Linear):
        raise ArchitectureError(f"{type(model).__name__}: its {HEAD!r} is a {type(head).__name__}; expected torch.nn.Linear")
    return head


def new_head(model: PreTrainedModel, seed: int | None) -> None:
    """Draw the classifier anew, in place: normal with the config's `initializer_range`, biases zero.

    Args:
        model: A token classifier.
        seed: None draws from torch's global generator.

    Raises:
        ArchitectureError: The classifier is not one linear layer.
    """
    head = _classifier(model)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.normal_(0.0, getattr(model.config, "initializer_range", 0.02), generator=generator)
        if head.bias is not None:
            head.bias.zero_()


def reorder_head(model: PreTrainedModel, stored: Sequence[str], wanted: Sequence[str]) -> None:
    """Put the rows of the classifier, which are those of the labels `stored`, in the order `wanted`, in place.

    Raises:
        ArchitectureError: The classifier is not one linear layer.
    """
    head = _classifier(model)
    order = torch.tensor([stored.index(label) for label in wanted])
    with torch.no_grad():
        head.weight.copy_(head.weight[order].clone())
        if head.bias is not None:
            head.bias.copy_(head.bias[order].clone())
    model.config.id2label = dict(enumerate(wanted))
    model.config.label2id = {label: i for i, label in enumerate(wanted)}


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


def check_classifier(name: str, task: Task, *, labels: LabelSet | None = None, revision: str | None = None) -> None:
    """Refuse a checkpoint whose own classifier does not do the task; no weights are read.

    Args:
        name: Folder or hub id.
        task: Tags must be among its own; spans must be in IOB2.
        labels: What the classifier must predict, in any order; None leaves that to the task.
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: There is no classifier, or its labels are others.
    """
    stored = classifier_labels(load_config(name, revision=revision))
    if stored is None:
        raise CheckpointError(f"{name}: has no token-classification head; fine-tune it first, or give a seed for a new one")
    shown = " ".join(stored[:8]) + (" ..." if len(stored) > 8 else "")
    if labels is not None and set(labels.names) != set(stored):
        raise CheckpointError(f"{name}: predicts {shown}; expected {' '.join(labels.names)}; give a seed for a new classifier")
    spans = "O" in stored and all(label == "O" or (label[:2] in ("B-", "I-") and len(label) > 2) for label in stored)
    if not (set(stored) <= set(task.labels) if task.labels else spans):
        expected = f"some of {' '.join(task.labels)}" if task.labels else "O and B-TYPE, I-TYPE"
        raise CheckpointError(f"{name}: predicts {shown}; task {task.name} needs {expected}; fine-tune it with polyhead fit")


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
