"""The classifier on top of an encoder: a seeded new one, or the stored one with its rows in another order."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError

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
