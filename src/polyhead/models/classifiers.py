"""The classifier on an encoder, by kind of task: which class holds it, its labels, and how a new one is drawn."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from polyhead.core.errors import ArchitectureError
from polyhead.data.tasks import LabelKind
from polyhead.models.architectures import architecture
from polyhead.models.checks import check_labels, head_modules

# what it is, the end of its class's name, and the class that loads it
_TOKENS = ("token classifier", "ForTokenClassification", AutoModelForTokenClassification)
CLASSIFIERS: dict[LabelKind, tuple[str, str, Any]] = {
    "tag": _TOKENS,
    "span": _TOKENS,
    "sentence": ("sentence classifier", "ForSequenceClassification", AutoModelForSequenceClassification),
    "masked": ("masked-LM head", "ForMaskedLM", AutoModelForMaskedLM),
}
POOLER = "pooler"
_NEW_POOLER = rf"\.{POOLER}\..*weight$"


def kind_of(model: PreTrainedModel) -> LabelKind | None:
    """The kind of labels that the model's class gives; `tag` also for spans, None for a bare encoder and other classes."""
    return next((kind for kind, (_, ending, _) in CLASSIFIERS.items() if type(model).__name__.endswith(ending)), None)


def check_encoder(model: PreTrainedModel) -> None:
    """Refuse a classifier that also has a decoder, and a sentence classifier that is one and cannot read batches.

    Raises:
        ArchitectureError: Its class reads text with an encoder and a decoder, as T5's sentence classifier does; or it is a
            decoder without a padding token, as Llama is by default.
    """
    parts = (getattr(model.base_model, name, None) for name in ("encoder", "decoder"))
    if kind_of(model) in ("tag", "sentence") and all(part is not None for part in parts):
        wrong = f"{type(model).__name__} reads text with a decoder too, and polyhead ranks the heads of encoders"
        raise ArchitectureError(f"{wrong}; for sentence tasks use an encoder such as XLM-R")
    if kind_of(model) == "sentence" and is_decoder(model.config.model_type) and model.config.pad_token_id is None:
        wrong = f"{type(model).__name__} is a decoder and has no encoder, and polyhead ranks the heads of encoders"
        step = "use an encoder such as XLM-R; a decoder needs a pad_token_id in its config.json, to find where each text ends"
        raise ArchitectureError(f"{wrong}; for sentence tasks {step}")


def is_decoder(family: str) -> bool:
    """Whether models of this type are decoders: Transformers has them predict the next subword, and no masked one.

    >>> [is_decoder(family) for family in ("llama", "bloom", "bert", "modernbert", "t5")]
    [True, True, False, False, False]
    """
    return family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _classifier(model: PreTrainedModel, kind: LabelKind) -> nn.Linear:
    """The layer whose outputs are the labels.

    Raises:
        ArchitectureError: The family's row names another layer; or no linear layer outside of the encoder has these outputs.
    """
    if kind != "sentence":
        name = architecture(model.config).classifier
        head = getattr(model, name, None)
        if not isinstance(head, nn.Linear):
            raise ArchitectureError(f"{type(model).__name__}: its {name!r} is a {type(head).__name__}; expected torch.nn.Linear")
        return head
    parts = [module for name in head_modules(model) for module in model.get_submodule(name).modules()]
    linear = [part for part in parts if isinstance(part, nn.Linear) and part.out_features == model.config.num_labels]
    if not linear:
        expected = f"a torch.nn.Linear with {model.config.num_labels} outputs outside of the encoder"
        raise ArchitectureError(f"{type(model).__name__}: no layer for the labels; expected {expected}")
    return linear[-1]


def new_modules(model: PreTrainedModel, kind: LabelKind | None) -> tuple[str, ...]:
    """Names of the modules that a new classifier of this kind replaces."""
    if kind is None:
        return ()
    if kind != "sentence":
        return (architecture(model.config).classifier,)
    return tuple(head_modules(model))


def draw_head(model: PreTrainedModel, kind: LabelKind, seed: int | None, missing: Sequence[str]) -> None:
    """Draw a new classifier: its last layer, of a sentence classifier after those before it and a pooler that is missing."""
    last = _classifier(model, kind)
    heads = [last]
    if kind == "sentence":
        parts = [model.get_submodule(name) for name in head_modules(model)]
        parts += [model.get_submodule(name.removesuffix(".weight")) for name in missing if re.search(_NEW_POOLER, name)]
        linear = dict.fromkeys(layer for part in parts for layer in part.modules() if isinstance(layer, nn.Linear))
        heads = [layer for layer in linear if layer is not last] + [last]
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for head in heads:
            head.weight.normal_(0.0, getattr(model.config, "initializer_range", 0.02), generator=generator)
            if head.bias is not None:
                head.bias.zero_()


def reorder_head(model: PreTrainedModel, kind: LabelKind, stored: Sequence[str], wanted: Sequence[str]) -> None:
    """Put the classifier's rows in the order of other labels."""
    order = [stored.index(label) for label in wanted]
    with torch.no_grad():
        for parameter in _classifier(model, kind).parameters():
            parameter.copy_(parameter[order].clone())
    name_outputs(model.config, wanted)


def name_outputs(config: PretrainedConfig, labels: Sequence[str]) -> None:
    """Write what the classifier's outputs mean into the config."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}


def classifier_labels(config: PretrainedConfig, kind: LabelKind = "tag") -> tuple[str, ...] | None:
    """The labels of a checkpoint's classifier of this kind in the order of its outputs; None if it has no such classifier.

    Those of a masked-LM head are the tokenizer's subwords, which the config does not name: empty.

    Raises:
        CheckpointError: There is not one label per output.
    """
    if not any(name.endswith(CLASSIFIERS[kind][1]) for name in config.architectures or ()):
        return None
    return () if kind == "masked" else check_labels(config)


def what_to_do(kind: LabelKind) -> str:
    """What to do about a checkpoint without a classifier of this kind."""
    if kind == "masked":
        return "use the pre-trained checkpoint with its language model, of a class ...ForMaskedLM"
    return "fine-tune it with polyhead fit"
